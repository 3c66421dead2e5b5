//! The lines of a file from its end to its beginning, without holding the file in memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

pub(super) const BLOCK: u64 = 64 << 10;
/// A longer line is read as several.
const LINE_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Backwards {
    file: File,
    /// What lies before here is not read yet.
    at: u64,
    /// Read and not handed out, in the order of the file.
    rest: Vec<u8>,
}

impl Backwards {
    /// From the end, or from an earlier place.
    pub fn open(path: &Path, end: Option<u64>) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let size = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, at: end.map_or(size, |end| end.min(size)), rest: Vec::new() })
    }

    /// Where the line begins that was handed out last; whoever opens the file there goes on behind it.
    pub fn place(&self) -> u64 {
        self.at + self.rest.len() as u64
    }

    /// The line before; `left` is what may still be read. `None`: the file has no more, or no more may be
    /// read.
    pub fn next(&mut self, left: &mut u64) -> io::Result<Option<Vec<u8>>> {
        loop {
            if self.rest.last() == Some(&b'\n') {
                self.rest.pop();
            }
            let end = self.rest.iter().rposition(|b| *b == b'\n').map(|i| i + 1);
            match end {
                Some(start) => return Ok(Some(self.rest.split_off(start))),
                None if self.at == 0 || self.rest.len() > LINE_MAX => {
                    let line = std::mem::take(&mut self.rest);
                    return Ok(Some(line).filter(|line| !line.is_empty()));
                }
                None if *left == 0 => return Ok(None),
                None => self.read_block(left)?,
            }
        }
    }

    fn read_block(&mut self, left: &mut u64) -> io::Result<()> {
        let size = BLOCK.min(self.at).min(*left);
        self.at -= size;
        *left -= size;
        self.file.seek(SeekFrom::Start(self.at))?;
        let mut block = vec![0; usize::try_from(size).unwrap_or(0)];
        if let Err(e) = self.file.read_exact(&mut block) {
            // Cleared while it is read.
            self.at = 0;
            return if e.kind() == io::ErrorKind::UnexpectedEof { Ok(()) } else { Err(e) };
        }
        // An ended line stays ended, however the blocks fall.
        block.append(&mut self.rest);
        self.rest = block;
        Ok(())
    }
}
