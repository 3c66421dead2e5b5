//! What kind of address an address is, and which IPv4 addresses an IPv6 address may stand for.

use super::Why;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services outside link-local: Azure (wire server), Alibaba Cloud, Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];

/// Those among the private addresses of IPv6: Google, Oracle, Scaleway, Akamai, Alibaba Cloud. Amazon
/// has a block, see `metadata_v6`.
const METADATA_V6: [Ipv6Addr; 5] = [
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
    Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200),
];

/// Their addresses are blocked anyway; the names count where a proxy resolves them.
const METADATA_NAMES: [&str; 5] = [
    "metadata.google.internal",
    "metadata.goog",
    "metadata.azure.internal",
    "metadata.tencentyun.com",
    "instance-data.ec2.internal",
];

/// The same in a cloud's own search domain. Anybody's service may have such a name, so they count only
/// where no address is seen.
const SHORT_METADATA_NAMES: [&str; 2] = ["metadata", "instance-data"];

/// Looked for at the end of any IPv6 address: a NAT64 prefix is the choice of whoever runs the network.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

pub(super) fn is_metadata_name(name: &str, elsewhere: bool) -> bool {
    let short = SHORT_METADATA_NAMES.iter().filter(|_| elsewhere);
    METADATA_NAMES.iter().chain(short).any(|known| known.eq_ignore_ascii_case(name))
}

pub(super) fn is_loopback_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name == "localhost.localdomain"
}

/// The address and the IPv4 addresses to which a network may take it.
pub(super) fn forms(addr: IpAddr) -> Vec<IpAddr> {
    let mut all = vec![addr];
    if let IpAddr::V6(v6) = addr {
        all.extend(hidden(v6).into_iter().map(IpAddr::V4));
    }
    all
}

/// IPv4-mapped addresses are not among them: they are made IPv4 before.
fn hidden(addr: Ipv6Addr) -> Vec<Ipv4Addr> {
    let b = addr.octets();
    let at = |bytes: [usize; 4]| Ipv4Addr::from(bytes.map(|at| b[at]));
    let last = at([12, 13, 14, 15]);
    match addr.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => vec![],
        // IPv4-compatible, translated by SIIT (RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => vec![last],
        // NAT64 of a network's own (RFC 8215): the address lies where the prefix ends, around byte 8.
        // We do not know where that is, and a wrong guess reads zeros.
        [0x64, 0xff9b, 1, ..] => {
            let guesses = [last, at([6, 7, 9, 10]), at([7, 9, 10, 11]), at([9, 10, 11, 12])];
            guesses.into_iter().filter(|guess| guess.octets()[0] != 0).collect()
        }
        // 6to4.
        [0x2002, ..] => vec![at([2, 3, 4, 5])],
        // Teredo: the server, and the client with its bits turned over.
        [0x2001, 0, ..] => vec![at([4, 5, 6, 7]), Ipv4Addr::from_bits(!last.to_bits())],
        // ISATAP.
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => vec![last],
        _ if last == METADATA => vec![last],
        _ => vec![],
    }
}

/// Addresses that no job has business with.
pub(super) fn never(addr: IpAddr) -> Option<Why> {
    match addr {
        IpAddr::V4(v4) => match v4.octets() {
            [0, ..] => Some(Why::ThisNetwork),
            [169, 254, ..] => Some(Why::LinkLocal),
            _ if METADATA_V4.contains(&v4) => Some(Why::Metadata),
            [224..=239, ..] => Some(Why::Multicast),
            [255, 255, 255, 255] => Some(Why::Broadcast),
            _ => None,
        },
        IpAddr::V6(v6) => match v6.segments() {
            _ if v6.is_unspecified() => Some(Why::ThisNetwork),
            [0xfe80..=0xfebf, ..] => Some(Why::LinkLocal),
            _ if metadata_v6(v6) => Some(Why::Metadata),
            [0xff00..=0xffff, ..] => Some(Why::Multicast),
            _ => None,
        },
    }
}

/// Amazon's block is whole: beside the metadata it gives credentials to pods.
fn metadata_v6(addr: Ipv6Addr) -> bool {
    METADATA_V6.contains(&addr) || matches!(addr.segments(), [0xfd00, 0xec2, ..])
}

/// Addresses beside those that are not of the public internet.
pub(super) fn not_public(addr: IpAddr) -> Option<Why> {
    match addr {
        IpAddr::V4(v4) => match v4.octets() {
            [127, ..] => Some(Why::Loopback),
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Some(Why::Private),
            // Protocols, examples, the relays of 6to4, measurements, the future.
            [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => {
                Some(Why::Reserved)
            }
            [198, 18 | 19, ..] | [240..=255, ..] => Some(Why::Reserved),
            _ => None,
        },
        IpAddr::V6(v6) => match v6.segments() {
            _ if v6.is_loopback() => Some(Why::Loopback),
            // Unique local, and site-local from before.
            [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Some(Why::Private),
            // NAT64 leads to the IPv4 address in it, which is looked at as well.
            [0x64, 0xff9b, 0, 0, 0, 0, ..] => None,
            // Measurements, ORCHID, examples.
            [0x2001, 2, 0, ..] | [0x2001, 0x10..=0x2f, ..] | [0x2001, 0xdb8, ..] => Some(Why::Reserved),
            [0x3fff, 0..=0xfff, ..] => Some(Why::Reserved),
            // The public internet is 2000::/3, so far.
            [0x2000..=0x3fff, ..] => None,
            _ => Some(Why::Reserved),
        },
    }
}
