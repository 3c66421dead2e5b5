//! Where requests of jobs may go: http jobs, Webhook and Monitor. A job's URL is the work of whoever
//! may add jobs, and the server stands where that person does not: beside a cloud's metadata service,
//! and in front of our own API, which trusts this machine. Pure: `exec/egress` resolves names and
//! asks here about each address, `egress/ranges` knows the addresses, `egress/allow` the exceptions.
//!
//! Commands and Python functions are not under these rules: they are programs of their own.

mod allow;
mod ranges;

use crate::domain::Text;
pub use allow::Allow;
use std::fmt;
use std::net::IpAddr;

/// How much is let out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything but metadata services, link-local and other addresses that no job has business with.
    #[default]
    Standard,
    /// Beside that, nothing on this machine or in its own networks.
    PublicOnly,
    /// Only what `Allow` names.
    AllowList,
    /// Everything, our own API too.
    Off,
}

impl Mode {
    /// Reads the setting.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "standard" => Some(Self::Standard),
            "public-only" => Some(Self::PublicOnly),
            "allow-list" => Some(Self::AllowList),
            "off" => Some(Self::Off),
            _ => None,
        }
    }
}

/// The port of our own API, and how to tell the machine's addresses.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// The port we listen on.
    pub port: u16,
    /// Whether an address is one of this machine's. Asked only about that port, as it may cost a call
    /// of the system; loopback addresses are known without it.
    pub local: fn(IpAddr) -> bool,
}

/// The rules in force.
#[derive(Clone, Debug, Default)]
pub struct EgressRules {
    pub mode: Mode,
    /// What is let through all the same; in `AllowList`, all there is.
    pub allow: Allow,
    /// `None` where nobody listens, as in tests.
    pub own: Option<Own>,
}

impl EgressRules {
    /// Rules that let everything through: for addresses that come from the administrator's settings.
    pub fn off() -> Self {
        Self { mode: Mode::Off, ..Self::default() }
    }

    /// The same, without the block of our own API: for who sends nothing, or asks only how we are.
    pub fn without_own(&self) -> Self {
        Self { own: None, ..self.clone() }
    }

    /// Whether a connection to this address and port may be made; `host` is what led to the address, a
    /// name or the address itself.
    ///
    /// An entry of `Allow` that is exactly the address overrides every range. A wider block or a name
    /// overrides what `PublicOnly` adds, never the ranges of `Standard`: whoever lets `*.example.com`
    /// through does not mean the metadata service, whatever that zone's owner points at it. Nothing
    /// overrides the block of our own API, which is looked at last.
    pub fn verdict(&self, addr: IpAddr, port: u16, host: &str) -> Result<(), Blocked> {
        if self.mode == Mode::Off {
            return Ok(());
        }
        let addr = addr.to_canonical();
        let blocked = |why, form| {
            let stands_for = Some(form).filter(|form| *form != addr);
            Err(Blocked { host: plain(host).to_owned(), addr: Some(addr), stands_for, why })
        };
        let forms = ranges::forms(addr);
        let exactly = |form| self.allow.is_exactly(addr) || self.allow.is_exactly(form);
        for &form in forms.iter().filter(|form| !exactly(**form)) {
            if let Some(why) = ranges::never(form) {
                return blocked(why, form);
            }
        }
        if self.mode == Mode::PublicOnly && !self.allow.names(host) && !self.allow.contains(addr) {
            for &form in forms.iter().filter(|form| !self.allow.contains(**form)) {
                if let Some(why) = ranges::not_public(form) {
                    return blocked(why, form);
                }
            }
        }
        if self.mode == Mode::AllowList && !self.allow.contains(addr) && !self.allow.names(host) {
            return blocked(Why::NotListed, addr);
        }
        let own = |own: &Own| {
            own.port == port
                && forms.iter().any(|form| form.is_loopback() || form.is_unspecified() || (own.local)(*form))
        };
        if self.own.as_ref().is_some_and(own) { blocked(Why::OwnApi, addr) } else { Ok(()) }
    }

    /// What can be said of a name without its addresses. `elsewhere`: a proxy resolves it, so its
    /// addresses will never be seen here and the name must do.
    pub fn verdict_of_name(&self, name: &str, port: u16, elsewhere: bool) -> Result<(), Blocked> {
        if self.mode == Mode::Off {
            return Ok(());
        }
        let name = plain(name);
        let blocked =
            |why| Err(Blocked { host: name.to_ascii_lowercase(), addr: None, stands_for: None, why });
        if ranges::is_metadata_name(name, elsewhere) && !self.allow.is_exactly_name(name) {
            return blocked(Why::MetadataName);
        }
        if !elsewhere {
            return Ok(());
        }
        // The proxy's own loopback may be ours: it often runs on the same machine.
        let loopback = ranges::is_loopback_name(name);
        match self.mode {
            Mode::PublicOnly if loopback && !self.allow.names(name) => blocked(Why::Loopback),
            Mode::AllowList if !self.allow.names(name) => blocked(Why::NotListed),
            _ if loopback && self.own.is_some_and(|own| own.port == port) => blocked(Why::OwnApi),
            _ => Ok(()),
        }
    }
}

/// A host without the brackets of an address and the dot that ends a full name.
fn plain(host: &str) -> &str {
    let host = host.trim_end_matches('.');
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// A connection that is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The host that was asked for.
    pub host: String,
    /// The address it has; `None` when the name alone decided.
    pub addr: Option<IpAddr>,
    /// The IPv4 address that is hidden in an IPv6 address, when that one is why.
    pub stands_for: Option<IpAddr>,
    pub why: Why,
}

/// Why a connection is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// 0.0.0.0/8 and `::`, which connect to this machine.
    ThisNetwork,
    LinkLocal,
    Metadata,
    MetadataName,
    Multicast,
    Broadcast,
    OwnApi,
    Loopback,
    Private,
    /// Of no network at all: examples, measurements, the future.
    Reserved,
    NotListed,
}

impl Blocked {
    /// What is blocked, why, and which setting allows it.
    pub fn text(&self) -> Text {
        let shown = match self.addr {
            Some(addr) if addr.to_string() == self.host => addr.to_string(),
            Some(addr) => format!("{addr} ({})", self.host),
            None => self.host.clone(),
        };
        let form = self
            .stands_for
            .map_or_else(Default::default, |v4| (format!("，即 {v4}"), format!(", which stands for {v4},")));
        let entry = self.addr.map_or_else(|| self.host.clone(), |addr| addr.to_string());
        let (why, mend) = (self.why.words(), self.why.mend(&entry));
        Text::new(
            format!("禁止访问 {shown}{}：{}；{}", form.0, why.0, mend.0),
            format!("{shown}{} may not be reached: {}; {}", form.1, why.1, mend.1),
        )
    }
}

impl Why {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::ThisNetwork => ("未指定地址", "it is an unspecified address"),
            Self::LinkLocal => {
                ("链路本地地址，云平台元数据服务所在", "it is link-local, where clouds serve their metadata")
            }
            Self::Metadata => ("云平台元数据服务的地址", "it is the address of a cloud's metadata service"),
            Self::MetadataName => ("云平台元数据服务的域名", "it is the name of a cloud's metadata service"),
            Self::Multicast => ("组播地址", "it is a multicast address"),
            Self::Broadcast => ("广播地址", "it is a broadcast address"),
            Self::OwnApi => (
                "本服务自己的接口，任务只能 GET /health",
                "it is this server's own API, of which a job may only GET /health",
            ),
            Self::Loopback => ("本机地址", "it is this machine"),
            Self::Private => ("内网地址", "it is a private address"),
            Self::Reserved => ("保留地址", "it is a reserved address"),
            Self::NotListed => ("不在白名单中", "it is not on the list of what may be reached"),
        }
    }

    /// Which setting lets `entry` through.
    fn mend(self, entry: &str) -> (String, String) {
        match self {
            Self::OwnApi => (
                "仅 egress.mode（EGRESS_MODE）为 off 时允许".into(),
                "only egress.mode (EGRESS_MODE) = off allows it".into(),
            ),
            Self::Loopback | Self::Private | Self::Reserved => (
                format!(
                    "如需访问，在 egress.allow（EGRESS_ALLOW）中加入 {entry}，或修改 egress.mode（EGRESS_MODE，现为 public-only）"
                ),
                format!(
                    "add {entry} to egress.allow (EGRESS_ALLOW) to allow it, or change egress.mode (EGRESS_MODE), which is public-only"
                ),
            ),
            _ => (
                format!("如需访问，在 egress.allow（EGRESS_ALLOW）中加入 {entry}"),
                format!("add {entry} to egress.allow (EGRESS_ALLOW) to allow it"),
            ),
        }
    }
}

/// Errors of libraries carry it up to where the run's report is written.
impl std::error::Error for Blocked {}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().fmt(f)
    }
}

#[cfg(test)]
#[path = "egress_test.rs"]
mod tests;
