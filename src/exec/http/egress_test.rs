//! Attacks on the egress rules, over real connections: redirects, names that change their answer,
//! proxies, kept connections, and keys that must not follow to another host.

use super::super::tests::{context, http};
use super::super::{Executor, Settings};
use super::tests::{Seen, answer, error, ok, read_request, response, serve};
use super::*;
use crate::domain::action::text::parse;
use crate::domain::action::{Action, Mode as JobMode};
use crate::domain::egress::{Allow, Mode, Own};
use crate::exec::egress::Lookup;
use futures_util::FutureExt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Answers each name from the table; several addresses with spaces between them.
fn names(table: &'static [(&'static str, &'static str)]) -> Lookup {
    Arc::new(|name| {
        let found = table.iter().find(|(known, _)| *known == name);
        let found = found.ok_or_else(|| std::io::Error::other("the test knows no such name"));
        std::future::ready(found.map(|(_, addrs)| addresses(addrs))).boxed()
    })
}

fn addresses(texts: &str) -> Vec<SocketAddr> {
    texts.split_whitespace().map(|addr| SocketAddr::new(addr.parse().expect("an address"), 0)).collect()
}

const NAMES: &[(&str, &str)] = &[
    ("here.test", "127.0.0.1"),
    ("there.test", "127.0.0.1"),
    ("meta.test", "169.254.169.254"),
    ("mapped.test", "::ffff:169.254.169.254 64:ff9b::a9fe:a9fe"),
    ("zero.test", "0.0.0.0 ::"),
    ("both.test", "127.0.0.2 169.254.169.254 127.0.0.1"),
];

fn rules(mode: Mode, allow: &str, own: u16) -> EgressRules {
    let own = Own { port: own, local: |_| false };
    EgressRules { mode, allow: Allow::parse(allow).expect("a list"), own: Some(own) }
}

fn executor(rules: EgressRules, lookup: Lookup) -> (Executor, Arc<Egress>) {
    let egress = Arc::new(Egress::with_lookup(rules, lookup));
    let settings = Settings { egress: egress.clone(), ..Settings::default() };
    (Executor::new(settings).expect("an executor"), egress)
}

async fn go(executor: &Executor, action: HttpAction) -> Report {
    executor.execute(&Action::Http(Box::new(action)), &context().0).await
}

/// A server that keeps its connections open and counts them.
async fn keeping() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                while read_request(&mut stream).await.is_some() {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                }
            });
        }
    });
    (address, count)
}

fn nothing_seen(seen: &mut UnboundedReceiver<Seen>) -> bool {
    seen.try_recv().is_err()
}

#[tokio::test]
async fn what_is_blocked_is_not_asked() {
    let (own, mut seen) = serve(|_| ok("text/plain", b"")).await;
    let port = own.port();
    let (executor, _) = executor(rules(Mode::Standard, "", port), names(NAMES));
    for (url, reason) in [
        ("http://169.254.169.254/latest/meta-data/".into(), "link-local"),
        ("https://2852039166/".into(), "link-local"),
        ("http://[::ffff:169.254.169.254]/".into(), "link-local"),
        (
            "http://user:pw@meta.test/".into(),
            "169.254.169.254 (meta.test) may not be reached: it is link-local",
        ),
        ("http://META.test./".into(), "could not be resolved"),
        ("http://mapped.test/".into(), "169.254.169.254 (mapped.test)"),
        ("http://metadata.google.internal./".into(), "the name of a cloud's metadata"),
        (format!("http://zero.test:{port}/health"), "unspecified"),
        (format!("http://0:{port}/health"), "unspecified"),
        (format!("http://127.0.0.1:{port}/jobs/list"), "own API"),
        (format!("http://127.1:{port}/jobs/list"), "own API"),
        (format!("http://127.44.0.1:{port}/jobs/list"), "own API"),
        (format!("http://here.test:{port}/jobs/list"), "own API"),
        (format!("http://here.test:{port}/health/../jobs/list"), "own API"),
        (format!("http://here.test:{port}/health/"), "own API"),
    ] {
        let report = go(&executor, http(&url)).await;
        assert_eq!(report.outcome, Outcome::Failed, "{url}");
        assert!(error(&report).contains(reason), "{url}: {}", error(&report));
        assert_eq!(report.http.expect("a request").status, None, "{url}");
    }
    assert!(nothing_seen(&mut seen));
}

#[tokio::test]
async fn of_our_own_api_only_the_health_may_be_asked() {
    let (own, count) = keeping().await;
    let (executor, _) = executor(rules(Mode::Standard, "127.0.0.1", own.port()), names(NAMES));
    let at = |host: &str, path: &str| http(&format!("http://{host}:{}{path}", own.port()));
    for (turn, host) in ["127.0.0.1", "here.test"].into_iter().enumerate() {
        for method in ["GET", "HEAD"] {
            let action = HttpAction { method: method.into(), ..at(host, "/health?x=1") };
            assert_eq!(go(&executor, action).await.outcome, Outcome::Success, "{method}");
        }
        let blocked = [
            HttpAction { method: "POST".into(), ..at(host, "/health") },
            HttpAction { data: Some("GET /jobs/list HTTP/1.1".into()), ..at(host, "/health") },
            at(host, "/jobs/list"),
        ];
        for action in blocked {
            let report = go(&executor, action).await;
            assert!(error(&report).contains("own API"), "{}", error(&report));
        }
        // Had one been kept, the next request would have found it and asked nobody.
        assert_eq!(count.load(Ordering::Relaxed), 2 * (turn + 1), "each had a connection of its own");
    }
}

#[tokio::test]
async fn each_redirect_is_checked_again() {
    let (own, mut asked) = serve(|_| ok("text/plain", b"")).await;
    let port = own.port();
    let (executor, _) = executor(rules(Mode::Standard, "", port), names(NAMES));
    for (location, reason) in [
        ("http://169.254.169.254/latest/".into(), "link-local"),
        ("//0xA9.0xFE.43518/".into(), "link-local"),
        ("http://[64:ff9b::a9fe:a9fe]/".into(), "stands for 169.254.169.254"),
        ("http://meta.test/".into(), "169.254.169.254 (meta.test)"),
        ("http://metadata.google.internal/".into(), "metadata"),
        (format!("http://127.0.0.1:{port}/jobs/add"), "own API"),
        (format!("http://localhost:{port}/jobs/add"), "own API"),
        (format!("http://here.test:{port}/jobs/add"), "own API"),
        (format!("//here.test:{port}/jobs/add"), "own API"),
        ("file:///etc/passwd".into(), "neither http nor https"),
    ] {
        for status in ["302 Found", "307 Temporary Redirect"] {
            let told = location.clone();
            // A hop in between that is allowed changes nothing.
            let (address, _seen) = serve(move |seen| {
                let on = if seen.head.contains("/first") { "/second" } else { told.as_str() };
                answer(status, &format!("Location: {on}\r\n"), b"")
            })
            .await;
            // This one knows localhost as the system does.
            let action = HttpAction { method: "POST".into(), ..http(&format!("http://{address}/first")) };
            let executor = if location.contains("localhost") {
                let egress = Arc::new(Egress::new(rules(Mode::Standard, "", port)));
                Executor::new(Settings { egress, ..Settings::default() }).expect("an executor")
            } else {
                executor.clone()
            };
            let report = go(&executor, action).await;
            assert_eq!(report.outcome, Outcome::Failed, "{location}");
            assert!(error(&report).contains(reason), "{location}: {}", error(&report));
        }
    }
    assert!(nothing_seen(&mut asked), "our own API was not asked");
    let health = format!("http://127.0.0.1:{port}/health");
    let (address, _seen) = serve(move |_| answer("302 Found", &format!("Location: {health}\r\n"), b"")).await;
    assert_eq!(go(&executor, http(&format!("http://{address}/"))).await.outcome, Outcome::Success);
}

#[tokio::test]
async fn a_name_is_resolved_once_and_the_answer_is_what_is_connected_to() {
    let (address, mut seen) = serve(|_| ok("text/plain", b"fine")).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    // Good when it is looked at, bad a moment later.
    let lookup: Lookup = Arc::new(move |_| {
        let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
        std::future::ready(Ok(addresses(if first { "127.0.0.1" } else { "169.254.169.254" }))).boxed()
    });
    let (executor, _) = executor(rules(Mode::Standard, "", 1), lookup);
    let action = http(&format!("http://rebound.test:{}/", address.port()));
    assert_eq!(response(&go(&executor, action.clone()).await), "fine");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert!(seen.recv().await.is_some());
    let report = go(&executor, action).await;
    assert!(error(&report).starts_with("169.254.169.254 (rebound.test) may not"), "{}", error(&report));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert!(nothing_seen(&mut seen));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn of_several_addresses_only_those_that_pass_are_tried() {
    let (address, mut seen) = serve(|_| ok("text/plain", b"fine")).await;
    let other = TcpListener::bind(("127.0.0.2", address.port())).await.expect("a second loopback address");
    let (executor, _) = executor(rules(Mode::AllowList, "127.0.0.1", 1), names(NAMES));
    let report = go(&executor, http(&format!("http://both.test:{}/", address.port()))).await;
    assert_eq!(response(&report), "fine", "{:?}", report.error);
    assert!(seen.recv().await.is_some());
    assert!(other.accept().now_or_never().is_none(), "nobody came to the one that is not listed");
}

#[tokio::test]
async fn a_kept_connection_ends_with_the_rules_it_was_made_under() {
    let (address, count) = keeping().await;
    let (executor, egress) = executor(rules(Mode::Standard, "", 1), names(NAMES));
    let action = http(&format!("http://here.test:{}/", address.port()));
    for _ in 0..2 {
        assert_eq!(response(&go(&executor, action.clone()).await), "ok");
        egress.configure(Mode::Standard, Allow::default());
    }
    assert_eq!(count.load(Ordering::Relaxed), 1, "the second request went over the first's connection");
    egress.configure(Mode::PublicOnly, Allow::default());
    let report = go(&executor, action.clone()).await;
    assert!(error(&report).contains("it is this machine"), "{}", error(&report));
    egress.configure(Mode::Off, Allow::default());
    assert_eq!(response(&go(&executor, action).await), "ok");
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn the_administrators_own_urls_are_not_checked_and_lend_nobody_their_connections() {
    let (address, count) = keeping().await;
    let egress = Arc::new(Egress::new(rules(Mode::PublicOnly, "", address.port())));
    let client = Http::new(1 << 20, egress).expect("a client");
    let (ctx, _told) = context();
    for url in [format!("http://localhost:{}/", address.port()), format!("http://{address}/")] {
        let report = client.run_unguarded(&http(&url), &ctx, 100).await;
        assert_eq!(response(&report), "ok", "{:?}", report.error);
        let report = client.run(&http(&url), &ctx, 100).await;
        assert!(error(&report).contains("it is this machine"), "{}", error(&report));
    }
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn proxies_are_checked_and_what_they_would_reach_as_far_as_it_is_seen() {
    let (proxy, mut seen) = serve(|_| ok("text/plain", b"by proxy")).await;
    let (own, mut asked) = serve(|_| ok("text/plain", b"")).await;
    let port = own.port();
    let via = |proxy: &str, url: &str| HttpAction { proxy: Some(proxy.parse().expect("a URL")), ..http(url) };
    let through = format!("http://{proxy}");
    let socks = format!("socks5://{proxy}");
    let (standard, _) = executor(rules(Mode::Standard, "", port), names(NAMES));
    for (proxy, url, reason) in [
        // The proxy itself: our own API takes a request for any host, also /health.
        (format!("http://{own}"), "http://localhost/jobs/add".into(), "own API"),
        (format!("http://here.test:{port}"), "http://localhost/health".into(), "own API"),
        (format!("socks5://{own}"), "http://x.test/".into(), "own API"),
        (format!("socks5h://here.test:{port}"), "http://x.test/".into(), "own API"),
        ("http://169.254.169.254:80".into(), "http://x.test/".into(), "link-local"),
        ("socks5h://[::ffff:169.254.169.254]:80".into(), "http://x.test/".into(), "link-local"),
        ("https://meta.test".into(), "https://x.test/".into(), "169.254.169.254 (meta.test)"),
        // What it is asked for, when that is an address or a known name.
        (through.clone(), "http://169.254.169.254/".into(), "link-local"),
        (through.clone(), "http://metadata/".into(), "metadata"),
        (through.clone(), format!("http://127.0.0.1:{port}/health"), "own API"),
        (through.clone(), format!("http://localhost:{port}/jobs/list"), "own API"),
        // Here we resolve, so here we see.
        (socks.clone(), "http://meta.test/".into(), "169.254.169.254 (meta.test)"),
        (socks.clone(), format!("http://here.test:{port}/health"), "own API"),
        (socks, "http://[::ffff:169.254.169.254]/".into(), "link-local"),
    ] {
        let report = go(&standard, via(&proxy, &url)).await;
        assert!(error(&report).contains(reason), "{proxy} {url}: {}", error(&report));
    }
    let list = format!("{}, *.test", proxy.ip());
    let (listed, _) = executor(rules(Mode::AllowList, &list, port), names(NAMES));
    let report = go(&listed, via(&through, "http://target.example/")).await;
    assert!(error(&report).starts_with("target.example may not be reached"), "{}", error(&report));
    assert!(nothing_seen(&mut seen) && nothing_seen(&mut asked));
    assert_eq!(response(&go(&listed, via(&through, "http://a.test/")).await), "by proxy");
}

#[tokio::test]
async fn keys_do_not_follow_to_another_host() {
    let (tell, mut told) = unbounded_channel();
    let (target, mut seen) = serve(|_| ok("text/plain", b"there")).await;
    let (address, _seen) = serve(move |seen| {
        let status = seen.head.split(['/', ' ']).nth(2)?;
        if seen.head.contains("/here") {
            tell.send(seen.head.clone()).ok()?;
            return answer(
                &format!("{status} Go"),
                &format!("Location: http://there.test:{}/x\r\n", target.port()),
                b"",
            );
        }
        answer("307 Go", &format!("Location: /{status}/here\r\n"), b"")
    })
    .await;
    let (executor, _) = executor(rules(Mode::Standard, "", 1), names(NAMES));
    let headers = [
        ("X-Api-Key", "s3cret"),
        ("Proxy-Authorization", "s3cret"),
        ("Cookie", "s=s3cret"),
        ("Host", "s3cret.test"),
        ("Referer", "http://s3cret.test/"),
        ("Accept", "text/x"),
        ("Accept-Language", "zh"),
        ("User-Agent", "mine/1"),
    ];
    for (status, method) in [(302, "GET"), (308, "POST")] {
        let action = HttpAction {
            method: "POST".into(),
            data: Some("[1]".into()),
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            ..http(&format!("http://me:s3cret@here.test:{}/{status}", address.port()))
        };
        let report = go(&executor, action).await;
        assert_eq!(response(&report), "there", "{:?}", report.error);
        // On the same host everything goes along.
        let same = told.recv().await.expect("a request");
        for (name, value) in headers {
            assert!(
                same.contains(&format!("{}: {value}\r\n", name.to_ascii_lowercase())),
                "{name} in {same}"
            );
        }
        assert!(same.contains("authorization: Basic bWU6czNjcmV0"), "{same}");
        let other = seen.recv().await.expect("a request");
        assert!(other.head.starts_with(&format!("{method} /x ")), "{}", other.head);
        assert!(!other.head.contains("s3cret") && !other.head.contains("authorization"), "{}", other.head);
        for line in ["accept: text/x", "accept-language: zh", "user-agent: mine/1"] {
            assert!(other.has(line), "{line} in {}", other.head);
        }
        assert!(other.has(&format!("host: there.test:{}", target.port())), "{}", other.head);
        assert_eq!(other.has("content-type: application/json"), method == "POST", "{}", other.head);
    }
}

#[tokio::test]
async fn functions_are_under_the_same_rules() {
    let (address, mut seen) = serve(|_| ok("text/plain", b"")).await;
    let (port, open) = (address.port(), format!("Monitor port,{address}"));
    let (own, _) = executor(rules(Mode::Standard, "", port), names(NAMES));
    let (public, _) = executor(rules(Mode::PublicOnly, "", 1), names(NAMES));
    for (executor, call, reason) in [
        (&own, format!("Webhook http://{address}/jobs/add,{{}}"), "own API"),
        (&own, format!("Webhook http://{address}/health,{{}}"), "own API"),
        (&own, "Webhook http://meta.test/,{}".into(), "169.254.169.254 (meta.test)"),
        (&own, format!("Monitor url,http://here.test:{port}/jobs/list"), "own API"),
        (&own, "Monitor url,http://169.254.169.254/".into(), "link-local"),
        (&own, "Monitor port,169.254.169.254:80".into(), "link-local"),
        (&own, "Monitor port,[::ffff:169.254.169.254]:80".into(), "link-local"),
        (&own, "Monitor port,meta.test:80".into(), "169.254.169.254 (meta.test)"),
        (&own, "Monitor port,metadata.google.internal:80".into(), "metadata"),
        (&own, "Monitor port,here.test:http".into(), "the port is no number"),
        (&public, open.clone(), "it is this machine"),
        (&public, format!("Monitor port,here.test:{port}"), "127.0.0.1 (here.test)"),
        (&public, format!("Monitor url,http://{address}/"), "it is this machine"),
    ] {
        let action = parse(JobMode::Func, &call).expect("a call");
        let report = executor.execute(&action, &context().0).await;
        assert!(error(&report).contains(reason), "{call}: {}", error(&report));
    }
    assert!(nothing_seen(&mut seen));
    for call in [open, format!("Monitor url,http://here.test:{port}/health")] {
        let action = parse(JobMode::Func, &call).expect("a call");
        let report = own.execute(&action, &context().0).await;
        assert_eq!(report.outcome, Outcome::Success, "{call}: {:?}", report.error);
    }
}
