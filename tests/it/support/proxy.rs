//! Stands between the server and its database, and does what networks do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    Well,
    /// Connections are cut and new ones refused: the database is down.
    Down,
    /// Nothing passes and nobody says so. What was under way arrives when the network is well again.
    Silent,
    /// The connections that are there now stay silent for ever; new ones work.
    Forgetful,
    /// The next commit reaches the database, and its answer does not come back: the connection is cut.
    CutAfterCommit,
}

pub struct Proxy {
    pub port: u16,
    network: watch::Sender<Network>,
    /// Connections that were made, over all.
    made: Arc<AtomicUsize>,
}

impl Proxy {
    /// Before the server that listens on this port.
    pub async fn before(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (network, seen) = watch::channel(Network::Well);
        let made = Arc::new(AtomicUsize::new(0));
        tokio::spawn(listen(listener, target, seen, network.clone(), made.clone()));
        Self { port, network, made }
    }

    pub fn turn(&self, network: Network) {
        self.network.send_replace(network);
    }

    /// What it has become: the commit that was waited for has been cut off.
    pub async fn becomes(&self, wanted: Network) {
        self.network.subscribe().wait_for(|now| *now == wanted).await.unwrap();
    }

    pub fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }
}

async fn listen(
    mut listener: TcpListener,
    target: u16,
    mut seen: watch::Receiver<Network>,
    network: watch::Sender<Network>,
    made: Arc<AtomicUsize>,
) {
    let address = listener.local_addr().unwrap();
    loop {
        while let Some(client) = accept_while_up(&listener, &mut seen).await {
            made.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(pass(client, target, network.clone()));
        }
        drop(listener);
        if seen.wait_for(|now| *now != Network::Down).await.is_err() {
            return;
        }
        listener = TcpListener::bind(address).await.unwrap();
    }
}

async fn accept_while_up(listener: &TcpListener, seen: &mut watch::Receiver<Network>) -> Option<TcpStream> {
    tokio::select! {
        biased;
        _ = seen.wait_for(|now| *now == Network::Down) => None,
        accepted = listener.accept() => Some(accepted.unwrap().0),
    }
}

/// Carries bytes both ways while the network is well.
async fn pass(mut client: TcpStream, target: u16, network: watch::Sender<Network>) {
    let mut seen = network.subscribe();
    seen.mark_unchanged();
    if passes(&mut seen, true).await.is_err() {
        return;
    }
    let mut server = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    let mut cut = false;
    loop {
        tokio::select! {
            biased;
            changed = seen.changed() => if changed.is_err() || passes(&mut seen, false).await.is_err() { return },
            n = client.read(&mut asked) => {
                let Ok(n @ 1..) = n else { return };
                let commit = asked[..n].windows(6).any(|part| part == b"COMMIT");
                cut = commit && *seen.borrow() == Network::CutAfterCommit;
                if server.write_all(&asked[..n]).await.is_err() { return }
            }
            n = server.read(&mut answered) => {
                let Ok(n @ 1..) = n else { return };
                if cut {
                    // It has committed, and only we know.
                    network.send_replace(Network::Well);
                    return;
                }
                if client.write_all(&answered[..n]).await.is_err() { return }
            }
        }
    }
}

/// Waits until the network lets this connection's bytes through; an error: never again.
async fn passes(seen: &mut watch::Receiver<Network>, new: bool) -> Result<(), ()> {
    loop {
        let now = *seen.borrow_and_update();
        match now {
            Network::Well | Network::CutAfterCommit => return Ok(()),
            Network::Down => return Err(()),
            Network::Forgetful if new => return Ok(()),
            Network::Forgetful => std::future::pending().await,
            Network::Silent => seen.changed().await.map_err(drop)?,
        }
    }
}
