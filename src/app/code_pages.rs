//! The pages of the program's own code. The kernel maps many around each that is touched, so that after a
//! start nearly all of the program counts as its resident memory, of which it then uses a tenth. They are
//! the file's: giving them back costs nothing but a fault where one is used again.

use std::ops::Range;
use std::time::Duration;

/// A start is over by then, and its code is not needed again.
const AFTER: Duration = Duration::from_secs(1);

/// Waits for the end of the start, then gives its code back.
pub async fn give_back_later() {
    tokio::time::sleep(AFTER).await;
    let (Ok(maps), Ok(program)) = (std::fs::read_to_string("/proc/self/maps"), std::env::current_exe())
    else {
        return;
    };
    for range in program.to_str().into_iter().flat_map(|program| unwritten(&maps, program)) {
        // SAFETY: the range is a private mapping of a file that this process has never written to: code, and
        // the constants before it. What is dropped is read from the file again when it is touched.
        let given = unsafe {
            rustix::mm::madvise(
                std::ptr::with_exposed_provenance_mut(range.start),
                range.len(),
                rustix::mm::Advice::LinuxDontNeed,
            )
        };
        if let Err(e) = given {
            tracing::debug!("the code's pages stay: {e}");
        }
    }
}

/// The parts of the program's file that are mapped as they lie in it: what may be executed, and the
/// constants at its beginning. The other constants hold addresses that the loader wrote.
fn unwritten(maps: &str, program: &str) -> Vec<Range<usize>> {
    let part = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (range, rights, offset) = (fields.next()?, fields.next()?, fields.next()?);
        let untouched = rights == "r-xp" || (rights == "r--p" && offset.trim_start_matches('0').is_empty());
        if !untouched || line.split_once('/')?.1 != program.strip_prefix('/')? {
            return None;
        }
        let (from, to) = range.split_once('-')?;
        Some(usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?)
    };
    maps.lines().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_loader_never_writes_is_given_back() {
        let maps = "\
55e000000000-55e000001000 r--p 00000000 fe:00 54                    /opt/a b/timerjobs
55e000001000-55e000003000 r-xp 00001000 fe:00 54                    /opt/a b/timerjobs
55e000003000-55e000004000 r--p 00003000 fe:00 54                    /opt/a b/timerjobs
55e000004000-55e000005000 rw-p 00004000 fe:00 54                    /opt/a b/timerjobs
7f0000000000-7f0000001000 r-xp 00000000 fe:00 55                    /usr/lib/libc.so.6
7f0000001000-7f0000002000 r-xp 00000000 fe:00 56                    /other/opt/a b/timerjobs
7ffe00000000-7ffe00001000 r-xp 00000000 00:00 0                     [vdso]
";
        let found = unwritten(maps, "/opt/a b/timerjobs");
        assert_eq!(found, [0x55e0_0000_0000..0x55e0_0000_1000, 0x55e0_0000_1000..0x55e0_0000_3000]);
    }
}
