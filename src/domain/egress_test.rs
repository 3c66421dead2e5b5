//! Every range and every trick, in tables.

use super::*;
use url::{Host, Url};

const OWN: u16 = 8000;
/// The address of this machine in the tests' network.
const HERE: &str = "192.168.1.5";

fn rules(mode: Mode, allow: &str) -> EgressRules {
    let own = Own { port: OWN, local: |addr| addr.to_string() == HERE };
    EgressRules { mode, allow: Allow::parse(allow).unwrap(), own: Some(own) }
}

fn why(rules: &EgressRules, addr: &str, port: u16, host: &str) -> Option<Why> {
    rules.verdict(addr.parse().unwrap(), port, host).err().map(|blocked| blocked.why)
}

/// As a request would ask: an address at once, a name before it is resolved.
fn why_of_url(rules: &EgressRules, url: &str) -> Option<Why> {
    let url = Url::parse(url).unwrap();
    let port = url.port_or_known_default().unwrap();
    let blocked = match url.host().unwrap() {
        Host::Ipv4(addr) => rules.verdict(addr.into(), port, &addr.to_string()),
        Host::Ipv6(addr) => rules.verdict(addr.into(), port, &addr.to_string()),
        Host::Domain(name) => rules.verdict_of_name(name, port, false),
    };
    blocked.err().map(|blocked| blocked.why)
}

/// The address, why it is blocked in standard mode, and why in public-only mode.
const RANGES: &[(&str, Option<Why>, Option<Why>)] = {
    use Why::{Broadcast, LinkLocal, Loopback, Metadata, Multicast, Private, Reserved, ThisNetwork};
    &[
        ("0.0.0.0", Some(ThisNetwork), Some(ThisNetwork)),
        ("0.255.255.255", Some(ThisNetwork), Some(ThisNetwork)),
        ("::", Some(ThisNetwork), Some(ThisNetwork)),
        ("169.254.0.0", Some(LinkLocal), Some(LinkLocal)),
        ("169.254.169.254", Some(LinkLocal), Some(LinkLocal)),
        ("169.254.170.2", Some(LinkLocal), Some(LinkLocal)),
        ("169.254.255.255", Some(LinkLocal), Some(LinkLocal)),
        ("169.253.255.255", None, None),
        ("169.255.0.0", None, None),
        ("fe80::1", Some(LinkLocal), Some(LinkLocal)),
        ("fe80::a9fe:a9fe", Some(LinkLocal), Some(LinkLocal)),
        ("febf:ffff::1", Some(LinkLocal), Some(LinkLocal)),
        ("168.63.129.16", Some(Metadata), Some(Metadata)),
        ("100.100.100.200", Some(Metadata), Some(Metadata)),
        ("192.0.0.192", Some(Metadata), Some(Metadata)),
        ("fd00:ec2::254", Some(Metadata), Some(Metadata)),
        ("fd00:ec2::23", Some(Metadata), Some(Metadata)),
        ("fd20:ce::254", Some(Metadata), Some(Metadata)),
        ("fd00:c1::a9fe:a9fe", Some(Metadata), Some(Metadata)),
        ("fd00:42::42", Some(Metadata), Some(Metadata)),
        ("fd00:a9fe:a9fe::1", Some(Metadata), Some(Metadata)),
        ("fd00:100::100:200", Some(Metadata), Some(Metadata)),
        ("224.0.0.1", Some(Multicast), Some(Multicast)),
        ("239.255.255.255", Some(Multicast), Some(Multicast)),
        ("ff02::1", Some(Multicast), Some(Multicast)),
        ("255.255.255.255", Some(Broadcast), Some(Broadcast)),
        ("127.0.0.1", None, Some(Loopback)),
        ("127.255.255.254", None, Some(Loopback)),
        ("::1", None, Some(Loopback)),
        ("10.0.0.1", None, Some(Private)),
        ("172.16.0.1", None, Some(Private)),
        ("172.31.255.255", None, Some(Private)),
        ("172.15.255.255", None, None),
        ("172.32.0.0", None, None),
        ("192.168.0.1", None, Some(Private)),
        ("100.64.0.1", None, Some(Private)),
        ("100.127.255.255", None, Some(Private)),
        ("100.63.255.255", None, None),
        ("100.128.0.0", None, None),
        ("fc00::1", None, Some(Private)),
        ("fdff::1", None, Some(Private)),
        ("fec0::1", None, Some(Private)),
        ("192.0.0.1", None, Some(Reserved)),
        ("192.0.2.1", None, Some(Reserved)),
        ("198.51.100.1", None, Some(Reserved)),
        ("203.0.113.1", None, Some(Reserved)),
        ("192.88.99.1", None, Some(Reserved)),
        ("198.18.0.1", None, Some(Reserved)),
        ("198.19.255.255", None, Some(Reserved)),
        ("198.20.0.0", None, None),
        ("240.0.0.1", None, Some(Reserved)),
        ("100::1", None, Some(Reserved)),
        ("2001:2::1", None, Some(Reserved)),
        ("2001:20::1", None, Some(Reserved)),
        ("2001:db8::1", None, Some(Reserved)),
        ("3fff::1", None, Some(Reserved)),
        ("5f00::1", None, Some(Reserved)),
        ("8.8.8.8", None, None),
        ("192.0.1.1", None, None),
        ("2606:4700::1111", None, None),
        // What hides an IPv4 address: mapped, compatible, SIIT, NAT64, 6to4, Teredo, ISATAP.
        ("::ffff:169.254.169.254", Some(LinkLocal), Some(LinkLocal)),
        ("::ffff:0.0.0.0", Some(ThisNetwork), Some(ThisNetwork)),
        ("::ffff:127.0.0.1", None, Some(Loopback)),
        ("::ffff:10.0.0.1", None, Some(Private)),
        ("::ffff:8.8.8.8", None, None),
        ("::169.254.169.254", Some(LinkLocal), Some(LinkLocal)),
        ("::ffff:0:169.254.169.254", Some(LinkLocal), Some(LinkLocal)),
        ("64:ff9b::169.254.169.254", Some(LinkLocal), Some(LinkLocal)),
        ("64:ff9b::100.100.100.200", Some(Metadata), Some(Metadata)),
        ("64:ff9b::255.255.255.255", Some(Broadcast), Some(Broadcast)),
        ("64:ff9b::10.0.0.1", None, Some(Private)),
        ("64:ff9b::127.0.0.1", None, Some(Loopback)),
        ("64:ff9b::8.8.8.8", None, None),
        ("64:ff9b:1::8.8.8.8", None, Some(Reserved)),
        ("64:ff9b:1::169.254.169.254", Some(LinkLocal), Some(LinkLocal)),
        ("64:ff9b:1:a9fe:a9:fe00::", Some(LinkLocal), Some(LinkLocal)),
        ("2001:db8:64::169.254.169.254", Some(LinkLocal), Some(LinkLocal)),
        ("2a00:1:2:3::169.254.169.254", Some(LinkLocal), Some(LinkLocal)),
        ("2002:a9fe:a9fe::1", Some(LinkLocal), Some(LinkLocal)),
        ("2002:a00:1::1", None, Some(Private)),
        ("2002:808:808::1", None, None),
        ("2001:0:a9fe:a9fe::1", Some(LinkLocal), Some(LinkLocal)),
        ("2001:0:808:808::5601:5601", Some(LinkLocal), Some(LinkLocal)),
        ("2a00:1:2:3:0:5efe:169.254.1.1", Some(LinkLocal), Some(LinkLocal)),
        ("2a00:1:2:3:200:5efe:10.0.0.1", None, Some(Private)),
    ]
};

#[test]
fn each_range_is_blocked_where_it_should_be() {
    for &(addr, standard, public) in RANGES {
        assert_eq!(why(&rules(Mode::Standard, ""), addr, 80, addr), standard, "{addr}");
        assert_eq!(why(&rules(Mode::PublicOnly, ""), addr, 80, addr), public, "{addr} in public-only mode");
        assert_eq!(why(&rules(Mode::Off, ""), addr, OWN, addr), None, "{addr} with the guard off");
        let listed = why(&rules(Mode::AllowList, ""), addr, 80, addr);
        assert_eq!(listed, Some(standard.unwrap_or(Why::NotListed)), "{addr} in allow-list mode");
    }
}

#[test]
fn another_notation_is_the_same_address() {
    for url in [
        "http://169.254.169.254/latest/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0xA9.0xFE.0xA9.0xFE/",
        "http://0251.0376.0251.0376/",
        "http://169.254.43518/",
        "http://0xa9.16689662/",
        "http://169.254.169.254./",
        "http://169。254。169。254/",
        "http://１６９.254.169.254/",
        "http://%31%36%39.254.169.254/",
        "http://169.254.169.254:80/",
        "http://example.com@169.254.169.254/",
        "http://example.com:80@169.254.169.254/",
        "http://example.com%2f@169.254.169.254/",
        "http://8.8.8.8\\@169.254.169.254.nothing/../../@x",
        "http:169.254.169.254/",
        "http:\\\\169.254.169.254\\latest",
        "http:///169.254.169.254/",
        "http://169.254.169.254#@example.com/",
        "http://169.254.169.254?@example.com/",
        "http://169.254\t.169\n.254/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::FFFF:A9FE:A9FE]/",
        "http://[0:0:0:0:0:ffff:a9fe:a9fe]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::]/",
    ] {
        // One of them only looks like it: what comes before the first backslash is the host.
        let expected = if url.contains("8.8.8.8") { None } else { Some(Why::LinkLocal) };
        assert_eq!(why_of_url(&rules(Mode::Standard, ""), url), expected, "{url}");
    }
    for url in ["http://0/", "http://0.0.0.0/", "http://0x0/", "http://[::]/"] {
        assert_eq!(why_of_url(&rules(Mode::Standard, ""), url), Some(Why::ThisNetwork), "{url}");
    }
}

#[test]
fn metadata_services_are_known_by_name() {
    let standard = rules(Mode::Standard, "");
    for url in [
        "http://metadata.google.internal/computeMetadata/v1/",
        "http://METADATA.google.Internal/",
        "http://metadata.google.internal./",
        "http://ｍetadata.google.internal/",
        "http://metadata。google。internal/",
        "http://user@metadata.goog:8080/",
        "http://metadata.tencentyun.com/",
    ] {
        assert_eq!(why_of_url(&standard, url), Some(Why::MetadataName), "{url}");
    }
    for name in ["metadata.google.internal.example.com", "metadata", "example.com"] {
        assert_eq!(standard.verdict_of_name(name, 80, false), Ok(()), "{name}");
    }
    assert!(standard.verdict_of_name("metadata", 80, true).is_err(), "a proxy in the cloud knows it");
    let named = rules(Mode::Standard, "metadata.google.internal");
    assert_eq!(named.verdict_of_name("metadata.google.internal", 80, false), Ok(()));
    assert!(
        rules(Mode::Standard, "*.google.internal")
            .verdict_of_name("metadata.google.internal", 80, false)
            .is_err()
    );
    assert_eq!(rules(Mode::Off, "").verdict_of_name("metadata.google.internal", 80, true), Ok(()));
}

#[test]
fn our_own_api_is_blocked_on_every_address_of_this_machine() {
    let all = "127.0.0.1, ::1, 192.168.0.0/16, localhost";
    for mode in [Mode::Standard, Mode::PublicOnly, Mode::AllowList] {
        let rules = rules(mode, all);
        for addr in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", HERE, "::ffff:192.168.1.5"] {
            let blocked = why(&rules, addr, OWN, "localhost");
            assert_eq!(blocked, Some(Why::OwnApi), "{addr} in mode {mode:?}");
            assert_eq!(why(&rules, addr, OWN + 1, "localhost"), None, "another port of {addr}");
        }
        assert_eq!(why(&rules, "192.168.1.6", OWN, "192.168.1.6"), None, "another machine");
        // Behind a proxy that may be on this machine.
        assert!(rules.verdict_of_name("localhost.", OWN, true).is_err());
    }
    let rules = rules(Mode::Standard, "");
    assert_eq!(why(&rules, "64:ff9b::7f00:1", OWN, ""), Some(Why::OwnApi));
    assert_eq!(rules.verdict_of_name("LOCALHOST", OWN, false), Ok(()), "its addresses will tell");
}

#[test]
fn what_is_allowed_is_let_through() {
    // The mode, the list, an address, the name that led there, and the verdict.
    for (mode, allow, addr, host, blocked) in [
        (Mode::Standard, "169.254.169.254", "169.254.169.254", "", None),
        (Mode::Standard, "169.254.169.254/32", "::ffff:169.254.169.254", "", None),
        (Mode::Standard, "::ffff:169.254.169.254", "169.254.169.254", "", None),
        (Mode::Standard, "169.254.169.254", "64:ff9b::169.254.169.254", "", None),
        (Mode::Standard, "0xa9fea9fe", "169.254.169.254", "", None),
        (Mode::Standard, "169.254.169.254", "169.254.169.253", "", Some(Why::LinkLocal)),
        (Mode::Standard, "169.254.0.0/16", "169.254.169.254", "", Some(Why::LinkLocal)),
        (Mode::Standard, "example.com", "169.254.169.254", "example.com", Some(Why::LinkLocal)),
        (Mode::PublicOnly, "10.1.0.0/16", "10.1.2.3", "", None),
        (Mode::PublicOnly, "10.1.0.0/16", "10.2.2.3", "", Some(Why::Private)),
        (Mode::PublicOnly, "db.example.com", "10.2.2.3", "DB.example.com.", None),
        (Mode::PublicOnly, "db.example.com", "169.254.169.254", "db.example.com", Some(Why::LinkLocal)),
        (Mode::AllowList, "10.0.0.0/8", "10.1.2.3", "x.example", None),
        (Mode::AllowList, "[fd00::1]", "fd00::1", "fd00::1", None),
        (Mode::AllowList, "10.0.0.0/8", "8.8.8.8", "x.example", Some(Why::NotListed)),
        (Mode::AllowList, "*.example.com", "8.8.8.8", "a.b.example.com", None),
        (Mode::AllowList, "*.example.com", "8.8.8.8", "example.com", Some(Why::NotListed)),
        (Mode::AllowList, "*.example.com", "8.8.8.8", "badexample.com", Some(Why::NotListed)),
        (Mode::AllowList, "*.example.com", "8.8.8.8", "example.com.evil.net", Some(Why::NotListed)),
        (Mode::AllowList, "bücher.example", "8.8.8.8", "xn--bcher-kva.example", None),
        (Mode::AllowList, "*.example.com", "127.0.0.1", "a.example.com", None),
        (Mode::AllowList, "*.example.com", "169.254.1.1", "a.example.com", Some(Why::LinkLocal)),
        (Mode::AllowList, "", "8.8.8.8", "example.com", Some(Why::NotListed)),
    ] {
        assert_eq!(why(&rules(mode, allow), addr, 80, host), blocked, "{mode:?} {allow}: {addr} {host}");
    }
}

#[test]
fn a_name_that_a_proxy_resolves_must_be_allowed_as_a_name() {
    for (mode, allow, name, blocked) in [
        (Mode::Standard, "", "anything.example", None),
        (Mode::Standard, "", "localhost", None),
        (Mode::PublicOnly, "", "anything.example", None),
        (Mode::PublicOnly, "", "app.localhost", Some(Why::Loopback)),
        (Mode::PublicOnly, "localhost", "LocalHost.", None),
        (Mode::AllowList, "10.0.0.0/8", "anything.example", Some(Why::NotListed)),
        (Mode::AllowList, "anything.example", "anything.example", None),
    ] {
        let verdict = rules(mode, allow).verdict_of_name(name, 80, true);
        assert_eq!(verdict.err().map(|b| b.why), blocked, "{mode:?} {allow}: {name}");
        assert_eq!(rules(mode, allow).verdict_of_name(name, 80, false), Ok(()), "its addresses will tell");
    }
}

#[test]
fn a_list_that_cannot_be_read_names_the_entry() {
    for bad in [
        "https://example.com",
        "example.com:443",
        "example.com/path",
        "*",
        "*.",
        "a.*.b",
        "*.10.0.0.1",
        "10.0.0.0/33",
        "[::1",
    ] {
        let error = Allow::parse(&format!("example.com, {bad}")).unwrap_err();
        assert!(error.starts_with(&format!("`{bad}` is no host")), "{error}");
    }
    assert_eq!(Allow::parse(" , ;\n").unwrap(), Allow::default());
}

#[test]
fn the_words_name_address_reason_and_setting() {
    let text = |rules: &EgressRules, addr: &str, port, host| {
        rules.verdict(addr.parse().unwrap(), port, host).unwrap_err().text()
    };
    let standard = rules(Mode::Standard, "");
    let said = text(&standard, "169.254.169.254", 80, "evil.example");
    assert_eq!(
        said.en,
        "169.254.169.254 (evil.example) may not be reached: it is link-local, where clouds serve their metadata; add 169.254.169.254 to egress.allow (EGRESS_ALLOW) to allow it"
    );
    assert!(said.zh.starts_with("禁止访问 169.254.169.254 (evil.example)：链路本地地址"), "{}", said.zh);
    let said = text(&standard, "64:ff9b::a9fe:a9fe", 80, "[64:ff9b::a9fe:a9fe]").en;
    assert!(said.starts_with("64:ff9b::a9fe:a9fe, which stands for 169.254.169.254, may not"), "{said}");
    let said = text(&standard, "127.0.0.1", OWN, "localhost.").en;
    assert!(
        said.starts_with("127.0.0.1 (localhost) may not be reached: it is this server's own API"),
        "{said}"
    );
    assert!(said.ends_with("only egress.mode (EGRESS_MODE) = off allows it"), "{said}");
    let said = text(&rules(Mode::PublicOnly, ""), "10.0.0.1", 80, "10.0.0.1").en;
    assert!(said.ends_with("or change egress.mode (EGRESS_MODE), which is public-only"), "{said}");
    let said = rules(Mode::AllowList, "").verdict_of_name("a.example", 80, true).unwrap_err().to_string();
    assert!(said.starts_with("a.example may not be reached: it is not on the list"), "{said}");
}

#[test]
fn modes_are_read_in_any_case() {
    for (text, mode) in [
        ("standard", Some(Mode::Standard)),
        ("Public-Only", Some(Mode::PublicOnly)),
        ("allow-list", Some(Mode::AllowList)),
        (" OFF ", Some(Mode::Off)),
        ("none", None),
    ] {
        assert_eq!(Mode::parse(text), mode, "{text}");
    }
}
