//! The wiring: the one place that names every concrete type. `App::build` makes a server from
//! settings, `App::serve` runs it to its end.

use crate::api::{self, Api};
use crate::clock::Clock;
use crate::config::{Config, DatabaseUrl, Setting, shown};
use crate::domain::event::Event;
use crate::engine::{Engine, Parts};
use crate::exec::func::Functions;
use crate::exec::{self, Executor};
use crate::signals::StopSignals;
use crate::store::Store;
use anyhow::{Context, bail};
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

pub use crate::engine::Stop;

/// How long open requests, and then open connections to the database, get after the last run.
const REQUESTS_GRACE: Duration = Duration::from_secs(1);

/// A server that is ready to listen.
#[derive(Debug)]
pub struct App {
    api: Arc<Api>,
    engine: Engine,
    engine_task: JoinHandle<()>,
    store: Store,
    config: Config,
    listener: TcpListener,
    functions: Arc<Functions>,
    functions_task: AbortOnDropHandle<()>,
    /// Held as long as we live: one server a data folder.
    _lock: File,
}

impl App {
    /// Takes the port, opens the data, settles what a dead server left, and starts to fire: in this
    /// order, so that a server that cannot serve starts no run.
    pub async fn build(config: Config, clock: Clock, stop: watch::Receiver<Stop>) -> anyhow::Result<Self> {
        let lock = lock_data_dir(&config.data_dir)?;
        let listener = bind(&config).await?;
        let DatabaseUrl::Sqlite(path) = &config.database;
        let store = Store::open(path).await?;
        let exec = Executor::new(exec_settings(&config)).context("the HTTP client cannot be set up")?;
        let functions = exec.functions().clone();
        // Loading them takes its time and must not hold up the start; calls of them wait for it.
        let (tended, time) = (functions.clone(), clock.clone());
        let functions_task = AbortOnDropHandle::new(tokio::spawn(async move { tended.tend(&time).await }));
        let parts =
            Parts { store: store.clone(), exec, clock, zone: config.zone, jobs: config.jobs.clone(), stop };
        let (engine, engine_task) = Engine::start(parts).await.context("the stored jobs cannot be read")?;
        let api = Arc::new(
            Api::new(engine.clone(), &config).await.context("the stored address lists cannot be read")?,
        );
        Ok(Self { api, engine, engine_task, store, config, listener, functions, functions_task, _lock: lock })
    }

    /// Says where the server is, for people.
    pub fn announce(&self) {
        let port = self.port();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            listen = %format!("{}:{port}", self.config.host),
            database = %shown(self.store.path()),
            zone = self.config.zone.name(),
            "TimerJobs is running: http://127.0.0.1:{port}/docs"
        );
        if self.config.ip.enabled && !self.config.ip.whitelist.is_empty() {
            let list: Vec<_> = self.config.ip.whitelist.iter().map(ToString::to_string).collect();
            tracing::info!(
                "only these addresses may call: {} (set IP_WHITELIST to change it)",
                list.join(", ")
            );
        } else {
            tracing::warn!("every address that can reach this port may run commands: the whitelist is empty");
        }
    }

    /// The port we listen on.
    pub fn port(&self) -> u16 {
        self.listener.local_addr().map_or(self.config.port, |address| address.port())
    }

    /// The way to change settings while the server runs.
    pub fn reloader(&self) -> Reloader {
        Reloader {
            current: Mutex::new(self.config.clone()),
            api: self.api.clone(),
            engine: self.engine.clone(),
            functions: self.functions.clone(),
        }
    }

    /// What happens in the engine from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.engine.subscribe()
    }

    /// Serves until the engine has been told to stop and every run has ended.
    pub async fn serve(self) -> anyhow::Result<()> {
        let port = self.port();
        let (closing, mut closed) = watch::channel(false);
        let router = api::router(self.api.clone(), port).into_make_service_with_connect_info::<SocketAddr>();
        let server = axum::serve(self.listener, router).with_graceful_shutdown(async move {
            closed.wait_for(|closed| *closed).await.ok();
        });
        let mut server = tokio::spawn(server.into_future());
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
        ended.context("the engine broke down")
    }
}

/// Applies settings that were read again.
#[derive(Debug)]
pub struct Reloader {
    current: Mutex<Config>,
    api: Arc<Api>,
    engine: Engine,
    functions: Arc<Functions>,
}

/// What a reload changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Settings that are in force now.
    pub changed: Vec<&'static str>,
    /// Settings that differ but are read only at start.
    pub needs_restart: Vec<&'static str>,
}

impl Reloader {
    /// Puts the live settings of `new` in force.
    pub async fn apply(&self, new: Config) -> anyhow::Result<Reloaded> {
        self.engine.configure(new.jobs.clone()).await?;
        self.api.configure(&new).await;
        self.functions.set_watch(new.functions.watch);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (live, fixed): (Vec<_>, Vec<_>) = current.changed(&new).into_iter().partition(|s| s.live);
        *current = new;
        let keys = |settings: Vec<&'static Setting>| settings.into_iter().map(|s| s.key).collect();
        Ok(Reloaded { changed: keys(live), needs_restart: keys(fixed) })
    }

    /// Loads the user's functions again; what failed is in the log.
    pub async fn reload_functions(&self) {
        self.functions.reload().await;
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

fn exec_settings(config: &Config) -> exec::Settings {
    let functions = exec::func::Settings {
        file_root: config.functions.file_root.clone(),
        cleanup_roots: config.functions.cleanup_roots.clone(),
        python: exec::func::python::Settings {
            dir: config.functions.dir.clone(),
            watch: config.functions.watch,
            program: config.functions.python.clone(),
            workers: config.functions.python_workers,
            memory: config.functions.python_memory,
            import_timeout: config.functions.python_import_timeout,
            environments: std::path::absolute(&config.runtime_dir)
                .unwrap_or_else(|_| config.runtime_dir.clone())
                .join("python"),
        },
    };
    exec::Settings { functions, ..exec::Settings::default() }
}

/// Takes the port that the settings name.
async fn bind(config: &Config) -> anyhow::Result<TcpListener> {
    let Config { host, port, .. } = config;
    let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    TcpListener::bind(&address).await.with_context(|| {
        format!("{address} cannot be listened on; if another program has the port, choose one with --port")
    })
}

fn lock_data_dir(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join("timerjobs.lock");
    std::fs::create_dir_all(folder)
        .and_then(|()| File::options().create(true).truncate(false).write(true).open(&path))
        .map(|file| (file.try_lock(), file))
        .map_err(|e| anyhow::anyhow!("{}: the data folder cannot be written ({e}); choose another DATA_DIR", shown(folder)))
        .and_then(|(locked, file)| match locked {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => bail!(
                "{}: another TimerJobs server is running on this data folder; stop it first, or choose another DATA_DIR",
                shown(folder)
            ),
            Err(TryLockError::Error(e)) => bail!("{}: the data folder cannot be locked ({e})", shown(folder)),
        })
}
