//! What goes over the wire to a Python process, and how the output of one call is told from that of
//! the next. It owns the frames and the marks, starts nothing and waits for nobody; the other end is
//! `workers/python.py`.

use crate::exec::output::Sink;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The program of the Python processes.
pub const SHIM: &str = include_str!("../../../../workers/python.py");

/// Reads the shim from fd 0 and becomes it: a command line of 9 kB would fill every `ps`. The folder
/// the server stands in is taken off the path first, so that a `json.py` there is nobody's `json`.
pub const BOOT: &str = "import os,sys\n\
    sys.path[:]=[p for p in sys.path if p]\n\
    def r(n,b=b''):\n\
    \twhile len(b)<n:\n\
    \t\tc=os.read(0,n-len(b))\n\
    \t\tif not c:os._exit(0)\n\
    \t\tb+=c\n\
    \treturn b\n\
    exec(compile(r(int(r(10))),'<timerjobs>','exec'))";

/// The first frame; each source follows it in a frame of its own.
#[derive(Debug, Serialize)]
pub struct Setup<'a> {
    pub folder: &'a str,
    /// Bytes of address space; 0: as much as there is.
    pub memory: u64,
    pub sources: Vec<Listed<'a>>,
    /// The files to scan; `None`: calls will follow.
    pub scan: Option<Vec<&'a str>>,
}

#[derive(Debug, Serialize)]
pub struct Listed<'a> {
    pub file: &'a str,
    pub path: &'a str,
}

/// One call.
#[derive(Debug, Serialize)]
pub struct Order<'a> {
    pub file: &'a str,
    pub name: &'a str,
    pub args: &'a [Value],
    pub env: BTreeMap<&'static str, String>,
    pub begin: &'a str,
    pub end: &'a str,
    /// Bytes of the value that are wanted.
    pub limit: usize,
}

/// How a call ended, when its process is still there to say so.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Answer {
    Value {
        value: String,
    },
    Raised {
        error: String,
        file: Option<String>,
        line: Option<u32>,
        /// The process may be short of memory: it is not used again.
        retire: bool,
    },
    /// The arguments do not fit.
    Arguments {
        error: String,
    },
    /// `sys.exit`.
    Exit {
        error: String,
        code: i32,
    },
}

/// What a scan says.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Found {
    Begin { file: String },
    Loaded { file: String, functions: Vec<super::catalog::Function> },
    Failed { file: String, line: Option<u32>, error: String },
    End,
}

pub async fn write_frame(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    to.write_all(&length.to_be_bytes()).await?;
    to.write_all(bytes).await
}

pub async fn write(to: &mut (impl AsyncWrite + Unpin), value: &impl Serialize) -> io::Result<()> {
    write_frame(to, &serde_json::to_vec(value)?).await
}

/// Reads a frame; one that is longer than `limit` is not what the shim sends.
pub async fn read<T: for<'de> Deserialize<'de>>(
    from: &mut (impl AsyncRead + Unpin),
    limit: usize,
) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the frame is too long"));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// The bytes that stand before and after the output of one call. Nobody prints them by chance or on
/// purpose: they are new for each call.
#[derive(Debug)]
pub struct Marks {
    pub begin: String,
    pub end: String,
}

impl Marks {
    pub fn new() -> Self {
        let nonce = nonce();
        Self { begin: format!("\0<{nonce}\0"), end: format!("\0>{nonce}\0") }
    }
}

/// A word that nobody has used before or will guess.
pub fn nonce() -> String {
    // Its keys come from the system's randomness; a crate for two numbers would be too much.
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}

/// Cuts the output of one call out of what comes through a pipe.
#[derive(Debug)]
pub struct Splitter {
    begin: Vec<u8>,
    end: Vec<u8>,
    phase: Phase,
    /// Bytes that may be the first part of a mark.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// What a thread of an earlier call still prints is nobody's.
    Before,
    Within,
    After,
}

impl Splitter {
    pub fn new(marks: &Marks) -> Self {
        let (begin, end) = (marks.begin.clone().into_bytes(), marks.end.clone().into_bytes());
        Self { begin, end, phase: Phase::Before, held: Vec::new() }
    }

    /// Takes what was read; says whether the call's output is whole.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut Sink) -> bool {
        let joined;
        let mut rest = if self.held.is_empty() {
            bytes
        } else {
            self.held.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.held);
            &joined[..]
        };
        loop {
            let mark = match self.phase {
                Phase::Before => &self.begin,
                Phase::Within => &self.end,
                Phase::After => return true,
            };
            let (at, whole) = find(rest, mark);
            if self.phase == Phase::Within {
                sink.push(&rest[..at]);
            }
            if !whole {
                self.held = rest[at..].to_vec();
                return false;
            }
            rest = &rest[at + mark.len()..];
            self.phase = if self.phase == Phase::Before { Phase::Within } else { Phase::After };
        }
    }

    /// Nothing more comes: what was held back was no mark.
    pub fn finish(&mut self, sink: &mut Sink) {
        let held = std::mem::take(&mut self.held);
        if self.phase == Phase::Within {
            sink.push(&held);
        }
    }
}

/// Where the mark stands, or else where its first part may stand at the end.
fn find(bytes: &[u8], mark: &[u8]) -> (usize, bool) {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|b| *b == mark[0]).map(|n| from + n) {
        let length = mark.len().min(bytes.len() - at);
        if bytes[at..at + length] == mark[..length] {
            return (at, length == mark.len());
        }
        from = at + 1;
    }
    (bytes.len(), false)
}

#[cfg(test)]
#[path = "protocol_test.rs"]
mod tests;
