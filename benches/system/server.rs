//! The server under measurement: the release binary, started as a user starts it, with a data folder of its
//! own. What it costs is read from the kernel.

use super::client::{Client, get, post};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub data: PathBuf,
    /// From starting the process to the first good answer of /health.
    pub start: Duration,
}

/// One that is dropped is killed: nothing of a bench that failed stays.
impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Server {
    pub async fn start(binary: &Path, data: &Path, settings: &[(&str, &str)]) -> Result<Self, String> {
        fs::create_dir_all(data).map_err(|e| format!("{}: {e}", data.display()))?;
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let address = free.map_err(|e| e.to_string())?;
        let log = fs::File::create(data.join("bench.out")).map_err(|e| e.to_string())?;
        let began = Instant::now();
        let child = Command::new(binary)
            .arg("start")
            .current_dir(data)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DATA_DIR", data)
            .env("PORT", address.port().to_string())
            .env("LOG_LEVEL", "WARN")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| format!("{}: {e}", binary.display()))?;
        let mut server = Self { child, address, data: data.to_owned(), start: Duration::ZERO };
        while !server.is_healthy().await {
            if began.elapsed() > Duration::from_secs(60)
                || server.child.try_wait().is_ok_and(|end| end.is_some())
            {
                let said = fs::read_to_string(data.join("bench.out")).unwrap_or_default();
                return Err(format!("the server did not start: {said}"));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.start = began.elapsed();
        Ok(server)
    }

    async fn is_healthy(&self) -> bool {
        let Ok(mut client) = Client::connect(self.address).await else { return false };
        client.ask(&get("/health")).await.is_ok_and(|answer| answer.status == 200)
    }

    pub async fn client(&self) -> Result<Client, String> {
        Client::connect(self.address).await.map_err(|e| e.to_string())
    }

    pub async fn ask(&self, request: &[u8]) -> Result<Value, String> {
        let answer = self.client().await?.ask(request).await.map_err(|e| e.to_string())?;
        let body = String::from_utf8_lossy(&answer.body);
        if !(200..300).contains(&answer.status) {
            return Err(format!("status {}: {}", answer.status, &body[..body.len().min(300)]));
        }
        serde_json::from_str(&body).map_err(|e| format!("{e}: {body}"))
    }

    /// Adds jobs in one request; their ids.
    pub async fn add(&self, jobs: &[Value]) -> Result<Vec<i64>, String> {
        let added = self.ask(&post("/api/v1/jobs/import", &Value::from(jobs).to_string())).await?;
        let ids: Vec<i64> =
            added["added"].as_array().into_iter().flatten().filter_map(|job| job["id"].as_i64()).collect();
        if ids.len() == jobs.len() {
            Ok(ids)
        } else {
            Err(format!("{} of {} jobs: {}", ids.len(), jobs.len(), added["problems"]))
        }
    }

    /// Enables or stops jobs.
    pub async fn bulk(&self, action: &str, ids: &[i64]) -> Result<(), String> {
        for ids in ids.chunks(1_000) {
            self.ask(&post("/api/v1/jobs/bulk", &json!({"action": action, "ids": ids}).to_string())).await?;
        }
        Ok(())
    }

    /// Ends it gently and waits for that.
    pub async fn stop(mut self) -> Result<(), String> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).map_err(|e| e.to_string())?;
        loop {
            match self.child.try_wait() {
                Ok(Some(end)) if end.success() => return Ok(()),
                Ok(Some(end)) => return Err(format!("the server ended with {end}")),
                Ok(None) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    /// Resident memory, megabytes of 10^6 bytes.
    pub fn memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN);
        kib * 1.024 / 1_000.0
    }

    /// Processor time so far of it and of the children that it has waited for.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 = fields.iter().skip(11).take(4).filter_map(|n| n.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// The part of one core that it takes while nothing is asked of it, in percent. The kernel counts it in
    /// nanoseconds for each thread; `cpu` counts ticks, of which an idle server takes a few a minute.
    pub async fn idle(&self, time: Duration) -> f64 {
        let before = self.threads();
        tokio::time::sleep(time).await;
        let after = self.threads();
        // A thread that began meanwhile has taken all of its time since; what one that ended took is not known.
        let taken: u64 = after.iter().map(|(id, ns)| ns - before.get(id).unwrap_or(&0)).sum();
        taken as f64 / time.as_nanos() as f64 * 100.0
    }

    /// Processor time of each of its threads, nanoseconds.
    fn threads(&self) -> BTreeMap<OsString, u64> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        let time = |task: fs::DirEntry| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            Some((task.file_name(), text.split(' ').next()?.parse().ok()?))
        };
        tasks.filter_map(time).collect()
    }

    pub fn database(&self) -> PathBuf {
        self.data.join("timerjobs.db")
    }
}

/// A job of the modern API, stopped; its name carries the number.
pub fn job(number: usize, trigger: Value, mode: &str, command: &str) -> Value {
    json!({"name": format!("job-{number:07}"), "trigger": trigger, "mode": mode, "command": command,
           "overlap": "allow", "enabled": false})
}

pub fn cron(expression: &str) -> Value {
    json!({"type": "cron", "cron": expression, "timezone": null})
}
