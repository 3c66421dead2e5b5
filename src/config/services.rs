//! The settings of the functions that talk to services outside: databases, mail, SMS. What is
//! wrong is found at start; no message shows a URL or a password.

use super::settings::Reader;
use crate::domain::service::{Database, DatabaseKind, Secret, Sms, SmsAliyun, SmsHttp, Smtp, SmtpTls};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use url::Url;

const ALIYUN: &str = "https://dysmsapi.aliyuncs.com/";

/// `name=url, name=url`; one without a name is `default`.
pub(super) fn databases(text: &str) -> Result<Vec<Database>, String> {
    let mut all: Vec<Database> = Vec::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let named = entry.split_once('=').map(|(name, url)| (name.trim(), url.trim()));
        let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        let (name, url) = named.filter(|(name, _)| is_name(name)).unwrap_or(("default", entry));
        let (kind, url) = database(url).map_err(|mend| format!("the connection `{name}`: {mend}"))?;
        if name.is_empty() || all.iter().any(|other| other.name == name) {
            return Err(format!("two connections are called `{name}`; write each as name=url"));
        }
        all.push(Database { name: name.to_owned(), kind, url: Secret(url) });
    }
    Ok(all)
}

fn database(url: &str) -> Result<(DatabaseKind, String), String> {
    let form = "use sqlite:////absolute.db, mysql://user:password@host:3306/name or postgres://user:password@host:5432/name \
                (write , @ : / and % in a password as %2C %40 %3A %2F %25)";
    let (scheme, rest) = url.split_once(':').ok_or(form)?;
    let kind = match scheme.split('+').next() {
        Some("sqlite") => {
            let path = rest.strip_prefix("///").or_else(|| rest.strip_prefix("//")).unwrap_or(rest);
            let path = path.split('?').next().unwrap_or(path);
            let absolute = std::path::absolute(path).map_err(|_| form)?;
            return Ok((DatabaseKind::Sqlite, absolute.to_str().ok_or(form)?.to_owned()));
        }
        Some("mysql" | "mariadb") => DatabaseKind::MySql,
        Some("postgres" | "postgresql") => DatabaseKind::Postgres,
        _ => return Err(form.into()),
    };
    let scheme = if kind == DatabaseKind::MySql { "mysql" } else { "postgres" };
    let url = Url::parse(&format!("{scheme}:{rest}")).map_err(|_| form)?;
    if !url.has_host() || url.path().len() < 2 {
        return Err(form.into());
    }
    Ok((kind, url.into()))
}

/// `None` as long as no host is named.
pub(super) fn smtp(read: &mut Reader<'_>) -> Option<Smtp> {
    let host = read.text("smtp.host");
    let tls = read.checked("smtp.tls", |text| match text.to_ascii_lowercase().as_str() {
        "starttls" => Ok(SmtpTls::StartTls),
        "tls" => Ok(SmtpTls::Tls),
        "none" => Ok(SmtpTls::None),
        _ => Err("use starttls, tls or none".into()),
    });
    let port = match (read.number("smtp.port", 0, 65_535) as u16, tls) {
        (0, SmtpTls::StartTls) => 587,
        (0, SmtpTls::Tls) => 465,
        (0, SmtpTls::None) => 25,
        (port, _) => port,
    };
    let ca = read.checked("smtp.ca_file", |path| match path {
        "" => Ok(None),
        path => match std::fs::read(path) {
            Ok(pem) if CertificateDer::pem_slice_iter(&pem).next().is_some_and(|found| found.is_ok()) => {
                Ok(Some(pem))
            }
            Ok(_) => Err("the file holds no certificate in PEM form".into()),
            Err(e) => Err(format!("the file cannot be read ({e})")),
        },
    });
    if host.is_empty() {
        return None;
    }
    let (username, password) = (read.text("smtp.username"), read.text("smtp.password"));
    let from = Some(read.text("smtp.from")).filter(|from| !from.is_empty()).unwrap_or(username.clone());
    if from.parse::<lettre::message::Mailbox>().is_err() {
        read.error(format!(
            "smtp.from = `{from}`: use the sender's address, as in TimerJobs <jobs@example.com>"
        ));
    }
    if tls == SmtpTls::None && !username.is_empty() && !loopback(&host) {
        read.error("smtp.tls = `none`: the password would cross the network in clear; use starttls or tls, or leave smtp.username empty".into());
    }
    let login = (!username.is_empty()).then_some((username, Secret(password)));
    Some(Smtp { host, port, login, from, tls, ca })
}

fn loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `None` as long as no provider is named.
pub(super) fn sms(read: &mut Reader<'_>) -> Option<Sms> {
    let url = read.text("sms.url");
    let is_url = |url: &str| Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    match read.text("sms.provider").to_ascii_lowercase().as_str() {
        "" => None,
        "http" => {
            let body = Some(read.text("sms.body")).filter(|body| !body.is_empty());
            let all = format!("{url}{}", body.as_deref().unwrap_or_default());
            if !is_url(&url) || !all.contains("{phone}") || !all.contains("{text}") {
                read.error("sms.url, sms.body: name the gateway's http or https address; {phone} and {text} must stand in it or in the body".into());
            }
            let headers = read.checked("sms.headers", headers);
            let body = body.map(Secret);
            Some(Sms::Http(SmsHttp { url: Secret(url), headers, body, success: read.text("sms.success") }))
        }
        "aliyun" => {
            let endpoint = if url.is_empty() { ALIYUN.to_owned() } else { url };
            if !is_url(&endpoint) {
                read.error(
                    "sms.url: use an http or https address, or leave it empty for Alibaba Cloud's".into(),
                );
            }
            for key in ["sms.access_key_id", "sms.access_key_secret", "sms.sign_name", "sms.template_code"] {
                if read.text(key).is_empty() {
                    read.error(format!("{key}: sms.provider = aliyun needs it; its console names it"));
                }
            }
            let template_param = read.checked("sms.template_param", |text| {
                match serde_json::from_str::<serde_json::Map<_, _>>(text) {
                    Ok(_) => Ok(text.to_owned()),
                    Err(_) => Err("use a JSON object such as {\"content\":\"{text}\"}".into()),
                }
            });
            Some(Sms::Aliyun(SmsAliyun {
                endpoint,
                key_id: read.text("sms.access_key_id"),
                key_secret: Secret(read.text("sms.access_key_secret")),
                sign_name: read.text("sms.sign_name"),
                template_code: read.text("sms.template_code"),
                template_param,
            }))
        }
        other => {
            read.error(format!("sms.provider = `{other}`: use http or aliyun"));
            None
        }
    }
}

/// `Name:value|||Name:value`, as in a command text.
fn headers(text: &str) -> Result<Vec<(String, Secret)>, String> {
    let parts = text.split("|||").map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) =
                part.split_once(':').ok_or("write each header as Name:value, with ||| between them")?;
            Ok((name.trim().to_owned(), Secret(value.trim().to_owned())))
        })
        .collect()
}
