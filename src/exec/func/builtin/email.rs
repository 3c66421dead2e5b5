//! `Email`: one mail to one or more people, by the server of the settings smtp.*. STARTTLS must
//! succeed before anything is said; no header can be smuggled in through subject or address.

use super::{Builtin, Call, Output, Param, Words, Work};
use crate::domain::Text;
use crate::domain::service::{Smtp, SmtpTls};
use crate::exec::http::Http;
use futures_util::future::BoxFuture;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use serde_json::Value;

pub const BUILTIN: Builtin = Builtin {
    name: "Email",
    description: Words {
        zh: "发送邮件（SMTP，配置项 smtp.*）", en: "Sends a mail (SMTP, settings smtp.*)"
    },
    params: &[
        Param {
            name: "to",
            about: Words {
                zh: "收件地址，多个用分号分隔", en: "the address; several with ; between them"
            },
            required: true,
        },
        Param {
            name: "subject",
            about: Words { zh: "主题，一行", en: "the subject, one line" },
            required: true,
        },
        Param {
            name: "body",
            about: Words {
                zh: "正文：第二个逗号之后的全部文字", en: "the text: all after the second comma"
            },
            required: false,
        },
        Param {
            name: "html",
            about: Words {
                zh: "仅 JSON 形式：第四项为正文的 HTML 版本",
                en: "JSON form only: the fourth item is the text as HTML",
            },
            required: false,
        },
    ],
    example: "Email user@example.com,测试,邮件内容",
    work: Work::Async(email),
};

/// People of one mail.
const PEOPLE_MAX: usize = 100;

fn email<'a>(call: &'a Call<'a>, _: &'a Http) -> BoxFuture<'a, Result<Output, Text>> {
    Box::pin(async move {
        let smtp = call.settings.smtp.as_ref().ok_or_else(|| {
            Text::new(
                "尚未配置邮件服务器，请设置 smtp.host、smtp.username、smtp.password 等",
                "no mail server is set up; set smtp.host, smtp.username, smtp.password and so on",
            )
        })?;
        let mail = read(call)?;
        let people = mail.to.len();
        let message = message(smtp, mail, call)?;
        let answer = transport(smtp)?.send(message).await.map_err(|e| words(&e, smtp))?;
        let said = answer.message().collect::<Vec<_>>().join(" ");
        Ok(Output::same(format!("sent to {people}: {} {said}", answer.code()).trim_end().to_owned()))
    })
}

struct Mail {
    to: Vec<Mailbox>,
    subject: String,
    body: String,
    html: Option<String>,
}

fn read(call: &Call) -> Result<Mail, Text> {
    let texts = call.texts();
    let at = |n: usize| texts.get(n).cloned().unwrap_or_default();
    let to: Vec<String> = match call.args.first() {
        Some(Value::Array(all)) => {
            all.iter().map(|to| to.as_str().map_or_else(|| to.to_string(), str::to_owned)).collect()
        }
        _ => at(0).split([';', '；']).map(str::to_owned).filter(|to| !to.trim().is_empty()).collect(),
    };
    let to: Vec<_> = to.iter().map(|to| mailbox(to)).collect::<Result<_, _>>()?;
    if to.is_empty() || to.len() > PEOPLE_MAX {
        return Err(Text::new(
            format!("需要 1 到 {PEOPLE_MAX} 个收件地址，例如 Email user@example.com,主题,正文"),
            format!("needs 1 to {PEOPLE_MAX} addresses, as in Email user@example.com,subject,text"),
        ));
    }
    let subject = at(1).trim().to_owned();
    if subject.is_empty() || subject.chars().any(char::is_control) {
        return Err(Text::new(
            "参数 2 主题为空或含换行，请写一行文字",
            "argument 2, the subject, is empty or holds a line break; write one line",
        ));
    }
    let json = call.is_json();
    let body = if json { at(2) } else { super::unquoted(call.after_comma(2)) };
    Ok(Mail { to, subject, body, html: texts.get(3).filter(|_| json).cloned() })
}

fn mailbox(text: &str) -> Result<Mailbox, Text> {
    let text = text.trim();
    // The parser would fold a line break into a space; nobody means one in an address.
    text.parse().ok().filter(|_| !text.chars().any(char::is_control)).ok_or_else(|| {
        let text = text.escape_debug();
        Text::new(
            format!("“{text}” 不是邮件地址，请写成 user@example.com；多个用分号分隔"),
            format!(
                "\"{text}\" is no mail address; write it as user@example.com, several with ; between them"
            ),
        )
    })
}

fn message(smtp: &Smtp, mail: Mail, call: &Call) -> Result<Message, Text> {
    let from = mailbox(&smtp.from)?;
    // Repeats of one run are mails of their own; a server may drop a second one of the same name.
    let name = format!("<{}.{}@{}>", call.ctx.exec_id, super::random_name()?, from.email.domain());
    let mut builder = Message::builder()
        .from(from)
        .subject(mail.subject)
        .date(call.ctx.now.to_utc().into())
        .message_id(Some(name));
    for to in mail.to {
        builder = builder.to(to);
    }
    let message = match mail.html {
        Some(html) => builder.multipart(MultiPart::alternative_plain_html(mail.body, html)),
        None => builder.header(ContentType::TEXT_PLAIN).body(mail.body),
    };
    message.map_err(|e| Text::new(format!("邮件无法生成：{e}"), format!("the mail cannot be made: {e}")))
}

fn transport(smtp: &Smtp) -> Result<AsyncSmtpTransport<Tokio1Executor>, Text> {
    let tls = || {
        let mut parameters = TlsParameters::builder(smtp.host.clone());
        if let Some(pem) = &smtp.ca {
            parameters = parameters.add_root_certificate(Certificate::from_pem(pem)?);
        }
        parameters.build()
    };
    let tls = match smtp.tls {
        SmtpTls::StartTls => tls().map(Tls::Required),
        SmtpTls::Tls => tls().map(Tls::Wrapper),
        SmtpTls::None => Ok(Tls::None),
    };
    let tls = tls.map_err(|e| words(&e, smtp))?;
    let mut builder =
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host).port(smtp.port).tls(tls);
    if let Some((user, password)) = &smtp.login {
        builder = builder.credentials(Credentials::new(user.clone(), password.0.clone()));
    }
    Ok(builder.build())
}

fn words(error: &lettre::transport::smtp::Error, smtp: &Smtp) -> Text {
    let mut chain = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(e) = cause {
        let text = e.to_string();
        if !chain.contains(&text) {
            chain += &format!(": {text}");
        }
        cause = e.source();
    }
    let (host, port) = (&smtp.host, smtp.port);
    let (zh, en) = match error.status().map(|code| code.to_string()) {
        Some(code) if matches!(code.as_str(), "530" | "534" | "535") => (
            "登录被拒绝，请检查 smtp.username 和 smtp.password",
            "refused the login; check smtp.username and smtp.password",
        ),
        Some(_) => ("拒绝了邮件", "refused the mail"),
        None if error.is_client() => (
            "不支持所需的加密或登录方式，请检查 smtp.tls 和 smtp.port",
            "does not offer the encryption or login that is asked for; check smtp.tls and smtp.port",
        ),
        None => (
            "无法连接，请检查 smtp.host、smtp.port 和 smtp.tls",
            "cannot be reached; check smtp.host, smtp.port and smtp.tls",
        ),
    };
    Text::new(
        format!("邮件服务器 {host}:{port} {zh}：{chain}"),
        format!("the mail server {host}:{port} {en}: {chain}"),
    )
}

#[cfg(test)]
#[path = "email_test.rs"]
mod tests;
