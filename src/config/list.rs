//! The one list of settings: the help text, the READMEs' tables (held by a test), the file's known keys
//! and the environment's names all come from it. It is longer than other files because it is one list:
//! more than 400 lines, one after the other.

use crate::domain::access;

/// One setting. Every value is text until `Reader` types it.
#[derive(Debug)]
pub struct Setting {
    /// `section.name` in the file.
    pub key: &'static str,
    /// Environment variables, the first that is set wins.
    pub env: &'static [&'static str],
    pub default: &'static str,
    pub doc: &'static str,
    /// Whether a reload applies it; the others wait for a restart.
    pub live: bool,
    /// Whether it may hold a password: it is shown to nobody.
    pub secret: bool,
}

const fn setting(
    key: &'static str,
    env: &'static [&'static str],
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { key, env, default, doc, live: false, secret: false }
}

impl Setting {
    const fn live(mut self) -> Self {
        self.live = true;
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

pub const SETTINGS: &[Setting] = &[
    setting("server.host", &["HOST", "SERVER_HOST"], "0.0.0.0", "Address to listen on."),
    setting("server.port", &["PORT", "SERVER_PORT"], "8000", "Port to listen on; 0 takes a free one."),
    setting(
        "server.allowed_hosts",
        &["ALLOWED_HOSTS"],
        "",
        "Names besides localhost and IP addresses under which the server may be asked.",
    )
    .live(),
    setting(
        "server.trusted_proxies",
        &["TRUSTED_PROXIES"],
        "",
        "Addresses of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    .live(),
    setting(
        "server.max_connections",
        &["MAX_CONNECTIONS"],
        "1024",
        "Connections at once; when all are taken, the one that has waited longest for its client gives way.",
    )
    .live(),
    setting(
        "server.client_timeout",
        &["CLIENT_TIMEOUT"],
        "10",
        "Seconds for the head of a request and between pieces of its body; a whole body has 6 times as long (a file 60 times), a client that takes nothing of its answer 3 times, an idle connection 8 times.",
    )
    .live(),
    setting(
        "server.rate_limit",
        &["RATE_LIMIT"],
        "0",
        "Requests a second of one client address; more is answered with 429. 0: no limit.",
    )
    .live(),
    setting(
        "server.rate_burst",
        &["RATE_BURST"],
        "50",
        "Requests that it may send at once, after a pause.",
    )
    .live(),
    setting(
        "server.cors_origins",
        &["CORS_ORIGINS"],
        "",
        "Origins (https://app.example.com) whose pages may call from a browser, with a token; empty: none.",
    )
    .live(),
    setting(
        "database.url",
        &["DATABASE_URL"],
        "",
        "sqlite:///./x.db, sqlite:////absolute.db, mysql://user:password@host/name or postgres://...; empty: timerjobs.db in the data folder.",
    )
    .secret(),
    setting("database.type", &["DATABASE_TYPE"], "", "sqlite or mysql, when database.url is not given."),
    setting(
        "database.sqlite_path",
        &["DATABASE_SQLITE_PATH"],
        "",
        "The SQLite file, when database.url is not given.",
    ),
    setting("database.mysql_host", &["DATABASE_MYSQL_HOST"], "127.0.0.1", "For database.type mysql."),
    setting("database.mysql_port", &["DATABASE_MYSQL_PORT"], "3306", "For database.type mysql."),
    setting("database.mysql_username", &["DATABASE_MYSQL_USERNAME"], "root", "For database.type mysql."),
    setting("database.mysql_password", &["DATABASE_MYSQL_PASSWORD"], "", "For database.type mysql.").secret(),
    setting("database.mysql_dbname", &["DATABASE_MYSQL_DBNAME"], "", "For database.type mysql."),
    setting(
        "database.table_prefix",
        &["DATABASE_TABLE_PREFIX", "DATABASE_MYSQL_TABLEPREFIX"],
        "tj_",
        "Before each table's name, on a server.",
    ),
    setting(
        "database.tls",
        &["DATABASE_TLS"],
        "prefer",
        "To a server: disable, prefer, require, verify-ca or verify-full.",
    ),
    setting(
        "database.ca_file",
        &["DATABASE_CA_FILE"],
        "",
        "The authority (PEM) that signed the server's certificate; empty: the machine's.",
    ),
    setting("database.pool", &["DATABASE_POOL"], "10", "Connections to a server at most."),
    setting(
        "database.connect_timeout",
        &["DATABASE_CONNECT_TIMEOUT"],
        "10",
        "Seconds to wait for a connection to a server.",
    ),
    setting("database.timeout", &["DATABASE_TIMEOUT"], "30", "Seconds that a statement may take on a server."),
    setting("paths.data_dir", &["DATA_DIR"], "./data", "Folder of the database; one server at a time."),
    setting(
        "paths.runtime_dir",
        &["RUNTIME_DIR"],
        "./runtime",
        "Folder of what a running server leaves: logs, environments of Python functions.",
    ),
    setting("paths.backup_dir", &["BACKUP_DIR"], "./backups", "Folder of the database's backups."),
    setting(
        "secrets.key_file",
        &["SECRETS_KEY_FILE"],
        "",
        "The key that the secrets of jobs are sealed with. Empty: secrets.key in the data folder.",
    ),
    setting("log.level", &["LOG_LEVEL"], "info", "error, warn, info, debug or trace.").live(),
    setting(
        "log.file",
        &["LOG_FILE"],
        "",
        "JSON log of today; earlier days lie beside it, the date in their names. Empty: log/timerjobs.log in the runtime folder.",
    ),
    setting("log.days", &["LOG_DAYS"], "30", "Days of which the log is kept."),
    setting(
        "auth.mode",
        &["AUTH"],
        "auto",
        "Who must log in: auto (nobody as long as there is no account, then everybody), required, or off.",
    ),
    setting("ip_control.enabled", &["IP_CONTROL_ENABLED"], "true", "Whether the address lists are applied.")
        .live(),
    setting(
        "ip_control.whitelist",
        &["IP_WHITELIST"],
        access::DEFAULT_WHITELIST,
        "Addresses and CIDR blocks that may call; an empty list lets everybody in.",
    )
    .live(),
    setting(
        "ip_control.blacklist",
        &["IP_BLACKLIST"],
        "",
        "Addresses and CIDR blocks that are always refused.",
    )
    .live(),
    setting(
        "egress.mode",
        &["EGRESS_MODE"],
        "standard",
        "Where http jobs, Webhook and Monitor may go: standard (not to metadata services, link-local addresses or this server), public-only, allow-list or off.",
    )
    .live(),
    setting(
        "egress.allow",
        &["EGRESS_ALLOW"],
        "",
        "Hosts (example.com, *.example.com), addresses and CIDR blocks that they may reach all the same; with allow-list, nothing else.",
    )
    .live(),
    setting("jobs.timezone", &["TZ"], "", "The server's IANA zone; empty: the machine's."),
    setting("jobs.max_concurrent", &["JOBS_MAX_CONCURRENT"], "64", "Runs at once.").live(),
    setting("jobs.max_waiting", &["JOBS_MAX_WAITING"], "10000", "Runs that may wait for a place.").live(),
    setting(
        "jobs.manual_allow_concurrent",
        &["JOBS_MANUAL_ALLOW_CONCURRENT"],
        "true",
        "Whether a manual run may overlap a run of a serial or queueing job.",
    )
    .live(),
    setting(
        "jobs.shutdown_grace",
        &["JOBS_SHUTDOWN_GRACE"],
        "30",
        "Seconds that runs get to end at shutdown.",
    )
    .live(),
    setting("jobs.kill_grace", &["JOBS_KILL_GRACE"], "5", "Seconds between TERM and KILL of a process tree.")
        .live(),
    setting("jobs.output_limit_kb", &["JOBS_OUTPUT_LIMIT_KB"], "1024", "Output kept of one run, in KiB.")
        .live(),
    setting(
        "commands.run_as",
        &["COMMANDS_RUN_AS"],
        "",
        "User (name or number) that every command runs as, for a server that runs as root; empty: the server's own, and a job may name one with 【user】.",
    ),
    setting(
        "commands.memory_mb",
        &["COMMANDS_MEMORY_MB"],
        "0",
        "Address space of each process of a command, in MiB; a job's 【memory】 may ask for less. 0: no limit.",
    ),
    setting(
        "commands.cpu_seconds",
        &["COMMANDS_CPU_SECONDS"],
        "0",
        "Processor time of each process of a command; a job's 【cpu】 may ask for less. 0: no limit.",
    ),
    setting(
        "commands.open_files",
        &["COMMANDS_OPEN_FILES"],
        "0",
        "Open files of each process of a command; a job's 【files】 may ask for less. 0: the server's own limit.",
    ),
    setting(
        "commands.environment",
        &["COMMANDS_ENVIRONMENT"],
        "",
        "Variables of the server that commands and your own functions inherit, with commas between them, as in PATH, HOME, LC_*; empty: all. Its secrets never.",
    ),
    setting(
        "functions.file_root",
        &["FILE_ROOT"],
        "./files",
        "The only folder in which the function File works.",
    ),
    setting(
        "functions.cleanup_roots",
        &["CLEANUP_ROOTS"],
        "/tmp",
        "Folders in which the function Cleanup may delete, with commas between them.",
    ),
    setting(
        "functions.databases",
        &["FUNC_DATABASES"],
        "",
        "Databases of the function Database: name=url, with commas between them.",
    )
    .secret(),
    setting("functions.dir", &["FUNC_DIR"], "./user_funcs", "Folder of your own functions, `.py` files."),
    setting(
        "functions.watch",
        &["FUNC_WATCH"],
        "true",
        "Whether a changed file in that folder is loaded by itself.",
    )
    .live(),
    setting("functions.python", &["PYTHON"], "python3", "The Python (3.8 or newer) that runs them."),
    setting(
        "functions.python_workers",
        &["PYTHON_WORKERS"],
        "4",
        "Calls of them at once, each in a process.",
    ),
    setting(
        "functions.python_memory_mb",
        &["PYTHON_MEMORY_MB"],
        "1024",
        "Address space of each such process, in MiB; 0: no limit.",
    ),
    setting(
        "functions.python_import_seconds",
        &["PYTHON_IMPORT_SECONDS"],
        "10",
        "Seconds that a file may take to be imported when it is loaded.",
    ),
    setting("smtp.host", &["SMTP_HOST"], "", "Mail server of the function Email."),
    setting("smtp.port", &["SMTP_PORT"], "0", "0: 587 for starttls, 465 for tls, 25 for none."),
    setting("smtp.username", &["SMTP_USERNAME"], "", "Empty: no login."),
    setting("smtp.password", &["SMTP_PASSWORD"], "", "Password of that user.").secret(),
    setting("smtp.from", &["SMTP_FROM"], "", "Sender's address; empty: the user's name."),
    setting(
        "smtp.tls",
        &["SMTP_TLS"],
        "starttls",
        "starttls (required), tls or none; none with a login only on this machine.",
    ),
    setting("smtp.ca_file", &["SMTP_CA_FILE"], "", "Certificates (PEM) trusted beside the machine's."),
    setting(
        "sms.provider",
        &["SMS_PROVIDER"],
        "",
        "http (any gateway) or aliyun (Alibaba Cloud); empty: no SMS.",
    ),
    setting("sms.url", &["SMS_URL"], "", "The gateway's address with {phone} and {text}; aliyun: empty.")
        .secret(),
    setting(
        "sms.headers",
        &["SMS_HEADERS"],
        "",
        "Headers for the gateway, Name:value with three vertical bars between them.",
    )
    .secret(),
    setting("sms.body", &["SMS_BODY"], "", "What is POSTed, with {phone} and {text}; empty: a GET.").secret(),
    setting(
        "sms.success",
        &["SMS_SUCCESS"],
        "",
        "Text that the gateway's answer must hold; empty: a status 2xx.",
    ),
    setting("sms.access_key_id", &["SMS_ACCESS_KEY_ID"], "", "aliyun: the AccessKey."),
    setting("sms.access_key_secret", &["SMS_ACCESS_KEY_SECRET"], "", "aliyun: its secret.").secret(),
    setting(
        "sms.sign_name",
        &["SMS_SIGN_NAME"],
        "",
        "aliyun: the signature (签名) in front of each message.",
    ),
    setting("sms.template_code", &["SMS_TEMPLATE_CODE"], "", "aliyun: the template, as in SMS_123456789."),
    setting(
        "sms.template_param",
        &["SMS_TEMPLATE_PARAM"],
        r#"{"content":"{text}"}"#,
        "aliyun: the template's variables as JSON.",
    ),
    setting("retention.runs", &["RETENTION_RUNS"], "1000", "Newest runs kept of each job.").live(),
    setting("retention.days", &["RETENTION_DAYS"], "30", "Days a run is kept.").live(),
    setting(
        "retention.total_mb",
        &["RETENTION_TOTAL_MB"],
        "2048",
        "Run records kept in all, in MiB; the oldest go first.",
    )
    .live(),
    setting("retention.audit_days", &["RETENTION_AUDIT_DAYS"], "730", "Days of which the audit log is kept.").live(),
    setting(
        "retention.audit_rows",
        &["RETENTION_AUDIT_ROWS"],
        "1000000",
        "Newest entries kept of the audit log.",
    )
    .live(),
    setting(
        "daemon.max_restarts",
        &["DAEMON_MAX_RESTARTS"],
        "10",
        "Restarts in ten minutes before the supervisor gives up.",
    ),
    setting(
        "daemon.restart_delay",
        &["DAEMON_RESTART_DELAY"],
        "1",
        "Seconds before the first restart; they double to 60.",
    ),
];
