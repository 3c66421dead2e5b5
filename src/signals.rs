//! What the operating system tells us to do. Each platform's part is small and cfg-gated.

use std::io;

/// Words to stop: SIGTERM and SIGINT.
#[derive(Debug)]
pub(crate) struct StopSignals(platform::Stop);

impl StopSignals {
    /// From here on the signals come to us instead of ending the process.
    pub fn listen() -> io::Result<Self> {
        platform::Stop::listen().map(Self)
    }

    /// Waits for the next one.
    pub async fn recv(&mut self) {
        self.0.recv().await;
    }
}

/// The word to read the settings again: SIGHUP. Windows has none.
#[derive(Debug)]
pub(crate) struct ReloadSignals(platform::Reload);

impl ReloadSignals {
    /// From here on the signal comes to us instead of ending the process.
    pub fn listen() -> io::Result<Self> {
        platform::Reload::listen().map(Self)
    }

    /// Waits for the next one.
    pub async fn recv(&mut self) {
        self.0.recv().await;
    }
}

#[cfg(unix)]
mod platform {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    #[derive(Debug)]
    pub struct Reload(Signal);

    impl Reload {
        pub fn listen() -> std::io::Result<Self> {
            signal(SignalKind::hangup()).map(Self)
        }

        pub async fn recv(&mut self) {
            self.0.recv().await;
        }
    }

    #[derive(Debug)]
    pub struct Stop {
        term: Signal,
        int: Signal,
    }

    impl Stop {
        pub fn listen() -> std::io::Result<Self> {
            Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
        }

        pub async fn recv(&mut self) {
            tokio::select! {
                _ = self.term.recv() => {}
                _ = self.int.recv() => {}
            }
        }
    }
}

#[cfg(windows)]
mod platform {
    use tokio::signal::windows::{CtrlBreak, CtrlC, ctrl_break, ctrl_c};

    #[derive(Debug)]
    pub struct Reload;

    impl Reload {
        pub fn listen() -> std::io::Result<Self> {
            Ok(Self)
        }

        pub async fn recv(&mut self) {
            std::future::pending().await
        }
    }

    #[derive(Debug)]
    pub struct Stop {
        ctrl_c: CtrlC,
        ctrl_break: CtrlBreak,
    }

    impl Stop {
        pub fn listen() -> std::io::Result<Self> {
            Ok(Self { ctrl_c: ctrl_c()?, ctrl_break: ctrl_break()? })
        }

        pub async fn recv(&mut self) {
            tokio::select! {
                _ = self.ctrl_c.recv() => {}
                _ = self.ctrl_break.recv() => {}
            }
        }
    }
}
