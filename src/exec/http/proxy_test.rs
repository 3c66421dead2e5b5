//! Proxies with credentials, and what is said when a request fails on its way.

use super::super::tests::http;
use super::tests::{Seen, answer, converse, error, get, ok, response, run, serve};
use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

#[tokio::test]
async fn errors_are_said_in_words() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let report = run(http(&format!("http://u:s3cret@{closed}/"))).await;
    assert!(error(&report).starts_with("the connection was refused: "), "{}", error(&report));
    assert!(report.error.as_ref().is_some_and(|e| e.zh.starts_with("连接被拒绝：")));
    assert!(!format!("{report:?}").contains("s3cret"));
    assert_eq!(report.http.expect("a request").url, format!("http://u:***@{closed}/"));

    let report = run(http("http://no-such-host.invalid/")).await;
    assert!(error(&report).starts_with("the host name could not be resolved: "), "{}", error(&report));

    let (plain, _seen) = serve(|_| ok("text/plain", b"")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let garbage = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"this is not TLS at all\r\n").await;
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    let report = run(http(&format!("https://{garbage}/"))).await;
    assert!(error(&report).starts_with("the TLS connection failed: "), "{}", error(&report));
    let report = run(http(&format!("http://{garbage}/"))).await;
    assert!(error(&report).starts_with("the request failed: "), "{}", error(&report));
    assert_eq!(get(plain).await.outcome, Outcome::Success);
}

#[tokio::test]
async fn an_http_proxy_gets_the_credentials_and_the_target_does_not() {
    let (proxy, mut seen) = serve(|_| ok("text/plain", b"by proxy")).await;
    let action = HttpAction {
        proxy: Some(format!("http://me:p%40ss@{proxy}").parse().expect("a URL")),
        ..http("http://target.invalid/path")
    };
    let report = run(action.clone()).await;
    assert_eq!(response(&report), "by proxy", "{:?}", report.error);
    let request = seen.recv().await.expect("a request");
    assert!(request.head.starts_with("GET http://target.invalid/path HTTP/1.1"), "{}", request.head);
    assert!(request.has("proxy-authorization: Basic bWU6cEBzcw=="), "{}", request.head);

    // Through a tunnel: the credentials go to the proxy, and its refusal is told without them.
    let (proxy, mut seen) = serve(|_| answer("407 Proxy Authentication Required", "", b"")).await;
    let action = HttpAction {
        proxy: Some(format!("http://me:s3cret@{proxy}").parse().expect("a URL")),
        ..http("https://target.invalid/")
    };
    let report = run(action).await;
    let request = seen.recv().await.expect("a request");
    assert!(request.head.starts_with("CONNECT target.invalid:443 "), "{}", request.head);
    assert!(
        request.has("Proxy-Authorization: Basic bWU6czNjcmV0")
            || request.has("proxy-authorization: Basic bWU6czNjcmV0"),
        "{}",
        request.head
    );
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(error(&report).contains(&format!("(proxy http://me:***@{proxy}/)")), "{}", error(&report));
    assert!(!format!("{report:?}").contains("s3cret"), "{report:?}");
}

/// Speaks the server's side of SOCKS 5 with user and password, tells the target, then answers.
async fn socks(listener: TcpListener, tell: UnboundedSender<String>) -> Option<()> {
    let (mut stream, _) = listener.accept().await.ok()?;
    let mut methods = vec![0; 2];
    stream.read_exact(&mut methods).await.ok()?;
    methods.resize(methods[1] as usize, 0);
    stream.read_exact(&mut methods).await.ok()?;
    assert!(methods.contains(&2), "it offers user and password");
    stream.write_all(&[5, 2]).await.ok()?;
    let mut said = String::new();
    stream.read_u8().await.ok()?;
    for _ in 0..2 {
        let mut part = vec![0; stream.read_u8().await.ok()? as usize];
        stream.read_exact(&mut part).await.ok()?;
        said += &format!("{} ", String::from_utf8_lossy(&part));
    }
    stream.write_all(&[1, 0]).await.ok()?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.ok()?;
    let mut target = vec![0; if head[3] == 3 { stream.read_u8().await.ok()? as usize } else { 4 }];
    stream.read_exact(&mut target).await.ok()?;
    said += &if head[3] == 3 { String::from_utf8_lossy(&target).into_owned() } else { format!("{target:?}") };
    said += &format!(" {}", stream.read_u16().await.ok()?);
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()?;
    tell.send(said).ok()?;
    converse(stream, &|_: &Seen| ok("text/plain", b"by socks"), |_| ()).await;
    Some(())
}

#[tokio::test]
async fn a_proxy_of_an_unknown_kind_is_not_passed_by() {
    let (address, mut seen) = serve(|_| ok("text/plain", b"")).await;
    let action = HttpAction {
        proxy: Some("ftp://127.0.0.1:9".parse().expect("a URL")),
        ..http(&format!("http://{address}/"))
    };
    assert!(error(&run(action).await).contains("not supported: ftp"));
    assert!(seen.try_recv().is_err(), "nothing went out directly");
}

#[tokio::test]
async fn socks_proxies_get_credentials_and_resolve_names_when_asked_to() {
    for (scheme, host, target) in
        [("socks5h", "target.invalid", "target.invalid 81"), ("socks5", "localhost", "[127, 0, 0, 1] 81")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (tell, mut told) = unbounded_channel();
        tokio::spawn(socks(listener, tell));
        let action = HttpAction {
            proxy: Some(format!("{scheme}://me:p%40ss@{address}").parse().expect("a URL")),
            ..http(&format!("http://{host}:81/"))
        };
        let report = run(action).await;
        assert_eq!(response(&report), "by socks", "{scheme}: {:?}", report.error);
        assert_eq!(told.recv().await.expect("a target"), format!("me p@ss {target}"));
    }
}

/// Runs in a process of its own, with a proxy in its environment; see the next test.
#[tokio::test]
#[ignore = "started by the_servers_own_proxy_is_not_used"]
async fn inner() {
    let (address, _seen) = serve(|_| ok("text/plain", b"direct")).await;
    let report = get(address).await;
    assert_eq!(response(&report), "direct", "{:?}", report.error);
}

#[test]
fn the_servers_own_proxy_is_not_used() {
    let mut inner = std::process::Command::new(std::env::current_exe().expect("the test binary"));
    inner.args(["--exact", "exec::http::proxy_tests::inner", "--ignored"]);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        inner.env(name, "http://127.0.0.1:9");
    }
    let output = inner.env_remove("no_proxy").env_remove("NO_PROXY").output().expect("the test binary");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
