//! The http mode's keys: the request and how its success is judged.

use super::{Errors, Fields, segments};
use crate::domain::action::{HttpAction, WrittenUrls};
use crate::domain::secret;
use url::{ParseError, Url};

pub(super) const KEYS: &[&str] = &[
    "url", "mode", "method", "headers", "header", "data", "cookies", "proxy", "times", "interval", "timeout",
    "result",
];

/// The longest URL, in bytes; servers refuse longer ones.
const MAX_URL_BYTES: usize = 8 * 1024;
const PROXY_SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

pub(super) fn read(fields: &Fields, errors: &mut Errors) -> Option<HttpAction> {
    let url = url(fields, errors);
    let method = method(fields, errors);
    let headers = headers(fields, errors);
    let cookies = cookies(fields, errors);
    let proxy = proxy(fields, errors);
    let timeout = fields.timeout(errors);
    let repeat = fields.repeat(errors);
    Some(HttpAction {
        url: url?,
        method: method?,
        headers,
        data: data(fields),
        cookies,
        proxy,
        timeout: timeout?,
        result: fields.get("result").map(str::to_owned),
        repeat: repeat?,
        written: WrittenUrls {
            url: fields.get("url").filter(|url| secret::is_in(url)).map(str::to_owned),
            proxy: fields.get("proxy").filter(|proxy| secret::is_in(proxy)).map(full_proxy),
        },
    })
}

fn url(fields: &Fields, errors: &mut Errors) -> Option<Url> {
    let Some(value) = fields.get("url") else {
        errors.missing("url", "https://example.com/health");
        return None;
    };
    if value.len() > MAX_URL_BYTES {
        errors.key(
            "url",
            value,
            format!("超过 {MAX_URL_BYTES} 字节，请缩短，或把数据放进【data】"),
            format!("is longer than {MAX_URL_BYTES} bytes; shorten it, or move the data into 【data】"),
        );
        return None;
    }
    // The url crate drops tabs and line breaks in silence, and would call the rest of a stray
    // line part of the path.
    if value.chars().any(char::is_control) {
        errors.key(
            "url",
            value,
            "含有换行或控制字符，请写在一行内；其他键请另起一行并以【键】开头",
            "holds a line break or control character; write it on one line, and start other lines with their 【key】",
        );
        return None;
    }
    let value = &*secret::sample_url(value);
    let scheme_end = value.find("://").unwrap_or(0);
    let scheme = &value[..scheme_end];
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        errors.key(
            "url",
            value,
            "应为以 http:// 或 https:// 开头的完整地址，例如 https://example.com/health",
            "must be an absolute address that starts with http:// or https://, such as https://example.com/health",
        );
        return None;
    }
    // `http:///path` would be read with `path` as the host.
    let hostless = value[scheme_end + "://".len()..].starts_with(['/', '\\']);
    match Url::parse(value) {
        Ok(url) if !hostless && url.has_host() => Some(url),
        Ok(_) | Err(ParseError::EmptyHost) => {
            errors.key(
                "url",
                value,
                "缺少主机名，例如 https://example.com/health",
                "has no host; write one, such as https://example.com/health",
            );
            None
        }
        Err(why) => {
            errors.key(
                "url",
                value,
                format!("不是有效的地址（{why}），例如 https://example.com/health"),
                format!("is not a valid address ({why}); write one such as https://example.com/health"),
            );
            None
        }
    }
}

fn method(fields: &Fields, errors: &mut Errors) -> Option<String> {
    let mut found: Option<String> = None;
    for key in ["mode", "method"] {
        let Some(value) = fields.get(key) else { continue };
        if !is_token(value) {
            errors.key(
                key,
                value,
                "不是有效的请求方式，例如 GET 或 POST",
                "is not a request method; write one such as GET or POST",
            );
            return None;
        }
        let method = value.to_ascii_uppercase();
        if found.as_ref().is_some_and(|earlier| *earlier != method) {
            errors.key(
                key,
                value,
                "与【mode】不一致，两者含义相同，请只保留一个",
                "differs from 【mode】, which means the same; keep one",
            );
            return None;
        }
        found = Some(method);
    }
    Some(found.unwrap_or_else(|| "GET".to_owned()))
}

fn headers(fields: &Fields, errors: &mut Errors) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for segment in fields.all("headers").flat_map(segments) {
        let Some((name, value)) = segment.split_once(':') else {
            errors.key(
                "headers",
                segment,
                "中有一项缺少冒号，应写成 名称:值，多个用 ||| 分隔",
                "has an entry without a colon; write Name:value, and ||| between entries",
            );
            continue;
        };
        let (name, value) = (name.trim(), value.trim());
        if !is_token(name) {
            errors.key(
                "headers",
                segment,
                "中有一项的名称无效，只能用英文字母、数字和 - 等符号，例如 X-Token:abc",
                "has an entry whose name is not a header name; use ASCII letters, digits and signs such as -, as in X-Token:abc",
            );
        } else if !is_header_value(value) {
            errors.key(
                "headers",
                segment,
                format!("中 {name} 的值含有换行或控制字符，多个请求头请用 ||| 分隔"),
                format!(
                    "has a line break or control character in the value of {name}; put ||| between entries"
                ),
            );
        } else {
            headers.push((name.to_owned(), value.to_owned()));
        }
    }
    headers
}

fn cookies(fields: &Fields, errors: &mut Errors) -> Option<String> {
    let value = fields.get("cookies")?;
    if !is_header_value(value) {
        errors.key(
            "cookies",
            value,
            "含有换行或控制字符，请写在一行内，例如 a=1; b=2",
            "holds a line break or control character; write it on one line, such as a=1; b=2",
        );
        return None;
    }
    Some(value.to_owned())
}

/// The body, byte for byte, but for the line break that ends its line in the text.
fn data(fields: &Fields) -> Option<String> {
    fields.raw("data").map(without_line_end).filter(|value| !value.is_empty()).map(str::to_owned)
}

pub(super) fn without_line_end(value: &str) -> &str {
    value.strip_suffix('\n').map_or(value, |v| v.strip_suffix('\r').unwrap_or(v))
}

fn proxy(fields: &Fields, errors: &mut Errors) -> Option<Url> {
    let value = fields.get("proxy")?;
    let full = full_proxy(value);
    let sample = secret::sample_url(&full);
    let parsed = Some(&*sample).filter(|v| !v.contains(|c: char| c.is_control() || c.is_whitespace()));
    let url = parsed
        .and_then(|v| Url::parse(v).ok())
        .filter(|url| PROXY_SCHEMES.contains(&url.scheme()) && url.host_str().is_some_and(|h| !h.is_empty()));
    if url.is_none() {
        errors.key(
            "proxy",
            value,
            "不是有效的代理地址，应为 http、https、socks5 或 socks5h，例如 socks5://user:pass@127.0.0.1:1080",
            "is not a proxy address; use http, https, socks5 or socks5h, as in socks5://user:pass@127.0.0.1:1080",
        );
    }
    url
}

fn full_proxy(value: &str) -> String {
    let has_scheme = value.contains("://") || value.starts_with(secret::OPEN);
    if has_scheme { value.to_owned() } else { format!("http://{value}") }
}

/// RFC 9110, 5.6.2: what a method and a header's name are made of.
fn is_token(s: &str) -> bool {
    !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// RFC 9110, 5.5, with obs-text: any UTF-8, but no control character other than the tab.
fn is_header_value(s: &str) -> bool {
    !s.bytes().any(|b| b.is_ascii_control() && b != b'\t')
}
