//! One Python process: starting it, one call at a time, and its end. It owns the process, its wire and
//! its pipes; who may use it and for how long is the pool's and the caller's business.
//!
//! The wire is one end of a pair of sockets that the process finds as its fd 0, so there is no port
//! and no file that another could open, and no `pre_exec`, for which std would fork the whole server.

use super::catalog::{Generation, Source};
use super::protocol::{self, Answer, BOOT, Listed, Marks, Order, SHIM, Setup, Splitter};
use crate::exec::ChildStarted;
use crate::exec::command::{LINGER, READ_BUFFER, REAP, end_tree};
use crate::exec::environment::Environment;
use crate::exec::output::{Output, Sink};
use crate::exec::process::{self, Tree};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

/// Room in an answer for all but the value.
const ANSWER_ROOM: usize = 1 << 20;

/// A process that has been started, and our end of its wire. Until a call names its run, the mark stands there: what
/// is forked without exec shows the environment that the process began with.
pub fn spawn(
    python: &Path,
    instance: &str,
    mark: &str,
    environment: &Environment,
    output: fn() -> Stdio,
) -> io::Result<(Child, UnixStream)> {
    let (here, there) = std::os::unix::net::UnixStream::pair()?;
    here.set_nonblocking(true)?;
    let mut command = Command::new(python);
    command
        .args(["-c", BOOT, "timerjobs-worker"])
        .stdin(Stdio::from(OwnedFd::from(there)))
        .stdout(output())
        .stderr(output())
        .process_group(0)
        .kill_on_drop(true);
    for name in environment.hidden() {
        command.env_remove(name);
    }
    command.env(process::INSTANCE, instance).env(process::EXEC_ID, mark);
    Ok((command.spawn()?, UnixStream::from_std(here)?))
}

/// Sends the shim, the settings and the sources.
pub async fn set_up(
    wire: &mut UnixStream,
    folder: &Path,
    memory: u64,
    sources: impl Iterator<Item = &Source> + Clone,
    scan: Option<Vec<&str>>,
) -> io::Result<()> {
    let paths: Vec<String> =
        sources.clone().map(|source| source.path.to_string_lossy().into_owned()).collect();
    let listed = sources.clone().zip(&paths).map(|(source, path)| Listed { file: &source.file, path });
    let setup = Setup { folder: &folder.to_string_lossy(), memory, sources: listed.collect(), scan };
    let mut wire = BufWriter::new(wire);
    wire.write_all(format!("{:010}{SHIM}", SHIM.len()).as_bytes()).await?;
    protocol::write(&mut wire, &setup).await?;
    for source in sources {
        protocol::write_frame(&mut wire, &source.bytes).await?;
    }
    wire.flush().await
}

/// A process that takes calls.
#[derive(Debug)]
pub struct Worker {
    /// Whose sources it holds.
    pub generation: u64,
    pub started: ChildStarted,
    /// In the environment of what it forks, beside the run's of what that executes.
    mark: String,
    child: Child,
    wire: UnixStream,
    out: Stream<ChildStdout>,
    err: Stream<ChildStderr>,
    is_set_up: bool,
}

impl Worker {
    pub fn start(generation: &Generation, instance: &str, environment: &Environment) -> io::Result<Self> {
        let mark = protocol::nonce();
        let (mut child, wire) = spawn(&generation.python, instance, &mark, environment, Stdio::piped)?;
        let pid = child.id().unwrap_or(0);
        Ok(Self {
            generation: generation.id,
            started: ChildStarted { pid, start: process::start_time(pid).unwrap_or(0) },
            out: Stream::new(child.stdout.take()),
            err: Stream::new(child.stderr.take()),
            mark,
            child,
            wire,
            is_set_up: false,
        })
    }

    /// Whether it still runs: one that waits for work may have been killed from outside.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub fn tree(&self, exec_id: &str, instance: &str) -> Option<Tree> {
        Tree::of(&self.child, &[exec_id, &self.mark], instance)
    }

    /// Sends the sources when that has not been done; to be awaited to its end or not used again.
    pub async fn make_ready(
        &mut self,
        generation: &Generation,
        folder: &Path,
        memory: u64,
    ) -> io::Result<()> {
        if !self.is_set_up {
            let sources = generation.files.values().map(|loaded| &loaded.source);
            set_up(&mut self.wire, folder, memory, sources, None).await?;
            self.is_set_up = true;
        }
        Ok(())
    }

    /// One call. Its output is whole when this ends well. After an error, or when it was not awaited
    /// to its end, the process is good for nothing but `end`.
    pub async fn call(
        &mut self,
        order: &Order<'_>,
        marks: &Marks,
        output: &mut Output,
    ) -> io::Result<Answer> {
        let Self { wire, out, err, .. } = self;
        out.begin(marks);
        err.begin(marks);
        // Escapes may make six bytes of one.
        let room = order.limit.saturating_mul(6).saturating_add(ANSWER_ROOM);
        let asking = async {
            protocol::write(wire, order).await?;
            protocol::read(wire, room).await
        };
        let reading = async {
            tokio::join!(out.read(&mut output.stdout), err.read(&mut output.stderr));
        };
        tokio::pin!(asking, reading);
        let mut is_whole = false;
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut asking => break answer,
                () = &mut reading, if !is_whole => is_whole = true,
            }
        };
        if answer.is_ok() && !is_whole {
            // The marks were written before the answer.
            reading.await;
        }
        answer
    }

    /// Kills the process and what it started, and reads the last of its output. There is no TERM
    /// first: a Python program has no use for it unless it asks, and its place is wanted.
    pub async fn end(mut self, mut tree: Option<Tree>, output: &mut Output) -> Option<ExitStatus> {
        if let Some(tree) = &tree {
            tree.freeze();
            end_tree(tree, Duration::ZERO).await;
        }
        let status = timeout(REAP, self.child.wait()).await.ok()?.ok();
        if let Some(tree) = &mut tree {
            tree.disarm();
        }
        let rest = async {
            tokio::join!(self.out.read(&mut output.stdout), self.err.read(&mut output.stderr));
        };
        timeout(LINGER, rest).await.ok();
        self.out.finish(&mut output.stdout);
        self.err.finish(&mut output.stderr);
        status
    }

    /// Ends a process that has no call.
    pub async fn close(mut self) {
        self.child.kill().await.ok();
    }
}

/// One of the two pipes.
#[derive(Debug)]
struct Stream<R> {
    /// `None` when it is at its end.
    reader: Option<R>,
    buf: Vec<u8>,
    splitter: Option<Splitter>,
}

impl<R: AsyncRead + Unpin> Stream<R> {
    fn new(reader: Option<R>) -> Self {
        Self { reader, buf: vec![0; READ_BUFFER], splitter: None }
    }

    fn begin(&mut self, marks: &Marks) {
        self.splitter = Some(Splitter::new(marks));
    }

    /// Reads to the end of the call's output or of the pipe.
    async fn read(&mut self, sink: &mut Sink) {
        while let (Some(reader), Some(splitter)) = (&mut self.reader, &mut self.splitter) {
            match reader.read(&mut self.buf).await {
                Ok(n) if n > 0 => {
                    if splitter.feed(&self.buf[..n], sink) {
                        self.splitter = None;
                    }
                }
                _ => self.reader = None,
            }
        }
    }

    fn finish(&mut self, sink: &mut Sink) {
        if let Some(mut splitter) = self.splitter.take() {
            splitter.finish(sink);
        }
    }
}
