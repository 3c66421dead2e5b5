//! `Webhook`: POSTs JSON to a URL, as the http mode does it; the record holds status and answer.

use super::{Builtin, Call, Param, Words, Work};
use crate::domain::Text;
use crate::domain::action::{HttpAction, Repeat, WrittenUrls};

pub const BUILTIN: Builtin = Builtin {
    name: "Webhook",
    description: Words {
        zh: "向 URL 发送 JSON（POST），状态码非 2xx 即失败",
        en: "POSTs JSON to a URL; a status other than 2xx fails",
    },
    params: &[
        Param {
            name: "url",
            about: Words { zh: "http 或 https 地址", en: "an http or https address" },
            required: true,
        },
        Param {
            name: "json",
            about: Words {
                zh: "JSON 数据：第一个逗号之后的全部文字，省略为 {}",
                en: "the JSON: all text after the first comma; {} when left out",
            },
            required: false,
        },
    ],
    example: r#"Webhook https://webhook.site/xxx,{"data":"value"}"#,
    work: Work::Http(request),
};

fn request(call: &Call) -> Result<HttpAction, Text> {
    let (url, json) = if call.is_json() { listed(call)? } else { written(call)? };
    let url = url::Url::parse(&url).ok().filter(|u| matches!(u.scheme(), "http" | "https")).ok_or_else(|| {
        Text::new(
            format!("参数 1 “{url}” 不是 http 或 https 地址，例如 Webhook https://example.com/hook,{{\"a\":1}}"),
            format!("argument 1, \"{url}\", is no http or https address, as in Webhook https://example.com/hook,{{\"a\":1}}"),
        )
    })?;
    Ok(HttpAction {
        url,
        method: "POST".into(),
        headers: vec![("Content-Type".into(), "application/json".into())],
        data: Some(json),
        cookies: None,
        proxy: None,
        timeout: crate::domain::action::text::DEFAULT_TIMEOUT,
        result: None,
        repeat: Repeat::default(),
        written: WrittenUrls::default(),
    })
}

/// `url,json`: the JSON goes out as it was written.
fn written(call: &Call) -> Result<(String, String), Text> {
    let (url, json) = call.raw.split_once(',').unwrap_or((call.raw, "{}"));
    let json = json.trim();
    if let Err(e) = serde_json::from_str::<serde::de::IgnoredAny>(json) {
        return Err(Text::new(
            format!("第一个逗号之后的数据不是 JSON（{e}），例如 {{\"data\":\"value\"}}；文本请加双引号"),
            format!(
                "what follows the first comma is not JSON ({e}); write it as {{\"data\":\"value\"}}, and a text in double quotes"
            ),
        ));
    }
    Ok((url.trim().trim_matches('"').to_owned(), json.to_owned()))
}

/// `["url", value]`: any JSON value; a text that itself is JSON is that JSON.
fn listed(call: &Call) -> Result<(String, String), Text> {
    let (Some(url), 1..=2) = (call.texts().first().cloned(), call.args.len()) else {
        return Err(Text::new(
            "需要地址和数据两个参数，例如 [\"https://example.com/hook\", {\"a\": 1}]",
            "needs an address and the data, as in [\"https://example.com/hook\", {\"a\": 1}]",
        ));
    };
    let json = match call.args.get(1) {
        Some(serde_json::Value::String(s)) if serde_json::from_str::<serde::de::IgnoredAny>(s).is_ok() => {
            s.clone()
        }
        Some(value) => value.to_string(),
        None => "{}".into(),
    };
    Ok((url, json))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{context, run_with};
    use super::*;
    use crate::domain::run::{Outcome, Report};

    use crate::exec::http::tests::{answer, serve};

    async fn go(raw: &str) -> Report {
        run_with(&BUILTIN, raw, &context(), crate::exec::func::Settings::default()).await
    }

    #[tokio::test]
    async fn posts_what_follows_the_first_comma() {
        let (address, mut seen) = serve(|_| answer("202 Accepted", "", b"thanks")).await;
        for (raw, body) in [
            (format!(r#"http://{address}/a?b=1,{{"x": [1, "a,b"]}}"#), r#"{"x": [1, "a,b"]}"#),
            (format!("http://{address}/a?b=1"), "{}"),
            (format!(r#"["http://{address}/a?b=1",{{"x":1}}]"#), r#"{"x":1}"#),
            (format!(r#"["http://{address}/a?b=1","{{\"x\":1}}"]"#), r#"{"x":1}"#),
            (format!(r#"["http://{address}/a?b=1","文字"]"#), "\"文字\""),
        ] {
            let report = go(&raw).await;
            assert_eq!(report.outcome, Outcome::Success, "{raw}");
            let request = seen.recv().await.unwrap();
            assert!(request.head.starts_with("POST /a?b=1 "), "{}", request.head);
            assert!(request.head.to_ascii_lowercase().contains("content-type: application/json"));
            assert_eq!(request.body, body);
            let http = report.http.unwrap();
            assert_eq!((http.status, http.response.as_str()), (Some(202), "thanks"));
            let func = report.func.unwrap();
            assert_eq!((func.name.as_str(), func.result.as_str()), ("Webhook", "HTTP 202, 6 bytes"));
        }
    }

    #[tokio::test]
    async fn another_status_fails_and_keeps_the_answer() {
        let (address, _seen) = serve(|_| answer("500 Broken", "", b"why")).await;
        let report = go(&format!("http://{address}/,{{}}")).await;
        assert_eq!((report.outcome, report.error.unwrap().en.as_str()), (Outcome::Failed, "HTTP status 500"));
        assert_eq!(report.http.unwrap().response, "why");
    }

    #[tokio::test]
    async fn a_bad_call_is_told_the_mend() {
        for (raw, part) in [
            ("", "no http or https address"),
            ("ftp://x/,{}", "no http or https address"),
            ("http://x/,hello", "not JSON"),
            ("[]", "needs an address"),
            (r#"["http://x/",1,2]"#, "needs an address"),
        ] {
            let report = go(raw).await;
            let en = report.error.unwrap().en;
            assert!(report.outcome == Outcome::Failed && en.contains(part), "{raw}: {en}");
        }
    }
}
