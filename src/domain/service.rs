//! Services outside that functions use, as the settings describe them: databases, a mail server, an
//! SMS gateway. Checked by `config`, used by `exec`; nothing here connects to anything.

use std::fmt;

/// A text that may be or hold a password: whoever prints it prints stars.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A database that the function Database may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    pub name: String,
    pub kind: DatabaseKind,
    /// A path for SQLite, else a URL with the scheme `mysql` or `postgres`.
    pub url: Secret,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    Sqlite,
    MySql,
    Postgres,
}

/// The server that takes our mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    /// User and password.
    pub login: Option<(String, Secret)>,
    /// An address, `a@b` or `Name <a@b>`.
    pub from: String,
    pub tls: SmtpTls,
    /// Certificates in PEM that are trusted beside the machine's.
    pub ca: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SmtpTls {
    /// Begins in clear and must become TLS before anything is said.
    #[default]
    StartTls,
    Tls,
    None,
}

/// How text messages are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sms {
    Http(SmsHttp),
    Aliyun(SmsAliyun),
}

/// Any gateway with an HTTP call; `{phone}` and `{text}` stand for what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmsHttp {
    pub url: Secret,
    pub headers: Vec<(String, Secret)>,
    /// POSTed; without it the call is a GET.
    pub body: Option<Secret>,
    /// What the answer must hold; empty: any status 2xx is success.
    pub success: String,
}

/// Alibaba Cloud's Dysmsapi.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmsAliyun {
    pub endpoint: String,
    pub key_id: String,
    pub key_secret: Secret,
    pub sign_name: String,
    pub template_code: String,
    /// JSON with `{text}` in it.
    pub template_param: String,
}
