//! Alibaba Cloud's SendSms (Dysmsapi, 2017-05-25). Signed by ACS3-HMAC-SHA256, which the provider
//! recommends for all its APIs; the older HMAC-SHA1 form it keeps for old programs only.

use super::{exchange, fill, json_inner, percent, said};
use crate::domain::service::SmsAliyun;
use crate::domain::{Text, UtcMs};
use crate::exec::func::builtin::{Call, random_name};
use crate::exec::http::Http;
use ring::{digest, hmac};
use serde_json::Value;

/// Sends one message; success is `Code` = `OK`.
pub async fn send(
    account: &SmsAliyun,
    phone: &str,
    text: &str,
    call: &Call<'_>,
    http: &Http,
) -> Result<String, Text> {
    let nonce = random_name()?;
    let template_param = fill(&account.template_param, phone, text, json_inner);
    let query = canonical_query(&[
        ("PhoneNumbers", &number(phone)),
        ("SignName", &account.sign_name),
        ("TemplateCode", &account.template_code),
        ("TemplateParam", &template_param),
    ]);
    let url = url::Url::parse(&account.endpoint).ok();
    let host = url.as_ref().and_then(|url| {
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    });
    let headers = Signed {
        host: &host.unwrap_or_default(),
        action: "SendSms",
        version: "2017-05-25",
        now: call.ctx.now,
        nonce: &nonce,
        query: &query,
    }
    .headers(&account.key_id, &account.key_secret.0);
    let address = format!("{}/?{query}", account.endpoint.trim_end_matches('/'));
    // The parameters are in the query, the body is empty: so the provider's own SDK sends them.
    let report = exchange(&address, headers, Some(String::new()), None, call, http).await?;
    let answer = report.http.as_ref().and_then(|http| serde_json::from_str::<Value>(&http.response).ok());
    let field = |name| answer.as_ref().and_then(|a| a.get(name)).and_then(Value::as_str).unwrap_or_default();
    match field("Code") {
        "OK" => Ok(format!("OK {}", field("BizId"))),
        "" => {
            let said = said(&report);
            let error = report.error.unwrap_or_else(|| {
                Text::new(
                    "回应不是阿里云的 JSON，请检查 sms.url",
                    "the answer is not Alibaba Cloud's JSON; check sms.url",
                )
            });
            Err(Text::new(format!("{}：{said}", error.zh), format!("{}: {said}", error.en)))
        }
        code => {
            let words = format!("{code}: {}", field("Message"));
            Err(Text::new(format!("阿里云拒绝：{words}"), format!("Alibaba Cloud refused: {words}")))
        }
    }
}

/// Numbers of China without prefix, others with their country's code and no `+`.
fn number(phone: &str) -> String {
    let digits = phone.trim_start_matches('+');
    match digits.strip_prefix("86") {
        Some(inner) if phone.starts_with('+') && inner.len() == 11 => inner.to_owned(),
        _ => digits.to_owned(),
    }
}

/// What is signed of a request without a body.
struct Signed<'a> {
    host: &'a str,
    action: &'a str,
    version: &'a str,
    now: UtcMs,
    nonce: &'a str,
    query: &'a str,
}

impl Signed<'_> {
    /// The headers of the request with its Authorization.
    fn headers(&self, key_id: &str, key_secret: &str) -> Vec<(String, String)> {
        let empty = hex(digest::digest(&digest::SHA256, b"").as_ref());
        let date = self.now.to_utc().format("%Y-%m-%dT%H:%M:%SZ").to_string();
        // In the order of their names, as they are signed.
        let headers = [
            ("host", self.host),
            ("x-acs-action", self.action),
            ("x-acs-content-sha256", &empty),
            ("x-acs-date", &date),
            ("x-acs-signature-nonce", self.nonce),
            ("x-acs-version", self.version),
        ];
        let names = headers.map(|(name, _)| name).join(";");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("POST\n/\n{}\n{lines}\n{names}\n{empty}", self.query);
        let hashed = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let key = hmac::Key::new(hmac::HMAC_SHA256, key_secret.as_bytes());
        let signature = hex(hmac::sign(&key, format!("ACS3-HMAC-SHA256\n{hashed}").as_bytes()).as_ref());
        let authorization =
            format!("ACS3-HMAC-SHA256 Credential={key_id},SignedHeaders={names},Signature={signature}");
        let all = headers.into_iter().chain([("Authorization", authorization.as_str())]);
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// Sorted by name, as the parameters are given.
fn canonical_query(params: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = params.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
    pairs.join("&")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Alibaba Cloud's description of the signature, with all its numbers.
    #[test]
    fn the_signature_is_the_published_one() {
        let query = canonical_query(&[
            ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"),
            ("RegionId", "cn-shanghai"),
        ]);
        let signed = Signed {
            host: "ecs.cn-shanghai.aliyuncs.com",
            action: "RunInstances",
            version: "2014-05-26",
            now: UtcMs(1_698_315_752_000),
            nonce: "3156853299f313e23d1673dc12e1703d",
            query: &query,
        };
        let headers = signed.headers("YourAccessKeyId", "YourAccessKeySecret");
        assert_eq!(headers[3], ("x-acs-date".into(), "2023-10-26T10:22:32Z".into()));
        let authorization = &headers.last().unwrap().1;
        assert!(
            authorization
                .ends_with("Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"),
            "{authorization}"
        );
    }

    #[test]
    fn numbers_of_china_go_without_prefix() {
        for (written, sent) in [
            ("13800138000", "13800138000"),
            ("+8613800138000", "13800138000"),
            ("+85251234567", "85251234567"),
        ] {
            assert_eq!(number(written), sent);
        }
    }
}
