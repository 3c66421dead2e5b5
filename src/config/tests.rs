use super::*;
use crate::domain::access;
use std::collections::HashMap;

fn load(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env: HashMap<_, _> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Config::load(&Flags { config: Some(empty_file()), ..Flags::default() }, |name| env.get(name).cloned())
}

fn empty_file() -> PathBuf {
    let path = std::env::temp_dir().join("timerjobs-empty-config.toml");
    std::fs::write(&path, "").unwrap();
    path
}

fn load_file(text: &str) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(&Flags { config: Some(path), ..Flags::default() }, |_| None)
}

#[test]
fn the_defaults_are_the_contracts() {
    let c = load(&[]).unwrap();
    assert_eq!((c.host.as_str(), c.port), ("0.0.0.0", 8000));
    assert_eq!(c.database.url, DatabaseUrl::Sqlite("./data/timerjobs.db".into()));
    assert_eq!(c.ip.whitelist, access::parse_list("127.0.0.1, ::1").unwrap());
    assert!(c.trusted_proxies.is_empty());
    assert_eq!((c.jobs.max_concurrent, c.jobs.max_waiting), (64, 10_000));
    assert_eq!((c.egress.mode, c.egress.allow), (egress::Mode::Standard, egress::Allow::default()));
}

#[test]
fn flag_wins_over_environment_wins_over_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    std::fs::write(&path, "[server]\nport = 1\nhost = \"file\"\n[log]\ndays = 3\n").unwrap();
    let flags = Flags { config: Some(path), port: Some(3), ..Flags::default() };
    let env = |name: &str| {
        (name == "SERVER_PORT").then(|| "2".to_owned()).or((name == "HOST").then(|| "env".into()))
    };
    let c = Config::load(&flags, env).unwrap();
    assert_eq!((c.port, c.host.as_str(), c.log.days), (3, "env", 3));
}

#[test]
fn sqlite_urls_read_as_the_older_edition_reads_them() {
    for (url, path) in [
        ("sqlite:///./x.db", "./x.db"),
        ("sqlite:///x.db", "x.db"),
        ("sqlite:////abs/x.db", "/abs/x.db"),
        ("sqlite://x.db?mode=rwc", "x.db"),
    ] {
        assert_eq!(
            load(&[("DATABASE_URL", url)]).unwrap().database.url,
            DatabaseUrl::Sqlite(path.into()),
            "{url}"
        );
    }
    assert_eq!(
        load(&[("DATABASE_SQLITE_PATH", "/p/y.db")]).unwrap().database.url,
        DatabaseUrl::Sqlite("/p/y.db".into())
    );
}

#[test]
fn every_bad_value_is_named_with_its_origin() {
    let e =
        load(&[("PORT", "99999"), ("IP_WHITELIST", "10.0.0.0/8, nonsense"), ("TZ", "Mars/One")]).unwrap_err();
    assert_eq!(e.0.len(), 3, "{e}");
    assert!(e.0[0].contains("server.port") && e.0[0].contains("PORT"), "{e}");
    assert!(e.to_string().contains("`nonsense`"), "{e}");
    assert!(e.to_string().contains("jobs.timezone"), "{e}");
}

#[test]
fn a_bad_file_names_key_and_line() {
    let e = load_file("[server]\nport = 1\nprot = 2\n\n[jobs]\nmax_concurrent = { a = 1 }\n").unwrap_err();
    assert!(e.0[0].contains(":3: unknown setting `server.prot`"), "{e}");
    assert!(e.0[1].contains(":6: `jobs.max_concurrent` must be"), "{e}");
    let e = load_file("[server]\nport = 99999\nprot = 2\n").unwrap_err();
    assert_eq!(e.0.len(), 2, "what is unknown and what is wrong, at once: {e}");
    let e = load_file("[server\n").unwrap_err();
    assert!(e.to_string().contains("config.toml:1: "), "{e}");
}

#[test]
fn an_error_about_the_database_url_does_not_show_its_password() {
    let e = load(&[("DATABASE_URL", "oracle://u:hunter2@h/db")]).unwrap_err();
    assert!(e.to_string().contains("oracle") && !e.to_string().contains("hunter2"), "{e}");
}

#[test]
fn the_list_may_be_written_as_a_list() {
    let c = load_file("[ip_control]\nwhitelist = [\"10.0.0.0/8\", \"::1\"]\n").unwrap();
    assert_eq!(c.ip.whitelist.len(), 2);
}

#[test]
fn the_way_out_is_read_at_start() {
    let c = load(&[("EGRESS_MODE", "Allow-List"), ("EGRESS_ALLOW", "10.0.0.0/8, *.example.com")]).unwrap();
    assert_eq!(c.egress.mode, egress::Mode::AllowList);
    assert_eq!(c.egress.allow, egress::Allow::parse("10.0.0.0/8 *.example.com").unwrap());
    let e = load(&[("EGRESS_MODE", "on"), ("EGRESS_ALLOW", "example.com:80")]).unwrap_err();
    assert!(e.0[0].contains("egress.mode = `on` (from EGRESS_MODE): use standard"), "{e}");
    assert!(e.0[1].contains("`example.com:80` is no host"), "{e}");
}

#[test]
fn folders_of_functions_are_whole_paths() {
    let c = load(&[("CLEANUP_ROOTS", "/tmp, /var/my logs"), ("FILE_ROOT", "data")]).unwrap();
    assert_eq!(c.functions.cleanup_roots, [Path::new("/tmp"), Path::new("/var/my logs")]);
    assert!(c.functions.file_root.is_absolute() && c.functions.file_root.ends_with("data"));
    for bad in ["/", "logs", "/tmp,/"] {
        let e = load(&[("CLEANUP_ROOTS", bad)]).unwrap_err();
        assert!(e.to_string().contains("functions.cleanup_roots"), "{e}");
    }
}

#[test]
fn databases_of_functions_have_names_and_known_schemes() {
    use crate::domain::service::DatabaseKind::{MySql, Postgres, Sqlite};
    let c = load(&[(
        "FUNC_DATABASES",
        "sqlite:////data/a.db?mode=ro, shop=mysql+pymysql://u:p%2C%40w@h:3307/shop?charset=utf8mb4, pg=postgresql://h/x",
    )])
    .unwrap();
    let seen: Vec<_> =
        c.functions.databases.iter().map(|d| (d.name.as_str(), d.kind, d.url.0.as_str())).collect();
    assert_eq!(
        seen,
        [
            ("default", Sqlite, "/data/a.db"),
            ("shop", MySql, "mysql://u:p%2C%40w@h:3307/shop?charset=utf8mb4"),
            ("pg", Postgres, "postgres://h/x")
        ]
    );
    assert!(!format!("{c:?}").contains("p%2C%40w"));
    for bad in [
        "oracle://u:hunter2@h/x",
        "a=mysql://u:hunter2@h",
        "a=mysql://u:hunter2@h/x,a=mysql://h/y",
        "hunter2",
    ] {
        let e = load(&[("FUNC_DATABASES", bad)]).unwrap_err().to_string();
        assert!(e.contains("functions.databases") && !e.contains("hunter2"), "{e}");
    }
}

#[test]
fn a_mail_server_is_checked_at_start() {
    use crate::domain::service::SmtpTls;
    assert!(load(&[]).unwrap().functions.smtp.is_none());
    let base = [
        ("SMTP_HOST", "mail.example.com"),
        ("SMTP_USERNAME", "jobs@example.com"),
        ("SMTP_PASSWORD", "hunter2"),
    ];
    let smtp = load(&base).unwrap().functions.smtp.unwrap();
    assert_eq!((smtp.port, smtp.tls, smtp.from.as_str()), (587, SmtpTls::StartTls, "jobs@example.com"));
    assert!(!format!("{smtp:?}").contains("hunter2"));
    let with = |name, value| load(&[base.as_slice(), &[(name, value)]].concat());
    assert_eq!(with("SMTP_TLS", "tls").unwrap().functions.smtp.unwrap().port, 465);
    for (name, value, part) in [
        ("SMTP_TLS", "none", "cross the network in clear"),
        ("SMTP_TLS", "ssl", "use starttls, tls or none"),
        ("SMTP_FROM", "nobody", "sender's address"),
        ("SMTP_CA_FILE", "/no/such/file", "cannot be read"),
        ("SMTP_CA_FILE", "Cargo.toml", "no certificate"),
    ] {
        let e = with(name, value).unwrap_err().to_string();
        assert!(e.contains(part) && !e.contains("hunter2"), "{e}");
    }
    let local = load(&[("SMTP_HOST", "127.0.0.1"), ("SMTP_TLS", "none"), ("SMTP_FROM", "a@b.c")]).unwrap();
    assert_eq!(local.functions.smtp.unwrap().port, 25);
}

#[test]
fn an_sms_gateway_is_checked_at_start() {
    use crate::domain::service::Sms;
    assert!(load(&[]).unwrap().functions.sms.is_none());
    let c = load(&[
        ("SMS_PROVIDER", "http"),
        ("SMS_URL", "https://sms.example.com/send?key=hunter2&to={phone}&text={text}"),
        ("SMS_HEADERS", "X-Key: hunter2|||X-B:2"),
    ]);
    let sms = c.unwrap().functions.sms.unwrap();
    assert!(!format!("{sms:?}").contains("hunter2"));
    assert!(matches!(sms, Sms::Http(http) if http.headers.len() == 2 && http.body.is_none()));
    let e = load(&[("SMS_PROVIDER", "http"), ("SMS_URL", "https://x/?key=hunter2")]).unwrap_err().to_string();
    assert!(e.contains("{phone} and {text}") && !e.contains("hunter2"), "{e}");
    let e = load(&[("SMS_PROVIDER", "aliyun"), ("SMS_ACCESS_KEY_ID", "id")]).unwrap_err().to_string();
    assert!(
        e.contains("sms.access_key_secret")
            && e.contains("sms.sign_name")
            && !e.contains("sms.access_key_id:"),
        "{e}"
    );
    assert!(load(&[("SMS_PROVIDER", "pigeon")]).unwrap_err().to_string().contains("use http or aliyun"));
}

#[test]
fn a_log_level_is_one_of_five_words() {
    assert_eq!(load(&[("LOG_LEVEL", "WARNING")]).unwrap().log.level, "warn");
    assert_eq!(load(&[("LOG_LEVEL", "Debug")]).unwrap().log.level, "debug");
    for bad in ["VERBOSE", "off", "2", "info,sqlx=trace"] {
        let said = load(&[("LOG_LEVEL", bad)]).unwrap_err().to_string();
        assert!(said.contains("use error, warn, info, debug or trace"), "{said}");
    }
}

#[test]
fn the_runtime_folder_is_known_while_other_settings_are_wrong() {
    let env = |name: &str| match name {
        "PORT" => Some("none".into()),
        "RUNTIME_DIR" => Some("/place".into()),
        _ => None,
    };
    let flags = Flags { config: Some(empty_file()), ..Flags::default() };
    assert!(Config::load(&flags, env).is_err());
    assert_eq!(Config::runtime_dir(&flags, env), PathBuf::from("/place"));
}
