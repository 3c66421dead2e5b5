//! The address lists, looked at and changed while the server runs (contract, "IP control").

use super::answer::Answer;
use super::extract::Call;
use super::{Access, Api};
use crate::config::Config;
use crate::domain::access::{IpRules, parse_net};
use crate::domain::audit::{self, Act};
use crate::domain::ip_changes::{Danger, IpChanges, List, danger};
use crate::domain::{FieldError, Text};
use crate::engine::{Engine, Error};
use ipnet::IpNet;
use serde_json::json;
use std::sync::{Arc, PoisonError};

/// Under this name the changes are stored.
const STORED: &str = "ip_control";

/// What the lists in force are made of.
#[derive(Debug)]
pub(super) struct Lists {
    pub configured: IpRules,
    pub changes: IpChanges,
}

impl Lists {
    pub fn in_force(&self) -> IpRules {
        self.changes.apply(&self.configured)
    }
}

/// The changes that an earlier server stored. Ones that cannot be read stop the start: guessing who
/// may come in is no choice.
pub(super) async fn stored_changes(engine: &Engine) -> Result<IpChanges, Error> {
    let stored = engine.setting(STORED).await?;
    IpChanges::from_json(&stored).map_err(|bad| {
        Error::Store(crate::store::Error::Data(format!("setting {STORED}: `{bad}` is no address")))
    })
}

impl Api {
    /// Lets in by these settings from now on, and shows them; what was changed at run time stays changed.
    pub async fn configure(&self, config: &Config) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) =
            (config.snapshot(), config.described());
        let mut lists = self.lists.lock().await;
        lists.configured = config.ip.clone();
        self.let_in(Access::of(config, lists.in_force()));
    }

    fn let_in(&self, access: Access) {
        *self.access.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(access);
    }
}

pub(super) async fn status(api: Arc<Api>, _call: Call) -> Answer {
    let ip = &api.access().ip;
    let (white, black) = (shown(&ip.whitelist), shown(&ip.blacklist));
    let data = json!({"enabled": ip.enabled, "whitelist": white, "blacklist": black});
    Answer::ok("成功", "ok", data).with("whitelist", white).with("blacklist", black)
}

pub(super) async fn whitelist_add(api: Arc<Api>, call: Call) -> Answer {
    change(&api, &call, List::White, true).await
}

pub(super) async fn whitelist_remove(api: Arc<Api>, call: Call) -> Answer {
    change(&api, &call, List::White, false).await
}

pub(super) async fn blacklist_add(api: Arc<Api>, call: Call) -> Answer {
    change(&api, &call, List::Black, true).await
}

pub(super) async fn blacklist_remove(api: Arc<Api>, call: Call) -> Answer {
    change(&api, &call, List::Black, false).await
}

async fn change(api: &Api, call: &Call, list: List, add: bool) -> Answer {
    let net = match read_net(&call.text("ip").unwrap_or_default(), "ip") {
        Ok(net) => net,
        Err(error) => return Answer::Invalid(vec![error]),
    };
    match change_list(api, call, list, add, net).await {
        Ok(()) => {
            let name = list.as_str();
            let done =
                if add { format!("{net} added to {name}") } else { format!("{net} removed from {name}") };
            let zh = if add { "已加入" } else { "已移出" };
            Answer::code(200, Text::new(format!("{done}（{zh}）"), done), ())
        }
        Err(Refused::Engine(e)) => e.into(),
        Err(Refused::Danger(error)) => Answer::Dangerous(error),
        Err(Refused::Same(text)) => Answer::code(400, text, ()),
    }
}

pub(super) fn read_net(given: &str, field: &'static str) -> Result<IpNet, FieldError> {
    parse_net(given).ok_or_else(|| {
        let text = Text::new(
            "须为 IPv4、IPv6 地址或 CIDR，例如 192.168.1.0/24",
            "an IPv4 or IPv6 address or a CIDR block is wanted, such as 192.168.1.0/24",
        );
        FieldError::new(field, text, given)
    })
}

/// Why a list was not changed.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is so already.
    Same(Text),
    /// Nobody said that it is meant.
    Danger(FieldError),
    Engine(Error),
}

/// Adds an entry or takes one off; with the call's `force` also when that is dangerous.
pub(super) async fn change_list(
    api: &Api,
    call: &Call,
    list: List,
    add: bool,
    net: IpNet,
) -> Result<(), Refused> {
    let name = list.as_str();
    // Held until the change is stored: two changes at once must not undo each other. Nobody who
    // comes in waits for it.
    let mut lists = api.lists.lock().await;
    let mut changes = lists.changes.clone();
    let done = if add {
        changes.add(list, &lists.configured, net)
    } else {
        changes.remove(list, &lists.configured, net)
    };
    if !done {
        let (zh, en) = if add { ("已在", "already in") } else { ("不在", "not in") };
        return Err(Refused::Same(Text::new(
            format!("{net} {zh} {name}"),
            format!("{net} is {en} the {name}"),
        )));
    }
    let (before, after) = (lists.in_force(), changes.apply(&lists.configured));
    if let Some(danger) = danger(&before, &after, call.client).filter(|_| !call.flag("force")) {
        let meant = FieldError::new("force", why_not(danger, call), false);
        return Err(Refused::Danger(meant));
    }
    let act = if add { Act::AccessAdd } else { Act::AccessRemove };
    let told = |rules: &IpRules| {
        audit::fields(json!({"whitelist": shown(&rules.whitelist), "blacklist": shown(&rules.blacklist)}))
    };
    let entry = api.engine.entry(act).on("list", name, net.to_string()).changed(told(&before), told(&after));
    api.engine.save_setting(STORED, &changes.to_json(), &entry).await.map_err(Refused::Engine)?;
    lists.changes = changes;
    let access = api.access();
    api.let_in(Access { ip: after, ..(*access).clone() });
    tracing::warn!(client = %call.client, ip = %net, list = name, add, "the address lists were changed");
    Ok(())
}

fn why_not(danger: Danger, call: &Call) -> Text {
    let client = call.client;
    match danger {
        Danger::LocksOut => Text::new(
            format!("此修改会使您当前的地址 {client} 无法再访问；确认请加 force=true"),
            format!(
                "after this change your own address {client} could not call any more; add force=true to do it"
            ),
        ),
        Danger::OpensToAll => Text::new(
            "白名单清空后任何地址都能访问并执行命令；确认请加 force=true",
            "with an empty whitelist everybody who reaches this port may run commands; add force=true to do it",
        ),
    }
}

/// A single address is shown without its prefix.
pub(super) fn shown(nets: &[IpNet]) -> Vec<String> {
    let one = |net: &IpNet| net.prefix_len() == net.max_prefix_len();
    nets.iter().map(|net| if one(net) { net.addr().to_string() } else { net.to_string() }).collect()
}
