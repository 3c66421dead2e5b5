//! Runs that end before their statement does, seen from between client and server.

use super::*;

/// Stands between a client and its server, and writes down which connection, in their order, was
/// opened and which the client closed. When told to, it closes the client's side of the first and
/// leaves the server's open: what a broken network looks like to both.
struct Between {
    port: u16,
    seen: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
    cut: std::sync::Arc<tokio::sync::Notify>,
}

async fn between(server: &'static str) -> Between {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (seen, cut) = (std::sync::Arc::<std::sync::Mutex<Vec<String>>>::default(), std::sync::Arc::default());
    let (log, broken): (_, std::sync::Arc<tokio::sync::Notify>) = (seen.clone(), std::sync::Arc::clone(&cut));
    tokio::spawn(async move {
        for n in 0.. {
            let (mut client, _) = listener.accept().await.unwrap();
            log.lock().unwrap().push(format!("open {n}"));
            let (log, broken) = (log.clone(), broken.clone());
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {
                        log.lock().unwrap().push(format!("close {n}"));
                    }
                    () = broken.notified(), if n == 0 => {
                        drop(client);
                        std::future::pending::<()>().await;
                    }
                }
            });
        }
    });
    Between { port, seen, cut }
}

fn through(settings: &Settings, port: u16) -> Settings {
    let mut url = url::Url::parse(&settings.databases[0].url.0).unwrap();
    url.set_port(Some(port)).unwrap();
    let databases = vec![connection("it", settings.databases[0].kind, url.as_str())];
    Settings { databases, ..Settings::default() }
}

/// The run fails at once, and its statement does not go on for the rest of the hour.
#[tokio::test]
async fn a_broken_connection_does_not_leave_its_statement_behind() {
    let mark = unique("broken");
    for (settings, server, sleep, sql) in [
        (
            pg(),
            "127.0.0.1:5432",
            "pg_sleep(3000)",
            "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE",
        ),
        (
            my(),
            "127.0.0.1:3306",
            "SLEEP(3000)",
            "SELECT count(*) AS n FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND info LIKE",
        ),
    ] {
        let proxy = between(server).await;
        let count = format!("query,{sql} '%{mark}%'");
        let until = async |n: u8| {
            while rows(&settings, &count).await != json!([{ "n": n }]) {
                tokio::task::yield_now().await;
            }
        };
        let (there, raw) = (through(&settings, proxy.port), format!("query,SELECT {sleep} AS {mark}"));
        let watch = async {
            until(1).await;
            proxy.cut.notify_one();
        };
        let (report, ()) = tokio::join!(go(&there, &raw), watch);
        assert_eq!(report.outcome, Outcome::Failed, "{report:?}");
        until(0).await;
    }
}

/// As long as the connection is there, its number at the server is nobody else's.
#[tokio::test]
async fn a_cut_answer_is_ended_before_its_connection() {
    for (settings, server, sql) in [
        (pg(), "127.0.0.1:5432", "SELECT generate_series(1, 1000000000) AS n"),
        (my(), "127.0.0.1:3306", "SELECT seq AS n FROM seq_1_to_1000000000"),
    ] {
        let proxy = between(server).await;
        let report = go(&through(&settings, proxy.port), &format!("query,{sql}")).await;
        assert_eq!(report.result.as_deref(), Some("1000 rows, cut: there are more"), "{:?}", report.error);
        let seen = loop {
            let seen = proxy.seen.lock().unwrap().clone();
            if seen.len() >= 3 {
                break seen;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(seen[..2], ["open 0", "open 1"], "{seen:?}");
    }
}
