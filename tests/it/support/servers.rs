//! Database servers of a test's own, with a certificate, which a test may kill. Not those of
//! `make services`: other tests work on them at the same time.

#![expect(
    clippy::disallowed_methods,
    reason = "a real server takes its time: this bounds how long a test waits"
)]

use super::database::Kind;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

pub struct DatabaseServer {
    pub kind: Kind,
    pub port: u16,
    folder: tempfile::TempDir,
    process: Child,
}

impl DatabaseServer {
    /// Takes only encrypted connections; its certificate is for `localhost` alone.
    pub fn with_tls(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificates(folder.path());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        match kind {
            Kind::MySql => run(Command::new("mariadb-install-db")
                .args([
                    "--no-defaults",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                    "--user=root",
                ])
                .arg(format!("--datadir={}/data", folder.path().display()))),
            Kind::Postgres => {
                give_to_postgres(folder.path());
                run(postgres("initdb")
                    .args(["-A", "trust", "-U", "postgres", "--no-sync", "-D"])
                    .arg(folder.path().join("data")));
                let hba = "hostssl all all 127.0.0.1/32 trust\n";
                std::fs::write(folder.path().join("data/pg_hba.conf"), hba).unwrap();
            }
        }
        let process = spawn(kind, folder.path(), port);
        run(client(kind, port).args([if kind == Kind::MySql { "-e" } else { "-c" }, "CREATE DATABASE test"]));
        Self { kind, port, folder, process }
    }

    /// The authority that signed its certificate.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// As a power cut would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn start_again(&mut self) {
        self.process = spawn(self.kind, self.folder.path(), self.port);
    }
}

impl Drop for DatabaseServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts it and waits until it speaks; again where processes of a killed one are still in its way.
fn spawn(kind: Kind, folder: &Path, port: u16) -> Child {
    let path = |name: &str| folder.join(name).display().to_string();
    let end = Instant::now() + PATIENCE;
    loop {
        let mut command = match kind {
            Kind::MySql => Command::new("mariadbd"),
            Kind::Postgres => postgres("postgres"),
        };
        match kind {
            Kind::MySql => command
                .args([
                    "--no-defaults",
                    "--user=root",
                    "--bind-address=127.0.0.1",
                    "--require-secure-transport=ON",
                ])
                .arg(format!("--port={port}"))
                .arg(format!("--datadir={}", path("data")))
                .arg(format!("--socket={}", path("socket")))
                .arg(format!("--ssl-cert={}", path("cert.pem")))
                .arg(format!("--ssl-key={}", path("key.pem"))),
            Kind::Postgres => command
                .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "ssl=on"])
                .arg(format!("-cport={port}"))
                .arg(format!("-cssl_cert_file={}", path("cert.pem")))
                .arg(format!("-cssl_key_file={}", path("key.pem")))
                .args(["-D", &path("data")]),
        };
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            if speaks(kind, port) {
                return child;
            }
            assert!(Instant::now() < end, "the database server starts");
            std::thread::yield_now();
        }
        assert!(Instant::now() < end, "the database server starts");
    }
}

/// A listening port is not enough: it may still be recovering.
fn speaks(kind: Kind, port: u16) -> bool {
    client(kind, port).stdin(Stdio::null()).output().unwrap().status.success()
}

fn client(kind: Kind, port: u16) -> Command {
    let (program, args) = match kind {
        Kind::MySql => ("mariadb", ["--no-defaults", "--ssl", "-h127.0.0.1", "-uroot", "-P"]),
        Kind::Postgres => ("psql", ["--no-psqlrc", "--quiet", "-h127.0.0.1", "-Upostgres", "-p"]),
    };
    let mut command = Command::new(program);
    command.args(args).arg(port.to_string());
    command
}

/// A program of PostgreSQL, which refuses to run as root.
fn postgres(program: &str) -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed: make services");
    let newest = versions.map(|v| v.unwrap().path()).max().unwrap();
    let mut command = Command::new("setpriv");
    if uid("-u") == 0 {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command.arg("--").arg(newest.join("bin").join(program));
    command
}

fn give_to_postgres(folder: &Path) {
    if uid("-u") != 0 {
        return;
    }
    let owner = uid("postgres");
    chown(folder, Some(owner), None).unwrap();
    for file in std::fs::read_dir(folder).unwrap() {
        chown(file.unwrap().path(), Some(owner), None).unwrap();
    }
}

/// The id of a user; `-u`: ours.
fn uid(user: &str) -> u32 {
    let args: &[&str] = if user == "-u" { &["-u"] } else { &["-u", user] };
    let out = Command::new("id").args(args).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
}

fn certificates(folder: &Path) {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    for (name, text) in [("ca.pem", ca.pem()), ("cert.pem", cert.pem()), ("key.pem", key.serialize_pem())] {
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn run(command: &mut Command) {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
