//! `/admin/*` as the older editions' clients know it: translation only. The same accounts and sessions
//! as in `/api/v1`.

use super::Api;
use super::answer::{Answer, Paging};
use super::auth::Identity;
use super::auth::login::{NewAccount, failed};
use super::extract::Call;
use crate::domain::account::Role;
use crate::domain::audit::Act;
use crate::domain::{Text, UtcMs};
use crate::engine::Engine;
use crate::store::{Account, AccountWritten};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn login(api: Arc<Api>, call: Call) -> Answer {
    let text = |name| call.text(name).unwrap_or_default();
    match api.auth.log_in(&text("username"), &text("password"), call.client).await {
        Ok(session) => {
            let data = json!({"token": session.token, "user": user(&session.account, &api.engine)});
            session.cookie(Answer::ok("登录成功", "logged in", data), call.tls)
        }
        Err(answer) => answer,
    }
}

pub(super) async fn register(api: Arc<Api>, call: Call) -> Answer {
    let text = |name| call.text(name).unwrap_or_default();
    let (username, password, email) = (text("username"), text("password"), text("email"));
    let role = call.text("role").and_then(|role| Role::parse(&role)).unwrap_or(Role::Admin);
    let new = NewAccount { username: &username, password: &password, email: &email, role };
    match api.auth.add_account(new).await {
        Ok(account) => Answer::ok("账户创建成功", "account made", json!({"id": account.id})),
        Err(answer) => answer,
    }
}

pub(super) async fn profile(api: Arc<Api>, call: Call) -> Answer {
    match own(&api, &call).await {
        Ok(account) => Answer::ok("成功", "ok", user(&account, &api.engine)),
        Err(answer) => answer,
    }
}

/// A new mail address, or a new password for whoever knows the old one.
pub(super) async fn edit_profile(api: Arc<Api>, call: Call) -> Answer {
    if let Some(new) = call.text("new_password") {
        let old = call.text("password").unwrap_or_default();
        return match api.auth.change_password(&call.identity, &old, &new, call.client).await {
            Ok(session) => {
                let data = json!({"token": session.token, "user": user(&session.account, &api.engine)});
                session.cookie(Answer::ok("密码已修改", "password changed", data), call.tls)
            }
            Err(answer) => answer,
        };
    }
    let mut account = match own(&api, &call).await {
        Ok(account) => account,
        Err(answer) => return answer,
    };
    let read = account.clone();
    account.email = call.text("email").unwrap_or_default().trim().chars().take(255).collect();
    account.updated_ms = api.engine.now().0;
    let written = api.engine.accounts().save(&account, &read, api.engine.entry(Act::AccountEdit)).await;
    answer(written, "资料已更新", "profile changed")
}

pub(super) async fn list(api: Arc<Api>, call: Call) -> Answer {
    let (page, size) = call.page();
    match api.engine.accounts().all().await {
        Ok(all) => {
            let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
            let skip = usize::try_from((page - 1).saturating_mul(size)).unwrap_or(usize::MAX);
            let shown = all.iter().skip(skip).take(usize::try_from(size).unwrap_or(0));
            let shown: Vec<_> = shown.map(|account| user(account, &api.engine)).collect();
            Answer::page(shown, Paging { page, size, total })
        }
        Err(e) => failed(e),
    }
}

pub(super) async fn status(api: Arc<Api>, call: Call) -> Answer {
    let mut account = match api.engine.accounts().account(call.id()).await {
        Ok(Some(account)) => account,
        Ok(None) => return answer(Ok(AccountWritten::NotFound), "", ""),
        Err(e) => return failed(e),
    };
    let read = account.clone();
    account.enabled = call.flag("status");
    account.updated_ms = api.engine.now().0;
    tracing::warn!(
        by = call.identity.name(),
        username = account.username,
        enabled = account.enabled,
        "an account was changed"
    );
    let written = api.engine.accounts().save(&account, &read, api.engine.entry(Act::AccountEdit)).await;
    api.auth.forget();
    answer(written, "账户状态已更新", "account changed")
}

pub(super) async fn delete(api: Arc<Api>, call: Call) -> Answer {
    let written = api.engine.accounts().delete(call.id(), api.engine.entry(Act::AccountDelete)).await;
    api.auth.forget();
    tracing::warn!(by = call.identity.name(), account = call.id(), "an account was deleted");
    answer(written, "账户已删除", "account deleted")
}

async fn own(api: &Api, call: &Call) -> Result<Account, Answer> {
    let Identity::Account(who) = &call.identity else {
        let text = Text::new("当前没有登录任何账户", "no account is logged in");
        return Err(Answer::code(404, text, ()));
    };
    let found = api.engine.accounts().account(who.account).await.map_err(failed)?;
    found.ok_or_else(|| Answer::code(404, Text::new("账户不存在", "there is no such account"), ()))
}

/// How a change of an account ended, in both APIs.
pub(super) fn answer(written: crate::store::Result<AccountWritten>, zh: &str, en: &str) -> Answer {
    match written {
        Ok(AccountWritten::Done) => Answer::ok(zh, en, Value::Null),
        Ok(AccountWritten::NotFound) => {
            Answer::code(404, Text::new("账户不存在", "there is no such account"), ())
        }
        Ok(AccountWritten::LastAdmin) => {
            let text = Text::new(
                "这是最后一个可用的管理员，不能删除、停用或降级",
                "this is the last admin who can log in: it stays, enabled, and an admin",
            );
            Answer::code(409, text, ())
        }
        Ok(AccountWritten::Changed) => changed_meanwhile(),
        Err(e) => failed(e),
    }
}

/// Somebody else was quicker.
pub(super) fn changed_meanwhile() -> Answer {
    let text = Text::new(
        "账户刚被他人修改，请重新登录或重试",
        "the account was changed by somebody else just now; log in again or try again",
    );
    Answer::code(409, text, ())
}

fn user(account: &Account, engine: &Engine) -> Value {
    let time = |ms: i64| UtcMs(ms).rfc3339(engine.zone());
    json!({
        "id": account.id, "username": account.username, "email": account.email,
        "role": Role::stored(&account.role).as_str(), "status": i32::from(account.enabled),
        "last_login": account.last_login_ms.map(time), "created_at": time(account.created_ms),
        "updated_at": time(account.updated_ms),
    })
}
