//! The sockets beneath the API: who is accepted, how long a client may take for what, and how
//! connections end. What a request means is none of its business.
//!
//! - `crowd` knows the open connections, finds those that are overdue, and makes room.
//! - `watched` sees what moves on a connection, and when an answer has left.
//!
//! A client that is slow costs a place, nothing more: when all places are taken, the connection that has
//! waited longest for its client's next word gives way to the new one. So thousands of silent ones keep
//! nobody out, and nothing has to be guessed about who is hostile.

mod crowd;
mod watched;

use super::{Access, Api, router};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
pub(super) use crowd::Connection;
use crowd::{Crowd, Member, Sweep};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tower_service::Service;
use watched::{Leaving, Watched};

/// How often is looked for connections that are overdue.
const TICK: Duration = Duration::from_millis(250);
/// The head of a request: its first line and all headers. More is answered with 431.
const HEAD_MAX: usize = 32 << 10;
/// What is read ahead of a connection at most, and what is kept of an answer that is not taken.
const BUFFER_MAX: usize = 64 << 10;
/// The kernel's share of an answer that is not taken. It is also what makes a stuck client known: with
/// megabytes between us a slow line looks like a stuck one for minutes.
#[cfg(unix)]
const SEND_BUFFER: usize = 128 << 10;
/// Connections that wait to be accepted.
#[cfg(unix)]
const BACKLOG: i32 = 4_096;
/// After an error that is the machine's, not a client's: no spinning.
const BREATH: Duration = Duration::from_millis(100);
/// Between two lines of the log about the same trouble.
const SAY_AGAIN: Sweep = Sweep(240);

/// How many clients there may be, and how long they may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// For the whole head of a request, and between two pieces of its body.
    pub timeout: Duration,
}

impl Limits {
    /// Connections of one source, which is neither this machine nor a trusted proxy.
    fn per_source(self) -> usize {
        self.connections.div_ceil(4)
    }

    /// Between an answer and the next request. Longer than proxies keep theirs: whoever closes first should
    /// be the one that knows whether it is about to ask.
    fn idle(self) -> Duration {
        self.timeout * 8
    }

    /// Without taking anything of its answer. A slow line takes the kernel's buffer in one go.
    fn stuck(self) -> Duration {
        self.timeout * 3
    }

    /// For the whole body of a request.
    pub fn body(self) -> Duration {
        self.timeout * 6
    }

    /// For a file.
    pub fn file(self) -> Duration {
        self.timeout * 60
    }
}

/// Serves until it is closing and the requests under way have their answers.
pub async fn serve(api: Arc<Api>, listener: TcpListener, port: u16, mut closing: watch::Receiver<bool>) {
    // The library's 128 are gone in a moment when a thousand clients come at once; who finds no place there
    // tries again a second later.
    #[cfg(unix)]
    rustix::net::listen(&listener, BACKLOG).ok();
    let router = router(api.clone(), port);
    let crowd = Arc::new(Crowd::default());
    let mut tasks = JoinSet::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (closed, mut trouble) = (closing.clone(), Trouble::default());
    loop {
        tokio::select! {
            () = told(&mut closing) => break,
            Some(_) = tasks.join_next() => {}
            // Without a client the server sleeps.
            _ = tick.tick(), if !crowd.is_empty() => crowd.sweep(api.access().limits),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let access = api.access();
                    let near = is_near(&access, peer.ip());
                    match crowd.admit(peer.ip(), near, access.limits) {
                        Some(member) => {
                            let (router, closed) = (router.clone(), closed.clone());
                            tasks.spawn(attend(stream, peer, member, router, closed));
                        }
                        None => refuse(&stream),
                    }
                }
                // The client went before we looked.
                Err(e) if is_of_client(&e) => {}
                Err(e) => {
                    crowd.make_room();
                    trouble.say(crowd.now(), &e);
                    tokio::time::sleep(BREATH).await;
                }
            },
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

async fn told(closing: &mut watch::Receiver<bool>) {
    closing.wait_for(|closing| *closing).await.ok();
}

/// This machine, and proxies that speak for many: one bad client behind them must not count for all.
fn is_near(access: &Access, peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    peer.is_loopback() || access.trusted_proxies.iter().any(|net| net.contains(&peer))
}

fn is_of_client(e: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(e.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Errors of `accept`, which come by the thousand when descriptors run out.
#[derive(Default)]
struct Trouble(Option<Sweep>);

impl Trouble {
    fn say(&mut self, now: Sweep, e: &io::Error) {
        if self.0.is_none_or(|said| now.since(said) >= SAY_AGAIN) {
            self.0 = Some(now);
            tracing::error!(error = %e, "connections cannot be accepted; with too many open files raise the limit (ulimit -n, LimitNOFILE=) or lower MAX_CONNECTIONS");
        }
    }
}

/// One connection to its end.
async fn attend(
    stream: TcpStream,
    peer: SocketAddr,
    member: Member,
    router: axum::Router,
    mut closed: watch::Receiver<bool>,
) {
    tune(&stream);
    let connection = member.0.clone();
    let of_request = connection.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        answer(request, peer, of_request.clone(), router.clone())
    });
    let io = TokioIo::new(Watched::new(stream, connection.clone()));
    let mut http = http1::Builder::new();
    // Times are kept by the crowd: hyper knows one for a silent client and for a slow head, and says nothing.
    http.header_read_timeout(None).max_header_size(HEAD_MAX).max_buf_size(BUFFER_MAX);
    let mut served = http.serve_connection(io, service);
    let mut leaving = false;
    loop {
        tokio::select! {
            ended = &mut served => {
                if let Err(e) = ended {
                    tracing::debug!(%peer, error = %e, "a connection ended");
                }
                break;
            }
            () = connection.cut() => {
                tracing::debug!(%peer, "a connection was closed: its client was too slow, or others wanted its place");
                if connection.is_late() {
                    last_words(served.into_parts().io.inner().stream(), LATE);
                }
                break;
            }
            () = told(&mut closed), if !leaving => {
                leaving = true;
                std::pin::Pin::new(&mut served).graceful_shutdown();
            }
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    connection: Arc<Connection>,
    mut router: axum::Router,
) -> Result<Response<Leaving>, Infallible> {
    connection.asked(&request);
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(connection.clone());
    let answer = router.call(request).await?;
    Ok(answer.map(|body| Leaving::new(body, connection)))
}

fn tune(stream: &TcpStream) {
    // Events are small and should come at once.
    stream.set_nodelay(true).ok();
    #[cfg(unix)]
    rustix::net::sockopt::set_socket_send_buffer_size(stream, SEND_BUFFER).ok();
}

const LATE: &str = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
const FULL: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Type: application/json; charset=utf-8\r\nConnection: close\r\nContent-Length: 68\r\n\r\n{\"code\":503,\"msg\":\"连接过多 / too many connections\",\"data\":null}";

/// Not even its request is read.
fn refuse(stream: &TcpStream) {
    last_words(stream, FULL);
}

/// Whoever does not take it misses it: nobody waits for a client that is being sent away.
fn last_words(stream: &TcpStream, words: &str) {
    stream.try_write(words.as_bytes()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_without_a_library_is_whole() {
        let (head, body) = FULL.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
        assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["code"], 503);
        assert!(LATE.ends_with("Content-Length: 0\r\n\r\n"));
    }
}
