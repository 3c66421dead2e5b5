//! Mails as a server of a few lines receives them: it speaks SMTP with STARTTLS, a certificate of
//! its own, and AUTH.

use super::super::testing::{context, run_with};
use super::*;
use crate::domain::run::{Outcome, Report};
use crate::domain::service::Secret;
use crate::exec::func::Settings;
use base64::Engine;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;

/// What the server was told, line by line; a mail's text is one entry.
type Heard = UnboundedReceiver<String>;

struct Sink {
    port: u16,
    ca: Vec<u8>,
    heard: Heard,
}

/// A server with a certificate for localhost. `wrapped`: TLS from the first byte.
async fn sink(wrapped: bool) -> Sink {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, heard) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, tell) = (tls.clone(), tell.clone());
            tokio::spawn(async move {
                if wrapped {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    converse(&mut BufStream::new(stream), &tell, true, true).await;
                    return;
                }
                let mut plain = BufStream::new(stream);
                if converse(&mut plain, &tell, false, true).await {
                    let Ok(stream) = tls.accept(plain.into_inner()).await else { return };
                    converse(&mut BufStream::new(stream), &tell, true, false).await;
                }
            });
        }
    });
    let base64 = base64::engine::general_purpose::STANDARD.encode(made.cert.der());
    let ca = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n").into_bytes();
    Sink { port, ca, heard }
}

/// One conversation; `true` when the client asks for TLS.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufStream<S>,
    tell: &UnboundedSender<String>,
    secure: bool,
    greet: bool,
) -> bool {
    if greet {
        say(stream, "220 sink").await;
    }
    let mut line = String::new();
    while matches!({ line.clear(); stream.read_line(&mut line).await }, Ok(n) if n > 0) {
        tell.send(line.trim_end().to_owned()).ok();
        let word = line.to_ascii_uppercase();
        let answer = match word.split_whitespace().next().unwrap_or_default() {
            "EHLO" if secure => "250-sink\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN",
            "EHLO" => "250-sink\r\n250-8BITMIME\r\n250 STARTTLS",
            "STARTTLS" => {
                say(stream, "220 go ahead").await;
                return true;
            }
            "AUTH" => {
                let login = base64::engine::general_purpose::STANDARD.encode("\0robot\0pass:wörd");
                if line.trim_end() == format!("AUTH PLAIN {login}") {
                    "235 welcome"
                } else {
                    "535 5.7.8 who are you"
                }
            }
            "RCPT" if line.contains("nobody@") => "550 5.1.1 no such user here",
            "DATA" => {
                say(stream, "354 go on").await;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n")
                    && matches!(stream.read_line(&mut text).await, Ok(n) if n > 0)
                {}
                tell.send(text).ok();
                "250 2.0.0 queued as 4711"
            }
            "QUIT" => {
                say(stream, "221 bye").await;
                return false;
            }
            _ => "250 ok",
        };
        say(stream, answer).await;
    }
    false
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufStream<S>, line: &str) {
    stream.write_all(format!("{line}\r\n").as_bytes()).await.ok();
    stream.flush().await.ok();
}

fn smtp(sink: &Sink, tls: SmtpTls) -> Smtp {
    Smtp {
        host: "localhost".into(),
        port: sink.port,
        login: Some(("robot".into(), Secret("pass:wörd".into()))),
        from: "定时任务 <jobs@example.com>".into(),
        tls,
        ca: Some(sink.ca.clone()),
    }
}

async fn go(smtp: Option<Smtp>, raw: &str) -> Report {
    run_with(&BUILTIN, raw, &context(), Settings { smtp, ..Settings::default() }).await
}

/// What has been heard so far. The run has ended, and so has what it said.
fn drain(heard: &mut Heard) -> Vec<String> {
    std::iter::from_fn(|| heard.try_recv().ok()).collect()
}

/// The value of a header, with the encoded words of RFC 2047 in clear.
fn header(mail: &str, name: &str) -> String {
    let head = mail.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
    let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).expect(name);
    let mut out = String::new();
    for word in line.split(' ') {
        match word.strip_prefix("=?utf-8?b?").and_then(|word| word.strip_suffix("?=")) {
            Some(word) => {
                out += std::str::from_utf8(&base64::engine::general_purpose::STANDARD.decode(word).unwrap())
                    .unwrap();
            }
            None => out += &format!(" {word}"),
        }
    }
    out.trim().to_owned()
}

fn decoded(body: &str) -> String {
    let body: String = body.split_whitespace().collect();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(body).unwrap()).unwrap()
}

#[tokio::test]
async fn a_mail_goes_out_by_starttls_and_by_tls() {
    for tls in [SmtpTls::StartTls, SmtpTls::Tls] {
        let mut sink = sink(tls == SmtpTls::Tls).await;
        let raw = "a@example.com; 李 <b@example.com>,每日 报告,第一行,带逗号\n.\n最后";
        let report = go(Some(smtp(&sink, tls)), raw).await;
        assert_eq!(
            report.result.as_deref(),
            Some("sent to 2: 250 2.0.0 queued as 4711"),
            "{:?}",
            report.error
        );
        let heard = drain(&mut sink.heard);
        let at = |word: &str| heard.iter().position(|line| line.starts_with(word));
        if tls == SmtpTls::StartTls {
            // Nothing but greetings goes in clear.
            assert!(at("STARTTLS").unwrap() < at("AUTH").unwrap());
        }
        assert!(at("AUTH").unwrap() < at("MAIL FROM:<jobs@example.com>").unwrap());
        assert!(at("RCPT TO:<a@example.com>").is_some() && at("RCPT TO:<b@example.com>").is_some());
        let mail = &heard[at("DATA").unwrap() + 1];
        assert_eq!(header(mail, "Subject"), "每日 报告");
        assert_eq!(header(mail, "From"), "定时任务 <jobs@example.com>");
        assert!(header(mail, "To").contains("b@example.com"));
        let id = header(mail, "Message-ID");
        assert!(id.starts_with("<00000000000000ff.") && id.ends_with("@example.com>"), "{id}");
        assert_eq!(header(mail, "Date"), "Mon, 02 Jan 2006 22:04:05 +0000");
        assert_eq!(header(mail, "Content-Type"), "text/plain; charset=utf-8");
        assert_eq!(header(mail, "Content-Transfer-Encoding"), "base64");
        let body = mail.split_once("\r\n\r\n").unwrap().1.trim_end_matches("\r\n.\r\n");
        assert_eq!(decoded(body).replace("\r\n", "\n"), "第一行,带逗号\n.\n最后");
    }
}

#[tokio::test]
async fn the_json_form_takes_lists_and_html() {
    let mut sink = sink(false).await;
    let raw = r#"[["a@example.com","b@example.com"],"s","plain","<b>html</b>"]"#;
    let report = go(Some(smtp(&sink, SmtpTls::StartTls)), raw).await;
    assert_eq!(report.outcome, Outcome::Success, "{:?}", report.error);
    let heard = drain(&mut sink.heard);
    let mail = heard.iter().find(|line| line.contains("multipart/alternative")).unwrap();
    assert!(mail.contains("plain") && mail.contains("<b>html</b>"), "{mail}");
}

#[tokio::test]
async fn what_the_server_refuses_is_told() {
    let sink = sink(false).await;
    let en = |report: Report| {
        assert_eq!(report.outcome, Outcome::Failed);
        report.error.unwrap().en
    };
    let good = smtp(&sink, SmtpTls::StartTls);
    let refused = en(go(Some(good.clone()), "nobody@example.com,s,b").await);
    assert!(refused.contains("refused the mail") && refused.contains("no such user here"), "{refused}");
    let login = Some(("robot".into(), Secret("hunter2".into())));
    let refused = en(go(Some(Smtp { login, ..good.clone() }), "a@example.com,s,b").await);
    assert!(refused.contains("check smtp.username") && !refused.contains("hunter2"), "{refused}");
    // A certificate that nobody vouches for ends the talk before the login.
    let refused = en(go(Some(Smtp { ca: None, ..good.clone() }), "a@example.com,s,b").await);
    assert!(refused.contains("certificate"), "{refused}");
    let refused = en(go(Some(Smtp { port: 1, ..good }), "a@example.com,s,b").await);
    assert!(refused.contains("localhost:1 cannot be reached"), "{refused}");
}

#[tokio::test]
async fn starttls_is_never_left_out() {
    // A server that does not offer it: the one behind TLS, asked in clear by another name.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, mut heard) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            converse(&mut BufStream::new(stream), &tell, true, true).await;
        }
    });
    let sink = sink(false).await;
    let report = go(Some(Smtp { port, ..smtp(&sink, SmtpTls::StartTls) }), "a@example.com,s,b").await;
    let en = report.error.unwrap().en;
    assert!(en.contains("check smtp.tls"), "{en}");
    assert!(!drain(&mut heard).iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")));
    // Asked for nothing, it sends in clear; the settings allow that without a login, or to this machine.
    let report = go(Some(Smtp { port, ..smtp(&sink, SmtpTls::None) }), "a@example.com,s,b").await;
    assert_eq!(report.outcome, Outcome::Success, "{:?}", report.error);
}

#[tokio::test]
async fn a_bad_call_is_told_the_mend() {
    let sink = sink(false).await;
    let report = go(None, "a@example.com,s,b").await;
    assert!(report.error.unwrap().en.contains("set smtp.host"));
    for (raw, part) in [
        ("", "needs 1 to 100 addresses"),
        ("nonsense,s,b", "\"nonsense\" is no mail address"),
        ("a@example.com", "argument 2"),
        (r#"["a@example.com","s\r\nBcc: x@example.com","b"]"#, "holds a line break"),
        (r#"["a@example.com\r\nBcc: x@example.com","s","b"]"#, "is no mail address"),
        (r#"[["a@example.com>\r\nRCPT TO:<x@example.com"],"s","b"]"#, "is no mail address"),
    ] {
        let en = go(Some(smtp(&sink, SmtpTls::StartTls)), raw).await.error.unwrap().en;
        assert!(en.contains(part), "{raw}: {en}");
    }
}
