//! Logging in and out of the console, and the first account.

use crate::api::Api;
use crate::api::answer::Answer;
use crate::api::auth::Identity;
use crate::api::auth::login::{NewAccount, Session, without_cookie};
use crate::api::extract::Call;
use crate::domain::account::Role;
use axum::http::StatusCode;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Who asks, and whether they must log in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionView {
    /// auto, required or off.
    mode: &'static str,
    /// Whether there is an account; without one, nobody logs in unless the mode is required.
    accounts: bool,
    /// Whether the first account is to be made with the claim code.
    claim: bool,
    /// Null: nobody is logged in.
    username: Option<String>,
    /// What the caller may do: viewer, operator or admin; null: nothing before logging in.
    role: Option<&'static str>,
}

pub(super) async fn session(api: Arc<Api>, call: Call) -> Answer {
    let username = match &call.identity {
        Identity::Account(who) => Some(who.username.clone()),
        Identity::Nobody | Identity::Owner => None,
    };
    view(&api, username, call.identity.role())
}

pub(super) async fn log_in(api: Arc<Api>, call: Call) -> Answer {
    let text = |name| call.text(name).unwrap_or_default();
    begun(&api, call.tls, api.auth.log_in(&text("username"), &text("password"), call.client).await)
}

pub(super) async fn log_out(api: Arc<Api>, call: Call) -> Answer {
    match api.auth.log_out(&call.identity).await {
        Ok(()) => without_cookie(Answer::bare(StatusCode::NO_CONTENT, ()), call.tls),
        Err(answer) => answer,
    }
}

pub(super) async fn claim(api: Arc<Api>, call: Call) -> Answer {
    let text = |name| call.text(name).unwrap_or_default();
    let (username, password) = (text("username"), text("password"));
    let new = NewAccount { username: &username, password: &password, email: "", role: Role::Admin };
    begun(&api, call.tls, api.auth.claim(&text("code"), new, call.client).await)
}

pub(super) async fn change_password(api: Arc<Api>, call: Call) -> Answer {
    let text = |name| call.text(name).unwrap_or_default();
    let (old, new) = (text("password"), text("new_password"));
    begun(&api, call.tls, api.auth.change_password(&call.identity, &old, &new, call.client).await)
}

fn begun(api: &Api, tls: bool, session: Result<Session, Answer>) -> Answer {
    match session {
        Ok(session) => {
            let role = Role::stored(&session.account.role);
            session.cookie(view(api, Some(session.account.username.clone()), Some(role)), tls)
        }
        Err(answer) => answer,
    }
}

fn view(api: &Api, username: Option<String>, role: Option<Role>) -> Answer {
    let view = SessionView {
        mode: api.auth.mode().as_str(),
        accounts: api.auth.any(),
        claim: api.auth.awaits_claim(),
        username,
        role: role.map(Role::as_str),
    };
    Answer::bare(StatusCode::OK, view)
}
