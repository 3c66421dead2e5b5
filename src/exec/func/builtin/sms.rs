//! `SMS`: sends a text message to each number, through any gateway with an HTTP call or through
//! Alibaba Cloud (`sms/aliyun.rs`). The provider's own answer decides; a gateway's address may hold
//! its key and is shown nowhere.

mod aliyun;

use super::{Builtin, Call, Output, Param, Words, Work};
use crate::domain::Text;
use crate::domain::action::{HttpAction, Repeat, WrittenUrls};
use crate::domain::run::{Outcome, Report};
use crate::domain::service::{Sms, SmsHttp};
use crate::exec::http::Http;
use futures_util::future::BoxFuture;
use url::Url;

pub const BUILTIN: Builtin = Builtin {
    name: "SMS",
    description: Words {
        zh: "发送短信（配置项 sms.*：任意 HTTP 网关或阿里云）",
        en: "Sends a text message (settings sms.*: any HTTP gateway, or Alibaba Cloud)",
    },
    params: &[
        Param {
            name: "phone",
            about: Words {
                zh: "11 位手机号，或 + 开头的国际号码；多个用分号分隔",
                en: "11 digits as in China, or + and the country's code; several with ; between them",
            },
            required: true,
        },
        Param {
            name: "text",
            about: Words {
                zh: "短信内容：第一个逗号之后的全部文字",
                en: "the message: all text after the first comma",
            },
            required: true,
        },
    ],
    example: "SMS 13800138000,测试短信",
    work: Work::Async(sms),
};

/// Numbers of one call.
const PHONES_MAX: usize = 100;

fn sms<'a>(call: &'a Call<'a>, http: &'a Http) -> BoxFuture<'a, Result<Output, Text>> {
    Box::pin(async move {
        let gateway = call.settings.sms.as_ref().ok_or_else(|| {
            Text::new(
                "尚未配置短信网关，请设置 sms.provider（http 或 aliyun）及其参数",
                "no SMS gateway is set up; set sms.provider to http or aliyun, and what belongs to it",
            )
        })?;
        let (phones, text) = read(call)?;
        let mut stdout = String::new();
        let mut failed = Vec::new();
        for phone in &phones {
            let sent = match gateway {
                Sms::Http(gateway) => over_http(gateway, phone, &text, call, http).await,
                Sms::Aliyun(account) => aliyun::send(account, phone, &text, call, http).await,
            };
            match sent {
                Ok(answer) => stdout += &format!("{phone}: {answer}\n"),
                Err(error) => failed.push((phone, error)),
            }
        }
        let (sent, all) = (phones.len() - failed.len(), phones.len());
        if failed.is_empty() {
            return Ok(Output { stdout, result: format!("sent {sent}/{all}") });
        }
        let list = |word: fn(&Text) -> &str| {
            failed.iter().map(|(phone, e)| format!("{phone}: {}", word(e))).collect::<Vec<_>>().join("; ")
        };
        Err(Text::new(
            format!("已发送 {sent}/{all}，失败：{}", list(|e| &e.zh)),
            format!("sent {sent}/{all}; failed: {}", list(|e| &e.en)),
        ))
    })
}

/// The numbers and the text.
fn read(call: &Call) -> Result<(Vec<String>, String), Text> {
    let (phones, text) = if call.is_json() {
        let text = call.texts().get(1).cloned().unwrap_or_default();
        let phones = match call.args.first() {
            Some(serde_json::Value::Array(all)) => {
                all.iter().map(|p| p.as_str().map_or_else(|| p.to_string(), str::to_owned)).collect()
            }
            _ => call.texts().first().cloned().unwrap_or_default().split(';').map(str::to_owned).collect(),
        };
        (phones, text)
    } else {
        let first = call.texts().first().cloned().unwrap_or_default();
        let phones: Vec<String> = first.split([';', '；']).map(str::to_owned).collect();
        (phones, super::unquoted(call.after_comma(1)))
    };
    let phones: Vec<_> = phones.iter().map(|p| phone(p)).collect::<Result<_, _>>()?;
    if phones.len() > PHONES_MAX {
        return Err(Text::new(
            format!("一次最多 {PHONES_MAX} 个号码，请分成多个任务"),
            format!("at most {PHONES_MAX} numbers at once; make it several jobs"),
        ));
    }
    if text.trim().is_empty() {
        return Err(Text::new(
            "参数 2 短信内容为空，例如 SMS 13800138000,测试短信",
            "argument 2, the text, is empty; write it as in SMS 13800138000,hello",
        ));
    }
    Ok((phones, text))
}

/// The number without spaces and dashes, when it is one.
fn phone(written: &str) -> Result<String, Text> {
    let number: String = written.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    let digits = number.strip_prefix('+').unwrap_or(&number);
    let known = if number.starts_with('+') {
        (8..=15).contains(&digits.len()) && !digits.starts_with('0')
    } else {
        digits.len() == 11 && digits.starts_with('1')
    };
    if known && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(number);
    }
    let written = written.trim();
    Err(Text::new(
        format!("“{written}” 不是手机号：请写 11 位号码，或 + 加国家代码的号码，例如 +8613800138000"),
        format!(
            "\"{written}\" is no phone number; write 11 digits, or + and the country's code as in +8613800138000"
        ),
    ))
}

async fn over_http(
    gateway: &SmsHttp,
    phone: &str,
    text: &str,
    call: &Call<'_>,
    http: &Http,
) -> Result<String, Text> {
    let url = fill(&gateway.url.0, phone, text, percent);
    let body = gateway.body.as_ref().map(|body| {
        let json = body.0.starts_with(['{', '[']);
        fill(&body.0, phone, text, if json { json_inner } else { percent })
    });
    let headers = gateway.headers.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
    let success = Some(gateway.success.clone()).filter(|text| !text.is_empty());
    let report = exchange(&url, headers, body, success, call, http).await?;
    let answer = said(&report);
    match report.outcome {
        Outcome::Success => Ok(answer),
        _ => {
            let error = report.error.unwrap_or_else(|| Text::new("失败", "failed"));
            let hide = |words: &str| words.replace(&url, "***").replace(&gateway.url.0, "***");
            Err(Text::new(format!("{}：{answer}", hide(&error.zh)), format!("{}: {answer}", hide(&error.en))))
        }
    }
}

/// One call of a gateway. The run's own timeout and cancel token end it.
async fn exchange(
    url: &str,
    headers: Vec<(String, String)>,
    body: Option<String>,
    result: Option<String>,
    call: &Call<'_>,
    http: &Http,
) -> Result<Report, Text> {
    let url = Url::parse(url).map_err(|_| {
        Text::new("sms.url 不是有效的地址，请检查配置", "sms.url makes no valid address; check the setting")
    })?;
    let method = if body.is_some() { "POST" } else { "GET" };
    let action = HttpAction {
        url,
        method: method.into(),
        headers,
        data: body,
        cookies: None,
        proxy: None,
        timeout: crate::domain::action::text::DEFAULT_TIMEOUT,
        result,
        repeat: Repeat::default(),
        written: WrittenUrls::default(),
    };
    Ok(http.run_unguarded(&action, call.ctx, call.ctx.output_limit).await)
}

/// The beginning of what the gateway answered, on one line.
fn said(report: &Report) -> String {
    let answer = report.http.as_ref().map_or("", |http| http.response.trim());
    answer.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Puts phone and text in their places, in one pass: a text that holds `{phone}` keeps it.
fn fill(template: &str, phone: &str, text: &str, escape: fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        out += &rest[..at];
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{phone}") {
            out += &escape(phone);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("{text}") {
            out += &escape(text);
            rest = after;
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out + rest
}

/// RFC 3986: everything but the unreserved characters.
fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

/// The inside of a JSON string.
fn json_inner(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
#[path = "sms_test.rs"]
mod tests;
