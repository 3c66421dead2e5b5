//! A client that costs little, as it shares the machine with what it measures: bytes that are made before,
//! connections that are kept, and of an answer no more is read than its status and its length.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Client {
    pub async fn connect(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(64 << 10) })
    }

    /// Sends one whole request and reads its whole answer.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        self.read.clear();
        let head = loop {
            if let Some(at) = find(&self.read, b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let text = std::str::from_utf8(&self.read[..head]).map_err(io::Error::other)?;
        let status =
            text.get(9..12).and_then(|n| n.parse().ok()).ok_or_else(|| io::Error::other("no status"))?;
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let length = length.ok_or_else(|| io::Error::other("an answer without a length"))?;
        while self.read.len() < head + length {
            self.more().await?;
        }
        Ok(Answer { status, body: self.read[head..head + length].to_vec() })
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes()
}

pub fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// What many requests cost.
pub struct Load {
    /// Requests that were answered.
    pub asked: usize,
    pub per_second: f64,
    /// Milliseconds.
    pub p50: f64,
    pub p99: f64,
}

/// Asks on so many connections at once, each request after the answer to the one before; `request` makes the
/// n-th of all.
pub async fn load(
    to: SocketAddr,
    connections: usize,
    time: Duration,
    request: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static,
) -> Result<Load, String> {
    let (request, number) = (Arc::new(request), Arc::new(AtomicU64::new(0)));
    let began = Instant::now();
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            let (request, number) = (request.clone(), number.clone());
            tokio::spawn(async move {
                let mut client = Client::connect(to).await.map_err(|e| e.to_string())?;
                let mut took = Vec::new();
                while began.elapsed() < time {
                    let bytes = request(number.fetch_add(1, Ordering::Relaxed));
                    let at = Instant::now();
                    let answer = client.ask(&bytes).await.map_err(|e| e.to_string())?;
                    took.push(u32::try_from(at.elapsed().as_micros()).unwrap_or(u32::MAX));
                    if answer.status != 200 {
                        let body = String::from_utf8_lossy(&answer.body);
                        return Err(format!("status {}: {}", answer.status, &body[..body.len().min(200)]));
                    }
                }
                Ok(took)
            })
        })
        .collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.map_err(|e| e.to_string())??);
    }
    let seconds = began.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |part: f64| f64::from(percentile(&took, part)) / 1_000.0;
    Ok(Load { asked: took.len(), per_second: took.len() as f64 / seconds, p50: at(0.5), p99: at(0.99) })
}

/// Of sorted values; 0 of none.
pub fn percentile<T: Copy + Default>(sorted: &[T], part: f64) -> T {
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

/// What HTTP jobs call: it answers `ok` to everything that ends in an empty line.
pub async fn target() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.set_nodelay(true).ok();
            tokio::spawn(async move {
                let mut read = Vec::with_capacity(4 << 10);
                while stream.read_buf(&mut read).await.is_ok_and(|n| n > 0) {
                    if read.ends_with(b"\r\n\r\n") {
                        read.clear();
                        if stream.write_all(HELLO).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    Ok(address)
}
