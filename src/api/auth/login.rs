//! Logging in and out, the first account by its claim code, changing a password.

use super::{Auth, COOKIE, Identity};
use crate::api::admin;
use crate::api::answer::{Answer, refusal};
use crate::config::AuthMode;
use crate::domain::account::{Role, check_password, check_username};
use crate::domain::audit::{self, Act, By, Entry};
use crate::domain::{FieldError, Text, UtcMs};
use crate::engine;
use crate::password::{self, Verdict};
use crate::private;
use crate::store::{Account, AccountWritten, NewToken, Proof};
use axum::http::{StatusCode, header};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

/// A session ends after so many seconds: a week.
const SESSION_SECONDS: i64 = 7 * 86_400;

/// Refused logins that are told of in a minute.
const REFUSALS_TOLD: u32 = 30;

/// How many were told of.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    minute: i64,
    told: u32,
    left_out: u64,
}

/// A session that has begun.
#[derive(Debug)]
pub(in crate::api) struct Session {
    pub account: Account,
    /// Known to the client alone.
    pub token: String,
}

impl Session {
    /// The answer, with the session's cookie. It is sent to us alone, and to no script.
    pub fn cookie(&self, answer: Answer, tls: bool) -> Answer {
        answer.header(header::SET_COOKIE, &cookie(&self.token, SESSION_SECONDS, tls))
    }
}

/// Takes the session's cookie away.
pub(in crate::api) fn without_cookie(answer: Answer, tls: bool) -> Answer {
    answer.header(header::SET_COOKIE, &cookie("", 0, tls))
}

/// Over TLS it is `Secure`: the browser never shows it on a line that others can read.
fn cookie(token: &str, seconds: i64, tls: bool) -> String {
    let secure = if tls { "; Secure" } else { "" };
    format!("{COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

impl Auth {
    /// Checks user name and password, and begins a session.
    pub async fn log_in(&self, username: &str, password: &str, source: IpAddr) -> Result<Session, Answer> {
        self.try_once(source)?;
        let username = username.trim();
        let found = self.accounts.account_named(username).await.map_err(failed)?;
        let stored = found.as_ref().filter(|account| account.enabled).map(|a| a.password_hash.clone());
        let given = password.to_owned();
        let verdict = self.hashing(move || password::verify(&given, stored.as_deref())).await?;
        let Some(mut account) = found.filter(|_| verdict != Verdict::Wrong) else {
            tracing::warn!(client = %source, username, "a login was refused");
            self.note_refusal(username).await;
            let text = Text::new("用户名或密码错误", "user name or password is wrong");
            return Err(refusal(StatusCode::UNAUTHORIZED, text));
        };
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).give_back(source);
        let better = match verdict {
            Verdict::RightOldHash => Some(self.hash(password).await?),
            _ => None,
        };
        let now = self.engine.now();
        let noted = self.accounts.note_login(account.id, &account.password_hash, better.as_deref(), now);
        noted.await.map_err(failed)?;
        account.password_hash = better.unwrap_or(account.password_hash);
        tracing::info!(client = %source, username, "logged in");
        self.begin(account, source).await
    }

    /// Tells of a refused login, of so many a minute from all the world: nobody fills the disk with them.
    async fn note_refusal(&self, username: &str) {
        let now = self.engine.now();
        let left_out = {
            let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            let minute = now.0.div_euclid(60_000);
            if refusals.minute != minute {
                *refusals = Refusals { minute, told: 0, left_out: refusals.left_out };
            }
            refusals.told += 1;
            if refusals.told > REFUSALS_TOLD {
                refusals.left_out += 1;
                return;
            }
            std::mem::take(&mut refusals.left_out)
        };
        let mut entry = self.engine.entry(Act::LogInFailed).on("account", "", username);
        if left_out > 0 {
            entry = entry.after(audit::fields(json!({"not_told_before": left_out})));
        }
        self.engine.note(entry).await;
    }

    /// Ends the session or token that was shown.
    pub async fn log_out(&self, identity: &Identity) -> Result<(), Answer> {
        if let Identity::Account(who) = identity {
            let entry = self.engine.entry(Act::LogOut);
            self.accounts.delete_token(who.account, who.token, entry).await.map_err(failed)?;
            self.forget();
        }
        Ok(())
    }

    /// Makes an account. The first one ends the time in which nobody had to log in, so it is an admin.
    pub async fn add_account(&self, new: NewAccount<'_>) -> Result<Account, Answer> {
        let mut errors = Vec::new();
        let username = check_username(new.username).map_err(|e| errors.push(e)).unwrap_or_default();
        if let Err(e) = check_password("password", new.password, &username) {
            errors.push(e);
        }
        let first = !self.accounts.any().await.map_err(failed)?;
        if first && new.role != Role::Admin {
            let text = Text::new("第一个账户须为 admin", "the first account must be an admin");
            errors.push(FieldError::new("role", text, new.role.as_str()));
        }
        if !errors.is_empty() {
            return Err(Answer::Invalid(errors));
        }
        let now = self.engine.now().0;
        let mut account = Account {
            id: 0,
            username,
            password_hash: self.hash(new.password).await?,
            email: new.email.trim().chars().take(255).collect(),
            role: new.role.as_str().to_owned(),
            enabled: true,
            last_login_ms: None,
            created_ms: now,
            updated_ms: now,
        };
        let entry = self.engine.entry(Act::AccountAdd).after(account.told());
        let made = self.accounts.add(&account, first, entry).await.map_err(failed)?;
        let Some(id) = made else {
            let text = Text::new("用户名已存在，请换一个", "the user name is taken, choose another");
            return Err(Answer::code(409, text, ()));
        };
        account.id = id;
        self.begin_logins();
        tracing::warn!(username = account.username, role = account.role, "an account was made");
        self.forget();
        Ok(account)
    }

    /// The first account, for whoever can read the server's log or its claim file.
    pub async fn claim(&self, code: &str, new: NewAccount<'_>, source: IpAddr) -> Result<Session, Answer> {
        self.try_once(source)?;
        let wanted = self.claim.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Digests are compared, so the time tells nothing of how much of the code was right.
        let right = wanted.is_some_and(|wanted| password::digest(&wanted) == password::digest(code.trim()));
        if !right || self.accounts.any().await.map_err(failed)? {
            let text = Text::new(
                "认领码无效；请查看服务日志或 claim-code 文件",
                "the claim code is wrong; it stands in the server's log and in the file claim-code",
            );
            return Err(Answer::Invalid(vec![FieldError::new("code", text, ())]));
        }
        let by = By {
            actor: new.username.trim().to_owned(),
            role: Role::Admin.as_str(),
            via: "claim code".into(),
            source: source.to_string(),
        };
        let new = NewAccount { role: Role::Admin, ..new };
        let account = engine::as_by(by, self.add_account(new)).await?;
        *self.claim.lock().unwrap_or_else(PoisonError::into_inner) = None;
        fs::remove_file(&self.claim_file).ok();
        self.begin(account, source).await
    }

    /// A new password for whoever knows the old one. All its sessions and tokens end.
    pub async fn change_password(
        &self,
        identity: &Identity,
        old: &str,
        new: &str,
        source: IpAddr,
    ) -> Result<Session, Answer> {
        let Identity::Account(who) = identity else {
            let text = Text::new("当前没有登录任何账户", "no account is logged in");
            return Err(Answer::code(400, text, ()));
        };
        check_password("new_password", new, &who.username).map_err(|e| Answer::Invalid(vec![e]))?;
        self.try_once(source)?;
        let Some(mut account) = self.accounts.account(who.account).await.map_err(failed)? else {
            return Err(refusal(StatusCode::UNAUTHORIZED, Text::new("账户已被删除", "the account is gone")));
        };
        let (given, stored) = (old.to_owned(), account.password_hash.clone());
        if self.hashing(move || password::verify(&given, Some(&stored))).await? == Verdict::Wrong {
            let text = Text::new("原密码错误", "the old password is wrong");
            return Err(Answer::Invalid(vec![FieldError::new("password", text, ())]));
        }
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).give_back(source);
        let read = account.clone();
        account.password_hash = self.hash(new).await?;
        account.updated_ms = self.engine.now().0;
        let entry = self.engine.entry(Act::PasswordChange);
        match self.accounts.save(&account, &read, entry).await {
            Ok(AccountWritten::Done) => {}
            other => return Err(admin::answer(other, "", "")),
        }
        self.forget();
        tracing::warn!(username = account.username, "a password was changed");
        self.begin(account, source).await
    }

    async fn begin(&self, account: Account, source: IpAddr) -> Result<Session, Answer> {
        let token = password::token("tjs_");
        let now = self.engine.now();
        let new = NewToken {
            account: account.id,
            kind: "session",
            name: &source.to_string(),
            role: Role::Admin.as_str(),
            hash: &password::digest(&token),
            created: now,
            expires: Some(UtcMs(now.0 + SESSION_SECONDS * 1_000)),
            proof: Proof::Password(&account.password_hash),
        };
        let role = Role::stored(&account.role).as_str();
        let by =
            By { actor: account.username.clone(), role, via: "password".into(), source: source.to_string() };
        let entry = Entry::new(now, Arc::new(by), Act::LogIn).on("account", account.id, &account.username);
        match self.accounts.add_token(&new, entry).await.map_err(failed)? {
            Some(_) => Ok(Session { account, token }),
            None => Err(admin::changed_meanwhile()),
        }
    }

    fn try_once(&self, source: IpAddr) -> Result<(), Answer> {
        let now = self.engine.now();
        let taken = self.attempts.lock().unwrap_or_else(PoisonError::into_inner).take(source, now);
        taken.map_err(|seconds| {
            let text = Text::new(
                format!("尝试过于频繁，请在 {seconds} 秒后重试"),
                format!("too many tries, wait {seconds} seconds"),
            );
            refusal(StatusCode::TOO_MANY_REQUESTS, text).header(header::RETRY_AFTER, &seconds.to_string())
        })
    }

    pub async fn hash(&self, password: &str) -> Result<String, Answer> {
        let password = password.to_owned();
        let hash = self.hashing(move || password::hash(&password)).await?;
        hash.map_err(|e| {
            tracing::error!(error = %e, "a password cannot be hashed");
            refusal(
                StatusCode::INTERNAL_SERVER_ERROR,
                Text::new("密码处理失败", "the password cannot be hashed"),
            )
        })
    }

    /// Hashing keeps a core busy for a tenth of a second: not one of those that serve, and few at once.
    async fn hashing<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Answer> {
        let busy = || {
            refusal(StatusCode::SERVICE_UNAVAILABLE, Text::new("服务繁忙，请重试", "busy, try again"))
                .header(header::RETRY_AFTER, "2")
        };
        // So many wait and no more: those who come in hundreds hold their connections for nobody.
        let _waiting = self.waiting.try_acquire().map_err(|_| busy())?;
        let _place = self.hashing.acquire().await.map_err(|_| busy())?;
        tokio::task::spawn_blocking(work).await.map_err(|_| busy())
    }

    /// Without an account, and with everybody to log in, the first comes in by a code that only those
    /// see who can read the log or this file.
    pub(super) fn offer_claim(&self) {
        let any = self.any.lock().unwrap_or_else(PoisonError::into_inner).0;
        if self.mode != AuthMode::Required || any {
            fs::remove_file(&self.claim_file).ok();
            return;
        }
        let code = password::token("");
        let written = private::options()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&self.claim_file)
            .and_then(|mut file| writeln!(file, "{code}"));
        if let Err(e) = written {
            tracing::warn!(file = %self.claim_file.display(), error = %e, "the claim code cannot be written");
        }
        tracing::warn!(
            file = %self.claim_file.display(),
            "there is no account yet: open the console and make the first one with this claim code: {code}"
        );
        *self.claim.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
    }

    /// Whether the first account is made with the claim code.
    pub fn awaits_claim(&self) -> bool {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// An account that is to be made.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct NewAccount<'a> {
    pub username: &'a str,
    pub password: &'a str,
    pub email: &'a str,
    pub role: Role,
}

pub(in crate::api) fn failed(e: crate::store::Error) -> Answer {
    engine::Error::Store(e).into()
}
