//! Accounts, and the tokens with which programs come in.

use super::views::instant;
use crate::api::Api;
use crate::api::admin;
use crate::api::answer::{Answer, refusal};
use crate::api::auth::Identity;
use crate::api::auth::login::{NewAccount, failed};
use crate::api::extract::Call;
use crate::domain::account::{Role, check_password};
use crate::domain::audit::{self, Act};
use crate::domain::{FieldError, Text, UtcMs};
use crate::password;
use crate::store::{Account, AccountWritten, NewToken, Proof, Token};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

const DAY_MS: i64 = 86_400_000;

/// An account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account)]
pub(super) struct AccountView {
    id: i64,
    username: String,
    email: String,
    /// viewer, operator or admin.
    role: &'static str,
    enabled: bool,
    last_login: Option<String>,
    created: String,
    updated: String,
}

/// All accounts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Accounts)]
pub(super) struct AccountList {
    items: Vec<AccountView>,
}

/// A session or a program's token; what it is itself nobody is told a second time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(super) struct TokenView {
    id: i64,
    /// session or token.
    kind: String,
    /// What it is for; of a session, where it came from.
    name: String,
    /// The most it may do.
    role: &'static str,
    created: String,
    /// Null: never.
    expires: Option<String>,
    /// To the minute; null: never.
    last_used: Option<String>,
    /// Whether this request showed it.
    current: bool,
}

/// The caller's sessions and tokens.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tokens)]
pub(super) struct TokenList {
    items: Vec<TokenView>,
}

/// A token that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewTokenView {
    id: i64,
    /// Shown this once: send it as Authorization: Bearer.
    token: String,
}

pub(super) async fn list(api: Arc<Api>, _call: Call) -> Answer {
    match api.engine.accounts().all().await {
        Ok(all) => {
            let items = all.into_iter().map(AccountView::new).collect();
            Answer::bare(StatusCode::OK, AccountList { items })
        }
        Err(e) => failed(e),
    }
}

pub(super) async fn add(api: Arc<Api>, call: Call) -> Answer {
    let text = |name| call.text(name).unwrap_or_default();
    let (username, password, email) = (text("username"), text("password"), text("email"));
    let role = call.text("role").and_then(|role| Role::parse(&role)).unwrap_or(Role::Viewer);
    let new = NewAccount { username: &username, password: &password, email: &email, role };
    match api.auth.add_account(new).await {
        Ok(account) => {
            // Whoever makes the first account would else be sent to log in with what was just typed.
            let begin = matches!(call.identity, Identity::Owner);
            let answer = Answer::bare(StatusCode::CREATED, AccountView::new(account));
            match begin {
                true => match api.auth.log_in(&username, &password, call.client).await {
                    Ok(session) => session.cookie(answer, call.tls),
                    Err(_) => answer,
                },
                false => answer,
            }
        }
        Err(answer) => answer,
    }
}

pub(super) async fn edit(api: Arc<Api>, call: Call) -> Answer {
    let mut account = match api.engine.accounts().account(call.id()).await {
        Ok(Some(account)) => account,
        Ok(None) => return no_account(),
        Err(e) => return failed(e),
    };
    let read = account.clone();
    if let Some(password) = call.text("password") {
        if let Err(error) = check_password("password", &password, &account.username) {
            return Answer::Invalid(vec![error]);
        }
        account.password_hash = match api.auth.hash(&password).await {
            Ok(hash) => hash,
            Err(answer) => return answer,
        };
    }
    if let Some(role) = call.text("role") {
        account.role = role;
    }
    if let Some(email) = call.text("email") {
        account.email = email.trim().chars().take(255).collect();
    }
    account.enabled = call.fields.flag("enabled").unwrap_or(account.enabled);
    account.updated_ms = api.engine.now().0;
    let written = api.engine.accounts().save(&account, &read, api.engine.entry(Act::AccountEdit)).await;
    api.auth.forget();
    tracing::warn!(
        by = call.identity.name(),
        username = account.username,
        role = account.role,
        enabled = account.enabled,
        "an account was changed"
    );
    answer(written, || Answer::bare(StatusCode::OK, AccountView::new(account)))
}

pub(super) async fn delete(api: Arc<Api>, call: Call) -> Answer {
    let written = api.engine.accounts().delete(call.id(), api.engine.entry(Act::AccountDelete)).await;
    api.auth.forget();
    tracing::warn!(by = call.identity.name(), account = call.id(), "an account was deleted");
    answer(written, || Answer::bare(StatusCode::NO_CONTENT, ()))
}

fn answer(written: crate::store::Result<AccountWritten>, done: impl FnOnce() -> Answer) -> Answer {
    if matches!(written, Ok(AccountWritten::Done)) { done() } else { admin::answer(written, "", "") }
}

fn no_account() -> Answer {
    Answer::code(404, Text::new("账户不存在", "there is no such account"), ())
}

pub(super) async fn tokens(api: Arc<Api>, call: Call) -> Answer {
    let Identity::Account(who) = &call.identity else { return nobody() };
    match api.engine.accounts().tokens(who.account).await {
        Ok(tokens) => {
            let items = tokens.into_iter().map(|token| TokenView::new(token, who.token)).collect();
            Answer::bare(StatusCode::OK, TokenList { items })
        }
        Err(e) => failed(e),
    }
}

/// A token for a program, of the account that asks; it may not do more than that account.
pub(super) async fn add_token(api: Arc<Api>, call: Call) -> Answer {
    let Identity::Account(who) = &call.identity else { return nobody() };
    // A token that leaked for a day must not make one that lasts.
    if who.is_program() {
        return no_program();
    }
    let name = call.text("name").unwrap_or_default().trim().to_owned();
    if name.is_empty() || name.chars().count() > 100 {
        let text = Text::new("须为 1 到 100 个字符", "1 to 100 characters are wanted");
        return Answer::Invalid(vec![FieldError::new("name", text, ())]);
    }
    let role = call.text("role").and_then(|role| Role::parse(&role)).unwrap_or(Role::Viewer);
    if !who.role.includes(role) {
        let own = who.role.as_str();
        let text = Text::new(
            format!("令牌的权限不能超过自己的角色 {own}"),
            format!("a token may not do more than you: at most {own}"),
        );
        return Answer::Invalid(vec![FieldError::new("role", text, role.as_str())]);
    }
    let token = password::token("tjt_");
    let now = api.engine.now();
    let new = NewToken {
        account: who.account,
        kind: "token",
        name: &name,
        role: role.as_str(),
        hash: &password::digest(&token),
        created: now,
        expires: call.int("days").map(|days| UtcMs(now.0 + days * DAY_MS)),
        proof: Proof::Token(who.token),
    };
    let told = audit::fields(json!({"role": new.role, "expires": new.expires.map(|at| instant(at.0))}));
    match api.engine.accounts().add_token(&new, api.engine.entry(Act::TokenAdd).after(told)).await {
        Ok(None) => admin::changed_meanwhile(),
        Ok(Some(id)) => {
            tracing::warn!(by = who.username, name, role = new.role, "a token was made");
            Answer::bare(StatusCode::CREATED, NewTokenView { id, token })
        }
        Err(e) => failed(e),
    }
}

pub(super) async fn delete_token(api: Arc<Api>, call: Call) -> Answer {
    let Identity::Account(who) = &call.identity else { return nobody() };
    if who.is_program() && who.token != call.id() {
        return no_program();
    }
    let entry = api.engine.entry(Act::TokenDelete);
    let deleted = api.engine.accounts().delete_token(who.account, call.id(), entry).await;
    api.auth.forget();
    match deleted {
        Ok(true) => Answer::bare(StatusCode::NO_CONTENT, ()),
        Ok(false) => Answer::code(404, Text::new("令牌不存在", "there is no such token"), ()),
        Err(e) => failed(e),
    }
}

fn no_program() -> Answer {
    let text = Text::new(
        "令牌不能管理令牌，只能删除自己；请用账户登录",
        "a token manages no tokens, it can only delete itself; log in with the account",
    );
    refusal(StatusCode::FORBIDDEN, text)
}

fn nobody() -> Answer {
    let text = Text::new(
        "令牌属于账户；请先创建账户并登录",
        "tokens belong to accounts: make an account and log in first",
    );
    Answer::code(409, text, ())
}

impl AccountView {
    fn new(account: Account) -> Self {
        Self {
            id: account.id,
            username: account.username,
            email: account.email,
            role: Role::stored(&account.role).as_str(),
            enabled: account.enabled,
            last_login: account.last_login_ms.map(instant),
            created: instant(account.created_ms),
            updated: instant(account.updated_ms),
        }
    }
}

impl TokenView {
    fn new(token: Token, current: i64) -> Self {
        Self {
            current: token.id == current,
            id: token.id,
            kind: token.kind,
            name: token.name,
            role: Role::stored(&token.role).as_str(),
            created: instant(token.created_ms),
            expires: token.expires_ms.map(instant),
            last_used: token.used_ms.map(instant),
        }
    }
}
