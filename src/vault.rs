//! Keeps the secrets of jobs: sealed in the database, the key in a file that no backup of the database
//! holds. Values are opened here alone, for runs; no question of a client is answered with one.

use crate::clock::Clock;
use crate::domain::audit::{Act, By, Entry, Fields, fields};
use crate::domain::secret::{self, Values};
use crate::domain::{Text, UtcMs};
use crate::private;
use crate::store::{self, Sealed, Store, chain};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long what was read is used: another server's change, or a key that was put back, is seen after it.
const KNOWN_FOR: Duration = Duration::from_secs(5);
const KEY_LEN: usize = 32;
/// More would be looked through on each read.
const SECRETS_MAX: usize = 1_000;

/// Why a secret was not kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Key(Text),
    #[error("there are {SECRETS_MAX} secrets already")]
    TooMany,
    #[error("there is no such secret")]
    NotFound,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What may be told of a secret.
#[derive(Clone, Debug)]
pub struct Described {
    pub name: String,
    pub description: String,
    pub created: UtcMs,
    pub updated: UtcMs,
    /// Jobs in whose text it stands.
    pub jobs: usize,
    /// Why it cannot be used, when it cannot.
    pub problem: Option<Text>,
}

/// The secrets of one database.
#[derive(Debug)]
pub struct Vault {
    store: Store,
    key_file: PathBuf,
    clock: Clock,
    known: Mutex<Known>,
    /// One change of the secrets at a time: two must not make two keys.
    turn: tokio::sync::Mutex<()>,
}

/// What was read last.
#[derive(Clone, Default)]
struct Known {
    opened: Arc<Opened>,
    /// `None`: it must be read again.
    until: Option<Duration>,
}

/// Each secret's value, or why there is none.
type Opened = HashMap<String, Result<String, Text>>;

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.opened.len())
    }
}

impl Vault {
    pub fn new(store: Store, key_file: PathBuf, clock: Clock) -> Self {
        Self { store, key_file, clock, known: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// The values that a text asks for. An error says which cannot be had, and why.
    pub async fn values_for(&self, text: &str) -> Result<Values, Text> {
        let names = secret::names(text);
        if names.is_empty() {
            return Ok(Values::new());
        }
        let opened = self.opened().await?;
        let value = |name: &str| match opened.get(name) {
            Some(Ok(value)) => Ok((name.to_owned(), value.clone())),
            Some(Err(why)) => Err(why.clone()),
            None => Err(unknown(name)),
        };
        names.into_iter().map(value).collect()
    }

    /// What a text asks for and cannot have.
    pub async fn faults(&self, text: &str) -> Vec<Text> {
        let names = secret::names(text);
        if names.is_empty() {
            return Vec::new();
        }
        match self.opened().await {
            Ok(opened) => {
                let fault = |name| opened.get(name).map_or(Some(unknown(name)), |value| value.clone().err());
                names.into_iter().filter_map(fault).collect()
            }
            Err(why) => vec![why],
        }
    }

    pub async fn list(&self) -> Result<Vec<Described>, Error> {
        let rows = self.store.secrets().await?;
        let key = self.key().await;
        let mut jobs: BTreeMap<String, usize> = BTreeMap::new();
        for command in self.store.commands_with_secrets().await? {
            for name in secret::names(&command) {
                *jobs.entry(name.to_owned()).or_default() += 1;
            }
        }
        let describe = |row: Sealed| Described {
            jobs: jobs.get(&row.name).copied().unwrap_or_default(),
            problem: self.open(&key, &row).err(),
            created: UtcMs(row.created_ms),
            updated: UtcMs(row.updated_ms),
            name: row.name,
            description: row.description,
        };
        Ok(rows.into_iter().map(describe).collect())
    }

    /// Keeps a secret; `true`: it is new. Without a value only the description of one that is there changes.
    pub async fn put(
        &self,
        name: &str,
        value: Option<&str>,
        description: Option<&str>,
        by: Arc<By>,
    ) -> Result<bool, Error> {
        let _turn = self.turn.lock().await;
        let rows = self.store.secrets().await?;
        let before = rows.iter().find(|row| row.name == name);
        if before.is_none() && rows.len() >= SECRETS_MAX {
            return Err(Error::TooMany);
        }
        let description = description.or(before.map(|row| row.description.as_str())).unwrap_or_default();
        let (key_id, sealed) = match (value, before) {
            (Some(value), _) => {
                let key = self.key_to_seal(rows.iter().any(|row| row.name != name)).await?;
                (key.id.clone(), key.seal(name, value))
            }
            (None, Some(before)) => (before.key_id.clone(), before.sealed.clone()),
            (None, None) => return Err(Error::NotFound),
        };
        let now = self.clock.now();
        let created_ms = before.map_or(now.0, |row| row.created_ms);
        let (name, description) = (name.to_owned(), description.to_owned());
        let row = Sealed { name, description, key_id, sealed, created_ms, updated_ms: now.0 };
        let act = if before.is_none() { Act::SecretAdd } else { Act::SecretEdit };
        let told = |description: &str, changed| {
            fields(json!({"description": description, "value_changed": changed}))
        };
        let entry = Entry::new(now, by, act).on("secret", "", &row.name);
        let old = before.map_or_else(Fields::new, |row| told(&row.description, false));
        let entry = entry.changed(old, told(&row.description, value.is_some()));
        let saved = self.store.save_secret(&row, &entry).await;
        self.forget();
        saved?;
        Ok(before.is_none())
    }

    /// Whether it was there.
    pub async fn delete(&self, name: &str, by: Arc<By>) -> Result<bool, Error> {
        // A change under way would put it back.
        let _turn = self.turn.lock().await;
        let entry = Entry::new(self.clock.now(), by, Act::SecretDelete).on("secret", "", name);
        let deleted = self.store.delete_secret(name, &entry).await;
        self.forget();
        Ok(deleted?)
    }

    fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).until = None;
    }

    /// What is known, read again when that was long ago. While the database is away the old values serve.
    async fn opened(&self) -> Result<Arc<Opened>, Text> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known.until.is_some_and(|until| self.clock.read().elapsed < until) {
            return Ok(known.opened);
        }
        let rows = match self.store.secrets().await {
            Ok(rows) => rows,
            Err(_) if known.until.is_some() => return Ok(known.opened),
            Err(e) => {
                let cause = chain(&e);
                return Err(Text::new(
                    format!("无法读取密钥：{cause}"),
                    format!("secrets cannot be read: {cause}"),
                ));
            }
        };
        let key = self.key().await;
        let opened = rows.iter().map(|row| (row.name.clone(), self.open(&key, row))).collect();
        let known = Known { opened: Arc::new(opened), until: Some(self.clock.read().elapsed + KNOWN_FOR) };
        let opened = known.opened.clone();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(opened)
    }

    fn open(&self, key: &Result<Option<Key>, Text>, row: &Sealed) -> Result<String, Text> {
        let (name, file) = (&row.name, crate::config::shown(&self.key_file));
        match key {
            Err(why) => Err(why.clone()),
            Ok(None) => Err(Text::new(
                format!("密钥 {name} 无法解密：缺少密钥文件 {file}，请把它放回原处"),
                format!("the secret {name} cannot be opened: the key file {file} is missing; put it back"),
            )),
            Ok(Some(key)) => key.open(row).ok_or_else(|| {
                Text::new(
                    format!("密钥 {name} 无法用密钥文件 {file} 解密：该文件不是当初的那一个；请放回原文件，或重新设置此密钥"),
                    format!("the secret {name} cannot be opened with the key file {file}: it is not the one that it was sealed with; put that back, or set the secret anew"),
                )
            }),
        }
    }

    async fn key(&self) -> Result<Option<Key>, Text> {
        let file = self.key_file.clone();
        blocking(move || read_key(&file)).await
    }

    /// The key; a new one only while nothing is sealed that another could open.
    async fn key_to_seal(&self, others: bool) -> Result<Key, Error> {
        let file = self.key_file.clone();
        let key = blocking(move || match read_key(&file)? {
            Some(key) => Ok(key),
            None if others => {
                let file = crate::config::shown(&file);
                Err(Text::new(
                    format!("缺少密钥文件 {file}，已有的密钥是用它加密的；请把它放回原处，或先删除那些密钥"),
                    format!(
                        "the key file {file} is missing, and the other secrets were sealed with it; put it back, or delete them first"
                    ),
                ))
            }
            None => make_key(&file),
        });
        key.await.map_err(Error::Key)
    }
}

fn unknown(name: &str) -> Text {
    Text::new(
        format!("密钥 {name} 不存在，请在控制台的“密钥”中添加"),
        format!("there is no secret {name}; add it under Secrets in the console"),
    )
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Text> + Send + 'static,
) -> Result<T, Text> {
    let broken = |_| Err(Text::new("读取密钥文件中断", "reading the key file broke off"));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(broken)
}

fn read_key(file: &Path) -> Result<Option<Key>, Text> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(trouble(file, &e)),
    };
    let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| <[u8; KEY_LEN]>::try_from(bytes).ok());
    bytes.map(|bytes| Some(Key::new(&bytes))).ok_or_else(|| trouble(file, &"it holds no key"))
}

/// Makes the file; its owner alone may read it.
fn make_key(file: &Path) -> Result<Key, Text> {
    let bytes: [u8; KEY_LEN] = random();
    let make = || -> io::Result<()> {
        if let Some(folder) = file.parent() {
            private::make_folder(folder)?;
        }
        let mut made = private::options().write(true).create_new(true).open(file)?;
        made.write_all(format!("{}\n", STANDARD.encode(bytes)).as_bytes())?;
        made.sync_all()
    };
    make().map_err(|e| trouble(file, &e))?;
    tracing::warn!(file = %crate::config::shown(file), "the key of the secrets was made: keep a copy of it apart from the database's backups");
    Ok(Key::new(&bytes))
}

fn trouble(file: &Path, cause: &dyn std::fmt::Display) -> Text {
    let file = crate::config::shown(file);
    Text::new(
        format!("密钥文件 {file} 无法使用：{cause}"),
        format!("the key file {file} cannot be used: {cause}"),
    )
}

/// With what secrets are sealed.
struct Key {
    id: String,
    key: LessSafeKey,
}

impl Key {
    #[expect(clippy::expect_used, reason = "the length is the algorithm's")]
    fn new(bytes: &[u8; KEY_LEN]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, bytes).expect("a key of 32 bytes");
        let hash = digest(&SHA256, bytes);
        let id = hash.as_ref()[..8].iter().map(|b| format!("{b:02x}")).collect();
        Self { id, key: LessSafeKey::new(key) }
    }

    /// The name is sealed with the value: a row cannot be given another's.
    #[expect(clippy::expect_used, reason = "only values of 256 GiB cannot be sealed")]
    fn seal(&self, name: &str, value: &str) -> String {
        let nonce: [u8; NONCE_LEN] = random();
        let mut bytes = value.as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.as_bytes()),
                &mut bytes,
            )
            .expect("a short value");
        STANDARD.encode([nonce.as_slice(), &bytes].concat())
    }

    fn open(&self, row: &Sealed) -> Option<String> {
        let bytes = STANDARD.decode(&row.sealed).ok().filter(|_| row.key_id == self.id)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let aad = Aad::from(row.name.as_bytes());
        let value = self.key.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut sealed).ok()?;
        String::from_utf8(value.to_vec()).ok()
    }
}

#[expect(clippy::expect_used, reason = "there is no way to go on without randomness")]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the system has randomness");
    bytes
}

#[cfg(test)]
#[path = "vault_test.rs"]
mod tests;
