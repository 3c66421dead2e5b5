//! Messages as a gateway of a few lines receives them.

use super::super::testing::{context, run_with};
use super::*;
use crate::domain::service::{Secret, SmsAliyun};
use crate::exec::func::Settings;
use crate::exec::http::tests::{answer, ok, serve};

async fn go(gateway: Option<Sms>, raw: &str) -> Report {
    run_with(&BUILTIN, raw, &context(), Settings { sms: gateway, ..Settings::default() }).await
}

fn gateway(url: String, body: Option<&str>) -> SmsHttp {
    SmsHttp {
        url: Secret(url),
        headers: vec![("X-Key".into(), Secret("k:1".into()))],
        body: body.map(|body| Secret(body.into())),
        success: "\"code\":0".into(),
    }
}

fn error(report: Report) -> String {
    assert_eq!(report.outcome, Outcome::Failed);
    report.error.unwrap().en
}

#[tokio::test]
async fn a_gateway_gets_phone_and_text_in_their_places() {
    let (address, mut seen) = serve(|_| ok("application/json", br#"{"code":0,"id":7}"#)).await;
    let text = "a&b=\"{phone}\" 中 +";
    let raw = format!("13800138000;+1 415-555-0100,{text}");
    let get = gateway(format!("http://{address}/send?key=s3cret&to={{phone}}&t={{text}}"), None);
    let report = go(Some(Sms::Http(get)), &raw).await;
    assert_eq!(report.result.as_deref(), Some("sent 2/2"), "{:?}", report.error);
    assert_eq!(report.stdout.lines().next(), Some(r#"13800138000: {"code":0,"id":7}"#));
    let first = seen.recv().await.unwrap();
    assert!(
        first.head.starts_with(
            "GET /send?key=s3cret&to=13800138000&t=a%26b%3D%22%7Bphone%7D%22%20%E4%B8%AD%20%2B "
        ),
        "{}",
        first.head
    );
    assert!(first.has("x-key: k:1"));
    assert!(seen.recv().await.unwrap().head.starts_with("GET /send?key=s3cret&to=%2B14155550100&t="));

    let post = gateway(format!("http://{address}/v2"), Some(r#"{"to":"{phone}","msg":"[我们] {text}"}"#));
    go(Some(Sms::Http(post)), &raw).await;
    let posted = seen.recv().await.unwrap();
    assert!(posted.has("content-type: application/json"));
    let json: serde_json::Value = serde_json::from_str(&posted.body).unwrap();
    assert_eq!(json, serde_json::json!({"to": "13800138000", "msg": format!("[我们] {text}")}));
    seen.recv().await.unwrap();

    let form = gateway(format!("http://{address}/v3"), Some("to={phone}&msg={text}"));
    go(Some(Sms::Http(form)), r#"[["13800138000"],"a&b"]"#).await;
    assert_eq!(seen.recv().await.unwrap().body, "to=13800138000&msg=a%26b");
}

#[tokio::test]
async fn the_gateways_answer_decides_and_its_key_stays_hidden() {
    let (address, _seen) = serve(|seen| match seen.head.contains("to=139") {
        true => ok("application/json", br#"{"code":5,"msg":"no money"}"#),
        false => ok("application/json", br#"{"code":0}"#),
    })
    .await;
    let url = format!("http://{address}/send?key=s3cret&to={{phone}}&t={{text}}");
    let en = error(go(Some(Sms::Http(gateway(url, None))), "13800138000;13900139000,x").await);
    assert!(en.starts_with("sent 1/2; failed: 13900139000: ") && en.contains("no money"), "{en}");
    assert!(!en.contains("13800138000") && !en.contains("s3cret"), "{en}");
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{dead}/send?key=s3cret&to={{phone}}&t={{text}}");
    let en = error(go(Some(Sms::Http(gateway(url, None))), "13800138000,x").await);
    assert!(en.contains("refused") && !en.contains("s3cret"), "{en}");
}

fn account(endpoint: String) -> Sms {
    Sms::Aliyun(SmsAliyun {
        endpoint,
        key_id: "testId".into(),
        key_secret: Secret("testSecret".into()),
        sign_name: "阿里云".into(),
        template_code: "SMS_1".into(),
        template_param: r#"{"content":"{text}"}"#.into(),
    })
}

#[tokio::test]
async fn aliyun_gets_a_signed_call_and_its_code_decides() {
    let (address, mut seen) = serve(|seen| match seen.head.contains("PhoneNumbers=139") {
        true => {
            answer("400 Bad", "", r#"{"Code":"isv.AMOUNT_NOT_ENOUGH","Message":"账户余额不足"}"#.as_bytes())
        }
        false => ok("application/json", br#"{"Code":"OK","Message":"OK","BizId":"9006"}"#),
    })
    .await;
    let report = go(Some(account(format!("http://{address}/"))), "+8613800138000,say \"hi\"").await;
    assert_eq!(report.stdout, "+8613800138000: OK 9006\n", "{:?}", report.error);
    let request = seen.recv().await.unwrap();
    let query = "PhoneNumbers=13800138000&SignName=%E9%98%BF%E9%87%8C%E4%BA%91&TemplateCode=SMS_1\
                 &TemplateParam=%7B%22content%22%3A%22say%20%5C%22hi%5C%22%22%7D";
    assert!(request.head.starts_with(&format!("POST /?{query} HTTP/1.1\r\n")), "{}", request.head);
    for line in [
        format!("host: {address}"),
        "x-acs-action: SendSms".into(),
        "x-acs-version: 2017-05-25".into(),
        "x-acs-date: 2006-01-02T22:04:05Z".into(),
    ] {
        assert!(request.has(&line), "{line} in {}", request.head);
    }
    assert!(
        request
            .head
            .contains("authorization: ACS3-HMAC-SHA256 Credential=testId,SignedHeaders=host;x-acs-action;")
    );
    assert!(!request.head.contains("testSecret"));
    let en = error(go(Some(account(format!("http://{address}"))), "13900139000,x").await);
    assert_eq!(
        en,
        "sent 0/1; failed: 13900139000: Alibaba Cloud refused: isv.AMOUNT_NOT_ENOUGH: 账户余额不足"
    );
}

#[tokio::test]
async fn a_bad_call_is_told_the_mend() {
    let en = error(go(None, "13800138000,x").await);
    assert!(en.contains("set sms.provider"), "{en}");
    for (raw, part) in [
        ("", "is no phone number"),
        ("12345,x", "is no phone number"),
        ("13800138000;abc,x", "\"abc\" is no phone number"),
        ("+0123456789,x", "is no phone number"),
        ("13800138000", "argument 2"),
        ("13800138000, ", "argument 2"),
    ] {
        let en = error(go(Some(account("http://127.0.0.1:1".into())), raw).await);
        assert!(en.contains(part), "{raw}: {en}");
    }
}
