use super::*;

fn limits(user: Option<&str>, memory: Option<u64>, cpu: Option<u32>, files: Option<u32>) -> Limits {
    Limits { user: user.map(str::to_owned), memory, cpu, files }
}

#[test]
fn a_job_may_ask_for_less_and_has_the_servers_limit_otherwise() {
    let server = limits(None, Some(512 << 20), Some(60), None);
    let asked = limits(Some("nobody"), Some(512 << 20), None, Some(64));
    let both = limits(Some("nobody"), Some(512 << 20), Some(60), Some(64));
    assert_eq!(asked.under(&server), Ok(both));
    assert_eq!(Limits::default().under(&server), Ok(server.clone()));
    assert_eq!(Limits::default().under(&Limits::default()), Ok(Limits::default()));
    assert!(Limits::default().is_none() && !server.is_none());
}

#[test]
fn whatever_asks_for_more_is_named() {
    let server = limits(Some("jobs"), Some(512 << 20), Some(60), Some(256));
    let asked = limits(Some("root"), Some((512 << 20) + 1024), Some(61), Some(257));
    let refused = asked.under(&server).unwrap_err();
    let said: Vec<&str> = refused.iter().map(|e| e.message.en.as_str()).collect();
    assert_eq!(
        said,
        [
            "【user】 cannot be used: the server runs every command as jobs (commands.run_as); remove it",
            "【memory】 is 524289K, more than the 512M that the server allows (commands.memory_mb); ask for less",
            "【cpu】 is 61, more than the 60 that the server allows (commands.cpu_seconds); ask for less",
            "【files】 is 257, more than the 256 that the server allows (commands.open_files); ask for less",
        ]
    );
    assert!(refused.iter().all(|e| e.field == "command" && e.message.zh.contains('【')));
    // Also a user of the same name: a server that changes its mind later would change the job's.
    assert!(limits(Some("jobs"), None, None, None).under(&server).is_err());
}

#[test]
fn memory_is_a_number_with_a_unit() {
    for (text, bytes) in [
        ("16M", 16 << 20),
        ("512m", 512 << 20),
        ("512 MiB", 512 << 20),
        ("2G", 2 << 30),
        ("65536kb", 64 << 20),
        ("4T", 4 << 40),
    ] {
        assert_eq!(parse_memory(text), Some(bytes), "{text}");
    }
    for text in ["", "512", "M", "15M", "5T", "1.5G", "-1G", "+1G", "1GG", "99999999999999999999G", "1e3M"] {
        assert_eq!(parse_memory(text), None, "{text}");
    }
    for (bytes, shown) in [(512 << 20, "512M"), (1536 << 20, "1536M"), (2 << 30, "2G"), (0, "0"), (1, "1")] {
        assert_eq!(show_memory(bytes), shown);
    }
}

#[test]
fn a_user_is_one_word() {
    for good in ["nobody", "1000", "www-data", "用户", "a.b@example", "DOMAIN\\user", "machine$"] {
        assert!(is_user(good), "{good}");
    }
    for bad in ["", "-x", "a b", "a\nb", "a:b", "../x", "a,b", "a\u{7}", &"x".repeat(65)] {
        assert!(!is_user(bad), "{bad:?}");
    }
}
