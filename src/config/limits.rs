//! The settings of commands: what each may use, and as whom they run.

use super::settings::Reader;
use crate::domain::action::limits::{CPU_MAX, FILES_MAX, FILES_MIN, Limits, MEMORY_MAX, MEMORY_MIN, is_user};

pub(super) fn read(read: &mut Reader<'_>) -> Limits {
    let small = |n: Option<u64>| n.and_then(|n| u32::try_from(n).ok());
    Limits {
        user: read.checked("commands.run_as", |text| match text {
            "" => Ok(None),
            user if is_user(user) => Ok(Some(user.to_owned())),
            _ => Err("use one user's name or number".into()),
        }),
        memory: number(read, "commands.memory_mb", MEMORY_MIN >> 20, MEMORY_MAX >> 20).map(|mb| mb << 20),
        cpu: small(number(read, "commands.cpu_seconds", 1, CPU_MAX.into())),
        files: small(number(read, "commands.open_files", FILES_MIN.into(), FILES_MAX.into())),
    }
}

/// 0 is no limit.
fn number(read: &mut Reader<'_>, key: &str, min: u64, max: u64) -> Option<u64> {
    read.checked(key, |text| match text.parse() {
        Ok(0) => Ok(None),
        Ok(n) if (min..=max).contains(&n) => Ok(Some(n)),
        _ => Err(format!("use 0 or a whole number from {min} to {max}")),
    })
}
