//! Who asks, and what they may do. A request shows a session's cookie or a program's token; without any
//! account, whom the address lists let in is the owner (`AUTH=auto`).
//!
//! - `attempts` bounds how often a password is tried.
//! - `login` makes sessions, the first account by its claim code, and ends them.

mod attempts;
pub(super) mod login;

use super::answer::Answer;
use crate::config::AuthMode;
use crate::domain::access::IpRules;
use crate::domain::account::Role;
use crate::domain::audit::By;
use crate::domain::{Text, UtcMs};
use crate::engine::Engine;
use crate::password;
use crate::store::{self, Accounts};
use attempts::Attempts;
use axum::http::{HeaderMap, header};
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// The cookie of a session.
const COOKIE: &str = "tj_session";
/// How long a look into the database holds: a token that was revoked by hand ends within it.
const KNOWN_FOR: i64 = 5_000;
/// Tokens that are remembered; beyond it everything is looked up anew.
const KNOWN_MAX: usize = 10_000;
/// How long it is taken for granted that there is still no account.
const ASK_AGAIN: i64 = 1_000;
/// When a token was used is told to the minute.
const USE_NOTED: i64 = 60_000;
/// Passwords that are hashed at once: each takes 19 MiB and a tenth of a second of one core.
const HASHING: usize = 2;
/// Passwords that may wait for that; more are told to come back.
const WAITING: usize = 32;

/// The least that a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing: it tells no secret and changes nothing.
    Open,
    Viewer,
    Operator,
    Admin,
}

impl Needs {
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Open => None,
            Self::Viewer => Some(Role::Viewer),
            Self::Operator => Some(Role::Operator),
            Self::Admin => Some(Role::Admin),
        }
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum Identity {
    /// Somebody who has not logged in and must.
    Nobody,
    /// There is no account, or none is asked for.
    Owner,
    Account(Arc<Who>),
}

/// An account that has shown a token.
#[derive(Debug)]
pub(super) struct Who {
    pub account: i64,
    pub username: String,
    pub role: Role,
    pub token: i64,
    /// What was shown: `session`, or `token` and its name.
    pub via: String,
    /// Of the token, to ask again.
    hash: String,
}

impl Who {
    /// Whether a token of a program was shown, and not a session.
    pub fn is_program(&self) -> bool {
        self.via != "session"
    }
}

impl Identity {
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Nobody => None,
            Self::Owner => Some(Role::Admin),
            Self::Account(who) => Some(who.role),
        }
    }

    /// For the log and the records of changes.
    pub fn name(&self) -> &str {
        match self {
            Self::Nobody => "nobody",
            Self::Owner => "owner",
            Self::Account(who) => &who.username,
        }
    }

    /// For the audit log.
    pub fn by(&self, client: IpAddr) -> By {
        let via = match self {
            Self::Nobody => "",
            Self::Owner => "open",
            Self::Account(who) => &who.via,
        };
        By {
            actor: self.name().to_owned(),
            role: self.role().map_or("", Role::as_str),
            via: via.to_owned(),
            source: client.to_string(),
        }
    }

    /// Whether it may do what this asks for; else why not.
    pub fn may(&self, needs: Needs) -> Result<(), Answer> {
        let Some(needed) = needs.role() else { return Ok(()) };
        match self.role() {
            Some(role) if role.includes(needed) => Ok(()),
            Some(role) => {
                let (role, needed) = (role.as_str(), needed.as_str());
                Err(super::answer::refusal(
                    axum::http::StatusCode::FORBIDDEN,
                    Text::new(
                        format!("当前角色 {role} 无权执行该操作，需要 {needed}"),
                        format!("your role {role} may not do this; it needs {needed}"),
                    ),
                ))
            }
            None => Err(super::answer::refusal(
                axum::http::StatusCode::UNAUTHORIZED,
                Text::new(
                    "请先登录：在控制台登录，或在请求头中带上 Authorization: Bearer <令牌>",
                    "log in first: in the console, or with the header Authorization: Bearer <token>",
                ),
            )),
        }
    }
}

/// What was found of a token.
#[derive(Clone, Debug)]
struct Known {
    who: Arc<Who>,
    until: UtcMs,
    expires: Option<i64>,
    noted: i64,
}

/// How people get in.
#[derive(Debug)]
pub(super) struct Auth {
    mode: AuthMode,
    engine: Engine,
    accounts: Accounts,
    /// Whether there is an account, and from when on that is asked again.
    any: Arc<Mutex<(bool, UtcMs)>>,
    known: Mutex<HashMap<String, Known>>,
    attempts: Mutex<Attempts>,
    refusals: Mutex<login::Refusals>,
    hashing: Semaphore,
    /// Those who wait for it, and who are at it.
    waiting: Semaphore,
    /// The file with the claim code.
    claim_file: PathBuf,
    claim: Mutex<Option<String>>,
}

impl Auth {
    pub async fn new(mode: AuthMode, engine: Engine, claim_file: PathBuf) -> Result<Self, store::Error> {
        let accounts = engine.accounts();
        let auth = Self {
            mode,
            any: Arc::new(Mutex::new((accounts.any().await?, UtcMs(i64::MIN)))),
            known: Mutex::default(),
            attempts: Mutex::default(),
            refusals: Mutex::default(),
            hashing: Semaphore::new(HASHING),
            waiting: Semaphore::new(WAITING),
            claim: Mutex::new(None),
            claim_file,
            accounts,
            engine,
        };
        auth.offer_claim();
        Ok(auth)
    }

    /// Whether an address that the lists let in may be the owner: without a login, only this machine and
    /// what somebody has named. An empty whitelist lets everybody try to log in; it names nobody.
    pub fn trusts(&self, rules: &IpRules, client: IpAddr) -> bool {
        let named = rules.enabled && !rules.whitelist.is_empty();
        self.mode == AuthMode::Off || client.to_canonical().is_loopback() || named
    }

    pub fn mode(&self) -> AuthMode {
        self.mode
    }

    /// Who asks. An error: the database cannot tell.
    pub async fn identify(&self, headers: &HeaderMap) -> Result<Identity, store::Error> {
        if self.needs_no_login() {
            return Ok(Identity::Owner);
        }
        self.of_token(bearer(headers).or_else(|| cookie(headers))).await
    }

    /// Who asks, by a token alone: a page of another site has no part in a session's cookie, and is never
    /// the owner.
    pub async fn identify_by_token(&self, headers: &HeaderMap) -> Result<Identity, store::Error> {
        self.of_token(bearer(headers)).await
    }

    /// Whether somebody may still do what they might when they began: the token is good, the account is
    /// there and has its role. A database that cannot tell ends nothing.
    pub async fn holds(&self, identity: &Identity) -> bool {
        let now = match identity {
            Identity::Account(who) => self.who(&who.hash).await,
            Identity::Owner if self.needs_no_login() => Ok(Identity::Owner),
            Identity::Owner | Identity::Nobody => Ok(Identity::Nobody),
        };
        now.map_or(true, |now| now.role() == identity.role())
    }

    fn needs_no_login(&self) -> bool {
        self.mode == AuthMode::Off || (self.mode == AuthMode::Auto && !self.any())
    }

    async fn of_token(&self, token: Option<&str>) -> Result<Identity, store::Error> {
        match token {
            Some(token) => self.who(&password::digest(token)).await,
            None => Ok(Identity::Nobody),
        }
    }

    async fn who(&self, hash: &str) -> Result<Identity, store::Error> {
        let now = self.engine.now();
        let known = self.known().get(hash).cloned();
        let fresh = known.clone().filter(|known| now < known.until);
        let known = match fresh {
            Some(known) => known,
            None => match self.accounts.token(hash).await {
                Ok(Some((token, account))) if account.enabled => {
                    let role = Role::stored(&account.role).least(Role::stored(&token.role));
                    let via =
                        if token.kind == "token" { format!("token {}", token.name) } else { token.kind };
                    let (username, hash) = (account.username, hash.to_owned());
                    let who = Who { account: account.id, username, role, token: token.id, via, hash };
                    let until = UtcMs(now.0 + KNOWN_FOR);
                    let noted = known.map_or(token.used_ms.unwrap_or(0), |known| known.noted);
                    Known { who: Arc::new(who), until, expires: token.expires_ms, noted }
                }
                Ok(_) => {
                    self.known().remove(hash);
                    return Ok(Identity::Nobody);
                }
                // Who was in stays in while the database is away: so they see that it is.
                Err(e) => known.ok_or(e)?,
            },
        };
        if known.expires.is_some_and(|expires| expires <= now.0) {
            return Ok(Identity::Nobody);
        }
        let who = known.who.clone();
        let note = now.0 - known.noted >= USE_NOTED;
        self.remember(hash, Known { noted: if note { now.0 } else { known.noted }, ..known });
        if note && let Err(e) = self.accounts.note_use(who.token, now).await {
            tracing::debug!(error = %store::chain(&e), "the use of a token was not noted");
        }
        Ok(Identity::Account(who))
    }

    /// Whether there is any account. No request waits for the database to tell: one that was made behind
    /// our back is seen a moment after the next request.
    pub fn any(&self) -> bool {
        let now = self.engine.now();
        let mut any = self.any.lock().unwrap_or_else(PoisonError::into_inner);
        if !any.0 && now >= any.1 {
            any.1 = UtcMs(now.0 + ASK_AGAIN);
            let (accounts, known) = (self.accounts.clone(), self.any.clone());
            tokio::spawn(async move {
                // The last admin cannot be deleted: what was once true stays true.
                if matches!(accounts.any().await, Ok(true)) {
                    known.lock().unwrap_or_else(PoisonError::into_inner).0 = true;
                }
            });
        }
        any.0
    }

    /// Everything that was known of tokens is looked up anew; accounts have changed.
    pub fn forget(&self) {
        self.known().clear();
    }

    /// There is an account from now on.
    fn begin_logins(&self) {
        self.any.lock().unwrap_or_else(PoisonError::into_inner).0 = true;
    }

    fn remember(&self, hash: &str, known: Known) {
        let mut all = self.known();
        if all.len() >= KNOWN_MAX {
            all.clear();
        }
        all.insert(hash.to_owned(), known);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token in a request's Authorization header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The token in the session's cookie.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let mut pairs = cookies.flat_map(|v| v.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}
