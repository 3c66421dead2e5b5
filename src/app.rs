//! The wiring: the one place that names every concrete type. `App::build` makes a server from
//! settings, `App::serve` runs it to its end.

#[cfg(target_os = "linux")]
mod code_pages;
pub mod database;
mod descriptors;
mod history;
pub mod upgrade;

use crate::api::{self, Api};
use crate::clock::Clock;
use crate::config::reload::{Reloaded, Reloads, Requests};
use crate::config::{self, Config, ConfigError, DatabaseUrl, Setting, shown};
use crate::domain::audit::{self, Act, Entry};
use crate::domain::egress::{self, EgressRules};
use crate::domain::event::Event;
use crate::engine::{self, Engine};
use crate::exec::egress::Egress;
use crate::exec::environment::Environment;
use crate::exec::func::Functions;
use crate::exec::{self, Executor, limited};
use crate::private;
use crate::rights;
use crate::signals::StopSignals;
use crate::store::{self, Held, Store};
use crate::telemetry::files::Files;
use crate::telemetry::log::Control;
use crate::telemetry::metrics::Metrics;
use crate::vault::Vault;
use anyhow::Context;
use history::StoreHistory;
use serde_json::json;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio_util::task::AbortOnDropHandle;

pub use crate::engine::Stop;

/// How long open requests, and then open connections to the database, get after the last run.
const REQUESTS_GRACE: Duration = Duration::from_millis(500);

/// What a server is built from.
pub struct Parts {
    pub config: Config,
    /// Reads the settings again.
    pub source: ConfigSource,
    pub clock: Clock,
    /// Tells the server to end.
    pub stop: watch::Receiver<Stop>,
    pub log: Control,
    /// This program, when the one that runs is another one.
    pub program: Option<PathBuf>,
}

/// Reads the settings from where they come from.
pub type ConfigSource = Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// A server that is ready to listen.
#[derive(Debug)]
pub struct App {
    api: Arc<Api>,
    engine: Engine,
    /// Since the start of the engine.
    events: broadcast::Receiver<Event>,
    engine_task: engine::Ended,
    store: Store,
    config: Config,
    listener: TcpListener,
    reloads: Reloads,
    functions: Arc<Functions>,
    functions_task: AbortOnDropHandle<()>,
    /// Held as long as we live.
    _locks: (Vec<File>, Option<Held>),
}

impl App {
    /// Takes the port, opens the data, settles what a dead server left, and starts to fire: in this
    /// order, so that a server that cannot serve starts no run.
    pub async fn build(parts: Parts) -> anyhow::Result<Self> {
        let Parts { config, source, clock, stop, log, program } = parts;
        let locks = lock(&config)?;
        descriptors::make_room(&config);
        let listener = bind(&config).await?;
        let held = database::hold(&config).await?;
        let store = database::open(&config, clock.now()).await?;
        database::refuse_half_a_copy(&store).await?;
        database::import(&config, &store, clock.now()).await?;
        let egress = Arc::new(Egress::new(egress_rules(&config, &listener)));
        let settings = exec_settings(&config, &store, egress.clone(), program);
        let exec = Executor::new(settings).context("the HTTP client cannot be set up")?;
        let exec_functions = exec.functions().clone();
        // Loading them takes its time and must not hold up the start; calls of them wait for it.
        let (tended, time) = (exec_functions.clone(), clock.clone());
        let functions_task = AbortOnDropHandle::new(tokio::spawn(async move { tended.tend(&time).await }));
        let parts = engine::Parts {
            secrets: Arc::new(Vault::new(store.clone(), config.secrets_key.clone(), clock.clone())),
            store: store.clone(),
            exec,
            clock: clock.clone(),
            zone: config.zone,
            jobs: config.jobs.clone(),
            stop,
        };
        let (engine, engine_task) = Engine::start(parts).await.context("the stored jobs cannot be read")?;
        // Before anything is waited for: what was due fires at once.
        let events = engine.subscribe();
        let metrics = Arc::new(Metrics::default());
        tokio::spawn(metrics.clone().listen(engine.subscribe()));
        let (reloads, asked) = config::reload::channel();
        let parts = api::Parts {
            engine: engine.clone(),
            files: Files::new(&config, clock),
            log: log.clone(),
            metrics,
            reloads: reloads.clone(),
        };
        let api =
            Arc::new(Api::new(parts, &config).await.context("the stored address lists cannot be read")?);
        let (current, functions) = (config.clone(), exec_functions.clone());
        if config.auth == config::AuthMode::Off {
            tokio::spawn(warn_of_open_doors());
        }
        let reloader =
            Reloader { source, current, api: api.clone(), engine: engine.clone(), functions, egress, log };
        tokio::spawn(reloader.run(asked));
        Ok(Self {
            api,
            engine,
            events,
            engine_task,
            store,
            config,
            listener,
            reloads,
            functions: exec_functions,
            functions_task,
            _locks: (locks, held),
        })
    }

    /// Says where the server is, for people.
    pub fn announce(&self) {
        let port = self.port();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            listen = %format!("{}:{port}", self.config.host),
            database = self.store.place(),
            zone = self.config.zone.name(),
            "TimerJobs is running: http://127.0.0.1:{port}/"
        );
        tracing::info!("logging in: AUTH={}", self.config.auth.as_str());
        if self.config.ip.enabled && !self.config.ip.whitelist.is_empty() {
            let list: Vec<_> = self.config.ip.whitelist.iter().map(ToString::to_string).collect();
            tracing::info!(
                "only these addresses may call: {} (set IP_WHITELIST to change it)",
                list.join(", ")
            );
        } else {
            tracing::warn!("every address that can reach this port may run commands: the whitelist is empty");
        }
        warn_of_open_egress(&self.config);
        warn_of_root(&self.config);
    }

    /// The port we listen on.
    pub fn port(&self) -> u16 {
        self.listener.local_addr().map_or(self.config.port, |address| address.port())
    }

    /// The way to have the settings read again.
    pub fn reloads(&self) -> Reloads {
        self.reloads.clone()
    }

    /// What happens in the engine, from its start on; asked again, from now on.
    pub fn events(&mut self) -> broadcast::Receiver<Event> {
        std::mem::replace(&mut self.events, self.engine.subscribe())
    }

    /// Serves until the engine has been told to stop and every run has ended.
    pub async fn serve(self) -> anyhow::Result<()> {
        let port = self.port();
        drop(self.events);
        let (closing, closed) = watch::channel(false);
        let server = api::serve(self.api.clone(), self.listener, port, closed);
        let mut server = tokio::spawn(server);
        #[cfg(target_os = "linux")]
        tokio::spawn(code_pages::give_back_later());
        // The console stays up while runs end, so that people see what we wait for.
        let ended = self.engine_task.await;
        self.functions_task.abort();
        self.functions.close().await;
        closing.send_replace(true);
        if tokio::time::timeout(REQUESTS_GRACE, &mut server).await.is_err() {
            server.abort();
        }
        // A reader that is stuck in a long query must not keep us; what is committed is on disk.
        tokio::time::timeout(REQUESTS_GRACE, self.store.close()).await.ok();
        tracing::info!("stopped");
        ended.context("the engine broke down")?.context("the server stopped by itself")
    }
}

/// As long as it is so: whoever looks into the log an hour later must see it too.
async fn warn_of_open_doors() {
    loop {
        tracing::warn!("AUTH=off: whoever the address lists let in may run commands without logging in");
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}

/// Puts settings that were read again in force.
struct Reloader {
    source: ConfigSource,
    /// What is in force.
    current: Config,
    api: Arc<Api>,
    engine: Engine,
    functions: Arc<Functions>,
    egress: Arc<Egress>,
    log: Control,
}

impl Reloader {
    async fn run(mut self, mut asked: Requests) {
        while let Some((by, reply)) = asked.recv().await {
            let done = self.reload().await;
            match &done {
                Ok(done) => {
                    let Reloaded { changed, needs_restart } = done;
                    tracing::info!(?changed, ?needs_restart, "settings read again");
                    let told = json!({"changed": changed, "needs_restart": needs_restart});
                    let entry = Entry::new(self.engine.now(), by, Act::SettingsReload);
                    self.engine.note(entry.after(audit::fields(told))).await;
                }
                Err(e) => tracing::error!("the settings stay as they are: {e}"),
            }
            let accepted = done.is_ok();
            drop(reply.send(done));
            if accepted {
                // What of them failed is in the log. A file that hangs does not hold up the next reload.
                let functions = self.functions.clone();
                tokio::spawn(async move { functions.reload().await });
            }
        }
    }

    /// Whole or not at all: one bad value and everything stays as it was.
    async fn reload(&mut self) -> Result<Reloaded, ConfigError> {
        let new = (self.source)()?;
        let configured = self.engine.configure(new.jobs.clone()).await;
        configured.map_err(|e| ConfigError(vec![e.to_string()]))?;
        self.log.set_level(&new.log.level);
        self.functions.set_watch(new.functions.watch);
        self.egress.configure(new.egress.mode, new.egress.allow.clone());
        warn_of_open_egress(&new);
        descriptors::make_room(&new);
        let (live, fixed): (Vec<_>, Vec<_>) = self.current.changed(&new).into_iter().partition(|s| s.live);
        self.current = self.current.in_force_after(new);
        self.api.configure(&self.current).await;
        let keys = |settings: Vec<&'static Setting>| settings.into_iter().map(|s| s.key).collect();
        Ok(Reloaded { changed: keys(live), needs_restart: keys(fixed) })
    }
}

/// SIGTERM and SIGINT (Ctrl-C) end the server; a second one does not wait for runs.
pub fn stop_on_signals(tell: watch::Sender<Stop>) -> anyhow::Result<()> {
    let mut signals = StopSignals::listen().context("signals cannot be listened for")?;
    tokio::spawn(async move {
        signals.recv().await;
        tracing::info!("told to stop: waiting for runs to end; a second signal does not wait");
        tell.send_replace(Stop::Gently);
        signals.recv().await;
        tracing::info!("told again: ending the runs");
        tell.send_replace(Stop::AtOnce);
        // Keeps the sender alive to the end.
        std::future::pending::<()>().await;
    });
    Ok(())
}

fn warn_of_open_egress(config: &Config) {
    if config.egress.mode == egress::Mode::Off {
        tracing::warn!(
            "jobs may send requests anywhere, to cloud metadata and to this server's own API too: EGRESS_MODE is off"
        );
    }
}

fn warn_of_root(config: &Config) {
    if !rights::is_root_of_the_machine() {
        return;
    }
    match &config.commands.user {
        None => tracing::warn!(
            "running as root, and every command with it: give the server a user of its own (make install-service), or set COMMANDS_RUN_AS"
        ),
        Some(user) => tracing::warn!(
            "running as root: commands run as {user}, your own functions do not; give the server a user of its own where it needs no root (make install-service)"
        ),
    }
}

/// Known only once we listen: the settings may leave the port to the system.
fn egress_rules(config: &Config, listener: &TcpListener) -> EgressRules {
    let port = listener.local_addr().map_or(config.port, |address| address.port());
    let own = Some(egress::Own { port, local: exec::egress::is_local });
    EgressRules { mode: config.egress.mode, allow: config.egress.allow.clone(), own }
}

fn exec_settings(
    config: &Config,
    store: &Store,
    egress: Arc<Egress>,
    program: Option<PathBuf>,
) -> exec::Settings {
    let given = &config.functions;
    let environment = Environment::only(config.commands_environment.clone());
    let functions = exec::func::Settings {
        file_root: given.file_root.clone(),
        cleanup_roots: given.cleanup_roots.clone(),
        own_database: database::file(config),
        databases: given.databases.clone(),
        smtp: given.smtp.clone(),
        sms: given.sms.clone(),
        history: Some(Arc::new(StoreHistory { store: store.clone(), zone: config.zone })),
        python: exec::func::python::Settings {
            dir: given.dir.clone(),
            watch: given.watch,
            program: given.python.clone(),
            workers: given.python_workers,
            memory: given.python_memory,
            import_timeout: given.python_import_timeout,
            environments: std::path::absolute(&config.runtime_dir)
                .unwrap_or_else(|_| config.runtime_dir.clone())
                .join("python"),
            environment: environment.clone(),
        },
    };
    let mut commands =
        limited::Settings { limits: config.commands.clone(), environment, ..limited::Settings::default() };
    if let Some(program) = program {
        commands.program = program;
    }
    exec::Settings { functions, commands, egress, ..exec::Settings::default() }
}

/// Takes the port that the settings name.
async fn bind(config: &Config) -> anyhow::Result<TcpListener> {
    let Config { host, port, .. } = config;
    let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    TcpListener::bind(&address).await.with_context(|| {
        format!("{address} cannot be listened on; if another program has the port, choose one with --port")
    })
}

/// One server, or one who changes the tables, a data folder and a database; held as long as the files
/// are open. The database has a lock of its own: it may lie elsewhere, and two folders may name it.
pub fn lock(config: &Config) -> anyhow::Result<Vec<File>> {
    let folder = &config.data_dir;
    let data = private::make_folder(folder)
        .and_then(|()| private::lock(&folder.join("timerjobs.lock")))
        .with_context(|| format!("{}: the data folder cannot be written; choose another DATA_DIR", shown(folder)))?
        .with_context(|| format!("{}: another TimerJobs server is running on this data folder; stop it first, or choose another DATA_DIR", shown(folder)))?;
    Ok([Some(data), lock_database(config)?].into_iter().flatten().collect())
}

/// The lock of the database's own; a server keeps such a lock itself: see `database::hold`.
pub fn lock_database(config: &Config) -> anyhow::Result<Option<File>> {
    let DatabaseUrl::Sqlite(path) = &config.database.url else { return Ok(None) };
    let database = store::lock_beside(path)
        .with_context(|| format!("{}: the database's folder cannot be written; give this user write access to it, or name a file elsewhere in DATABASE_URL", shown(path)))?
        .with_context(|| format!("{}: another TimerJobs server is running on this database; stop it first, or name another file in DATABASE_URL", shown(path)))?;
    Ok(Some(database))
}

#[cfg(test)]
mod tests {
    use crate::config::SETTINGS;
    use crate::exec::environment::Environment;

    #[test]
    fn no_secret_of_the_settings_reaches_a_job() {
        let all = Environment::default();
        let mut secrets = SETTINGS.iter().filter(|s| s.secret).flat_map(|s| s.env).peekable();
        assert!(secrets.peek().is_some());
        for name in secrets {
            assert!(all.hides(name), "{name}");
        }
        // A setting whose name says so, and that nobody has marked.
        for name in SETTINGS.iter().filter(|s| !s.secret).flat_map(|s| s.env) {
            let words = ["PASSWORD", "SECRET", "TOKEN", "PRIVATE"];
            assert!(!words.iter().any(|word| name.contains(word)) || all.hides(name), "{name}");
        }
        for kept in ["TZ", "HOST", "PORT", "PYTHON", "PATH", "HOME"] {
            assert!(!all.hides(kept), "{kept}");
        }
    }
}
