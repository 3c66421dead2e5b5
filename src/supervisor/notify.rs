//! What systemd wants to hear (sd_notify): ready, stopping, still alive. Without `NOTIFY_SOCKET`
//! every call does nothing.

use std::time::Duration;

/// Tells the service manager; a manager that does not listen is no trouble of ours.
#[cfg(target_os = "linux")]
pub fn tell(state: &str) {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(hidden) => SocketAddr::from_abstract_name(hidden),
        None => SocketAddr::from_pathname(&name),
    };
    let sent = address.and_then(|to| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &to));
    if let Err(e) = sent {
        tracing::debug!("NOTIFY_SOCKET: {e}");
    }
}

#[cfg(not(target_os = "linux"))]
pub fn tell(_: &str) {}

/// Says `WATCHDOG=1` twice in each interval that the service manager asks for; ends only when dropped.
pub async fn feed_watchdog() {
    let asked = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
    let Some(micros) = asked.filter(|micros| *micros > 0) else { return std::future::pending().await };
    let mut tick = tokio::time::interval(Duration::from_micros(micros) / 2);
    loop {
        tick.tick().await;
        tell("WATCHDOG=1");
    }
}
