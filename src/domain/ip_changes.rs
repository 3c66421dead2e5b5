//! Changes of the address lists at run time. They are kept as differences from the configured
//! lists, so that a later change of the configuration still counts.

use super::access::{IpRules, parse_list};
use ipnet::IpNet;
use serde_json::{Value, json};
use std::net::IpAddr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    White,
    Black,
}

impl List {
    /// As it stands in paths and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::White => "whitelist",
            Self::Black => "blacklist",
        }
    }
}

/// Why a change is not made unless it is forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Danger {
    /// The caller could not call again.
    LocksOut,
    /// An empty whitelist lets everybody in.
    OpensToAll,
}

/// What was changed of one list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Changes {
    added: Vec<IpNet>,
    removed: Vec<IpNet>,
}

/// What was changed of both lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpChanges {
    white: Changes,
    black: Changes,
}

impl IpChanges {
    /// The lists in force: the configured ones with the changes.
    pub fn apply(&self, configured: &IpRules) -> IpRules {
        IpRules {
            enabled: configured.enabled,
            whitelist: self.white.apply(&configured.whitelist),
            blacklist: self.black.apply(&configured.blacklist),
        }
    }

    /// Adds an entry; false when it is there already.
    pub fn add(&mut self, list: List, configured: &IpRules, net: IpNet) -> bool {
        let (changes, configured) = self.of(list, configured);
        if changes.apply(configured).contains(&net) {
            return false;
        }
        changes.removed.retain(|n| *n != net);
        if !configured.contains(&net) {
            changes.added.push(net);
        }
        true
    }

    /// Removes an entry; false when it is not there.
    pub fn remove(&mut self, list: List, configured: &IpRules, net: IpNet) -> bool {
        let (changes, configured) = self.of(list, configured);
        if !changes.apply(configured).contains(&net) {
            return false;
        }
        changes.added.retain(|n| *n != net);
        if configured.contains(&net) {
            changes.removed.push(net);
        }
        true
    }

    pub fn to_json(&self) -> Value {
        let text = |nets: &[IpNet]| nets.iter().map(ToString::to_string).collect::<Vec<_>>();
        let of = |c: &Changes| json!({"added": text(&c.added), "removed": text(&c.removed)});
        json!({"whitelist": of(&self.white), "blacklist": of(&self.black)})
    }

    /// Reads `to_json` back; an entry that cannot be read is an error that names it.
    pub fn from_json(stored: &Value) -> Result<Self, String> {
        let nets = |list: &str, what: &str| {
            let entries = stored[list][what].as_array().into_iter().flatten().filter_map(Value::as_str);
            parse_list(&entries.collect::<Vec<_>>().join(","))
        };
        let of = |list: &str| {
            Ok::<_, String>(Changes { added: nets(list, "added")?, removed: nets(list, "removed")? })
        };
        Ok(Self { white: of("whitelist")?, black: of("blacklist")? })
    }

    fn of<'a>(&mut self, list: List, configured: &'a IpRules) -> (&mut Changes, &'a [IpNet]) {
        match list {
            List::White => (&mut self.white, &configured.whitelist),
            List::Black => (&mut self.black, &configured.blacklist),
        }
    }
}

impl Changes {
    fn apply(&self, configured: &[IpNet]) -> Vec<IpNet> {
        let kept = configured.iter().filter(|n| !self.removed.contains(n));
        kept.chain(self.added.iter().filter(|n| !configured.contains(n))).copied().collect()
    }
}

/// What is wrong with going from `before` to `after`, for the one who asks.
pub fn danger(before: &IpRules, after: &IpRules, caller: IpAddr) -> Option<Danger> {
    if !after.allows(caller) {
        Some(Danger::LocksOut)
    } else if after.enabled && after.whitelist.is_empty() && !before.whitelist.is_empty() {
        Some(Danger::OpensToAll)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::parse_net;

    fn rules(white: &str) -> IpRules {
        IpRules { enabled: true, whitelist: parse_list(white).unwrap(), blacklist: Vec::new() }
    }

    fn net(text: &str) -> IpNet {
        parse_net(text).unwrap()
    }

    #[test]
    fn changes_lie_over_the_configured_lists_also_when_those_change() {
        let configured = rules("127.0.0.1, ::1");
        let mut changes = IpChanges::default();
        assert!(changes.add(List::White, &configured, net("10.0.0.0/8")));
        assert!(!changes.add(List::White, &configured, net("10.0.0.0/8")), "it is there already");
        assert!(changes.remove(List::White, &configured, net("::1")));
        assert!(!changes.remove(List::White, &configured, net("::1")), "it is gone already");
        assert!(changes.add(List::Black, &configured, net("10.6.6.6")));
        let now = changes.apply(&configured);
        assert_eq!(now.whitelist, parse_list("127.0.0.1, 10.0.0.0/8").unwrap());
        assert_eq!(now.blacklist, [net("10.6.6.6")]);
        assert_eq!(IpChanges::from_json(&changes.to_json()), Ok(changes.clone()));

        let reconfigured = changes.apply(&rules("192.168.0.0/16, ::1, 10.0.0.0/8"));
        assert_eq!(reconfigured.whitelist, parse_list("192.168.0.0/16, 10.0.0.0/8").unwrap());
        assert!(changes.add(List::White, &configured, net("::1")), "a configured entry can come back");
        assert!(changes.remove(List::White, &configured, net("10.0.0.0/8")));
        assert_eq!(changes.apply(&configured).whitelist, configured.whitelist);
    }

    #[test]
    fn dangers_are_seen() {
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        let before = rules("127.0.0.1");
        assert_eq!(danger(&before, &rules("10.0.0.1"), here), Some(Danger::LocksOut));
        assert_eq!(danger(&before, &rules(""), here), Some(Danger::OpensToAll));
        assert_eq!(danger(&before, &rules("127.0.0.0/8"), here), None);
        let black = IpRules { blacklist: vec![net("127.0.0.1")], ..rules("127.0.0.1") };
        assert_eq!(danger(&before, &black, here), Some(Danger::LocksOut));
    }
}
