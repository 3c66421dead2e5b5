//! Sends what is written to a database server at once. The SQL library (0.9.0) leaves Nagle's algorithm on:
//! the end of a statement above 16 KB then waits for the server's delayed acknowledgement, 40 ms each, and
//! a turn of the engine has ten such statements. The library gives nobody its sockets, so they are found
//! among the process's own, by the port of their other end.

use rustix::fs::{Dir, Mode, OFlags, open};
use rustix::net::{SocketAddrAny, getpeername, sockopt};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

/// Turns the waiting off for every connection of this process to a server's `port`. Where it cannot, the
/// connection is slow, and nothing else.
pub(super) fn set(port: u16) {
    let Ok(fds) = open("/proc/self/fd", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    else {
        return;
    };
    let Ok(fds) = Dir::new(fds) else { return };
    for fd in fds.flatten().filter_map(|entry| entry.file_name().to_str().ok()?.parse().ok()) {
        // SAFETY: it is asked who its other end is and told one option, nothing is read or closed; one that
        // was closed meanwhile refuses both, and one that became another connection to the same port is meant.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        if getpeername(fd).ok().flatten().is_some_and(|peer| is_port(peer, port)) {
            sockopt::set_tcp_nodelay(fd, true).ok();
        }
    }
}

fn is_port(peer: SocketAddrAny, port: u16) -> bool {
    SocketAddr::try_from(peer).is_ok_and(|peer| peer.port() == port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn only_connections_to_the_port_are_told() {
        let [ours, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let connect = |to: &TcpListener| TcpStream::connect(to.local_addr().unwrap()).unwrap();
        let (to_ours, to_other) = (connect(&ours), connect(&other));
        set(ours.local_addr().unwrap().port());
        assert!(to_ours.nodelay().unwrap());
        assert!(!to_other.nodelay().unwrap());
    }
}
