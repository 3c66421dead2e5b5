//! The address lists: who may come in.

use super::views::Access;
use crate::api::Api;
use crate::api::answer::Answer;
use crate::api::extract::Call;
use crate::api::ip_control::{Refused, change_list, read_net, shown};
use crate::domain::ip_changes::List;
use axum::http::StatusCode;
use std::sync::Arc;

pub(super) async fn lists(api: Arc<Api>, call: Call) -> Answer {
    answer(&api, &call, StatusCode::OK)
}

pub(super) async fn add(api: Arc<Api>, call: Call) -> Answer {
    change(&api, &call, true).await
}

pub(super) async fn remove(api: Arc<Api>, call: Call) -> Answer {
    change(&api, &call, false).await
}

async fn change(api: &Api, call: &Call, add: bool) -> Answer {
    let list = match call.text("list").as_deref() {
        Some("whitelist") => List::White,
        _ => List::Black,
    };
    let net = match read_net(&call.text("entry").unwrap_or_default(), "entry") {
        Ok(net) => net,
        Err(error) => return Answer::Invalid(vec![error]),
    };
    let done = if add { StatusCode::CREATED } else { StatusCode::OK };
    match change_list(api, call, list, add, net).await {
        Ok(()) => answer(api, call, done),
        Err(Refused::Engine(e)) => e.into(),
        Err(Refused::Same(text)) => Answer::code(if add { 409 } else { 404 }, text, ()),
        Err(Refused::Danger(error)) => Answer::Dangerous(error),
    }
}

fn answer(api: &Api, call: &Call, status: StatusCode) -> Answer {
    let ip = &api.access().ip;
    let access = Access {
        enabled: ip.enabled,
        you: call.client.to_string(),
        whitelist: shown(&ip.whitelist),
        blacklist: shown(&ip.blacklist),
    };
    Answer::bare(status, access)
}
