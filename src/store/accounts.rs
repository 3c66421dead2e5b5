//! Accounts, and the tokens that stand for them. Passwords and tokens come hashed; what they were is
//! not known here.

use super::db::Conn;
use super::sql::Sql;
use super::{Result, Store};
use crate::domain::UtcMs;
use crate::domain::audit::{self, Entry, Fields};
use serde_json::json;

/// The way to the accounts of a store.
#[derive(Clone, Debug)]
pub struct Accounts(Store);

impl Store {
    pub fn accounts(&self) -> Accounts {
        Accounts(self.clone())
    }
}

/// An account as it is stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Account {
    pub id: i64,
    pub username: String,
    /// A PHC string, or bcrypt's own form; empty: nobody can log in.
    pub password_hash: String,
    pub email: String,
    pub role: String,
    pub enabled: bool,
    pub last_login_ms: Option<i64>,
    pub created_ms: i64,
    pub updated_ms: i64,
}

/// A session or a program's token.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Token {
    pub id: i64,
    pub admin_id: i64,
    pub kind: String,
    pub name: String,
    pub role: String,
    pub created_ms: i64,
    pub expires_ms: Option<i64>,
    pub used_ms: Option<i64>,
}

/// A token that is to be stored.
#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    pub account: i64,
    /// `session` or `token`.
    pub kind: &'static str,
    pub name: &'a str,
    pub role: &'static str,
    /// SHA-256, hexadecimal.
    pub hash: &'a str,
    pub created: UtcMs,
    /// `None`: never.
    pub expires: Option<UtcMs>,
    pub proof: Proof<'a>,
}

/// What whoever asks for a token has shown, which must still hold when it is stored: a password that is
/// reset or an account that is disabled meanwhile leaves none behind.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// The hash against which the password was right.
    Password(&'a str),
    /// A session, by its number.
    Token(i64),
}

/// How a change of an account ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountWritten {
    Done,
    NotFound,
    /// Nobody could administrate the server any more.
    LastAdmin,
    /// Somebody else changed the password or the state meanwhile.
    Changed,
}

impl Account {
    /// What the audit log may know of it.
    pub fn told(&self) -> Fields {
        audit::fields(json!({
            "username": self.username, "email": self.email, "role": self.role, "enabled": self.enabled,
        }))
    }
}

async fn find(tx: &mut Conn, id: i64) -> Result<Option<Account>> {
    let found: Vec<Account> = tx.fetch(&Sql::new(format!("{ACCOUNT} WHERE id = ?")).bind(id)).await?;
    Ok(found.into_iter().next())
}

/// `before`, with what `account` says otherwise than `read`.
fn laid_over(before: &Account, account: &Account, read: &Account) -> Account {
    let text = |of: fn(&Account) -> &String| {
        if of(account) == of(read) { of(before).clone() } else { of(account).clone() }
    };
    Account {
        password_hash: text(|a| &a.password_hash),
        email: text(|a| &a.email),
        role: text(|a| &a.role),
        enabled: if account.enabled == read.enabled { before.enabled } else { account.enabled },
        updated_ms: account.updated_ms,
        ..before.clone()
    }
}

const ACCOUNT: &str = "SELECT id, username, password_hash, email, role, enabled, last_login_ms, created_ms, \
    updated_ms FROM tj_admins";
const TOKEN: &str = "SELECT id, admin_id, kind, name, role, created_ms, expires_ms, used_ms FROM tj_tokens";
/// Whoever could log in. An older edition's accounts may all be disabled or without a password: they
/// must not shut everybody out.
const USABLE: &str = "SELECT count(*) FROM tj_admins WHERE enabled AND password_hash <> ''";
/// Roles that are not known are those of the older editions, which had admins only.
const ADMINS: &str = "enabled AND password_hash <> '' AND role NOT IN ('viewer', 'operator')";

impl Accounts {
    pub async fn all(&self) -> Result<Vec<Account>> {
        self.0.read.fetch(&Sql::new(format!("{ACCOUNT} ORDER BY id"))).await
    }

    pub async fn account(&self, id: i64) -> Result<Option<Account>> {
        self.0.read.first(&Sql::new(format!("{ACCOUNT} WHERE id = ?")).bind(id)).await
    }

    pub async fn account_named(&self, username: &str) -> Result<Option<Account>> {
        self.0.read.first(&Sql::new(format!("{ACCOUNT} WHERE username = ?")).bind(username)).await
    }

    /// Whether anybody could log in.
    pub async fn any(&self) -> Result<bool> {
        Ok(self.0.read.number(&Sql::new(USABLE)).await? > 0)
    }

    /// One change of accounts at a time: two that each take away the other's last admin must see each
    /// other.
    async fn turn(&self) -> Result<Conn> {
        let mut tx = self.0.write.begin().await?;
        let lock = format!("SELECT term FROM tj_system{}", tx.dialect().lock());
        tx.number(&Sql::new(lock)).await?;
        Ok(tx)
    }

    /// `None`: the name is taken. With `only_first` also when somebody can log in already.
    pub async fn add(&self, new: &Account, only_first: bool, entry: Entry) -> Result<Option<i64>> {
        let mut tx = self.turn().await?;
        if only_first && tx.number(&Sql::new(USABLE)).await? > 0 {
            return Ok(None);
        }
        let text = "INSERT INTO tj_admins (username, password_hash, email, role, enabled, last_login_ms, created_ms, \
                    updated_ms) VALUES (?, ?, ?, ?, ?, NULL, ?, ?)";
        let sql = Sql::new(text)
            .bind(new.username.as_str())
            .bind(new.password_hash.as_str())
            .bind(new.email.as_str())
            .bind(new.role.as_str())
            .bind(new.enabled)
            .bind(new.created_ms)
            .bind(new.updated_ms);
        let Some(id) = tx.insert(sql, "username").await? else { return Ok(None) };
        tx.note(&[&entry.on("account", id, &new.username)]).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    /// Writes what `account` says otherwise than `read`, which its caller had before it: checking a password
    /// takes a while, and what others change meanwhile (a role, a state) stays. Sessions and tokens of one
    /// that is disabled, or whose password is another, end.
    pub async fn save(&self, account: &Account, read: &Account, entry: Entry) -> Result<AccountWritten> {
        let mut tx = self.turn().await?;
        let Some(before) = find(&mut tx, account.id).await? else { return Ok(AccountWritten::NotFound) };
        let new_password = account.password_hash != read.password_hash;
        if new_password && (&before.password_hash, before.enabled) != (&read.password_hash, read.enabled) {
            return Ok(AccountWritten::Changed);
        }
        let account = &laid_over(&before, account, read);
        let text = "UPDATE tj_admins SET password_hash = ?, email = ?, role = ?, enabled = ?, updated_ms = ? \
                    WHERE id = ?";
        let sql = Sql::new(text)
            .bind(account.password_hash.as_str())
            .bind(account.email.as_str())
            .bind(account.role.as_str())
            .bind(account.enabled)
            .bind(account.updated_ms)
            .bind(account.id);
        tx.execute(&sql).await?;
        if tx.number(&Sql::new(format!("SELECT count(*) FROM tj_admins WHERE {ADMINS}"))).await? == 0 {
            return Ok(AccountWritten::LastAdmin);
        }
        if !account.enabled || before.password_hash != account.password_hash {
            tx.execute(&Sql::new("DELETE FROM tj_tokens WHERE admin_id = ?").bind(account.id)).await?;
        }
        let entry = entry.on("account", account.id, &account.username);
        let mut after = account.told();
        if before.password_hash != account.password_hash {
            after.insert("password".into(), "changed".into());
        }
        tx.note(&[&entry.changed(before.told(), after)]).await?;
        tx.commit().await?;
        Ok(AccountWritten::Done)
    }

    /// Its sessions and tokens go with it. The last admin cannot be deleted.
    pub async fn delete(&self, id: i64, entry: Entry) -> Result<AccountWritten> {
        let mut tx = self.turn().await?;
        let Some(before) = find(&mut tx, id).await? else { return Ok(AccountWritten::NotFound) };
        tx.execute(&Sql::new("DELETE FROM tj_admins WHERE id = ?").bind(id)).await?;
        if tx.number(&Sql::new(format!("SELECT count(*) FROM tj_admins WHERE {ADMINS}"))).await? == 0 {
            return Ok(AccountWritten::LastAdmin);
        }
        tx.execute(&Sql::new("DELETE FROM tj_tokens WHERE admin_id = ?").bind(id)).await?;
        tx.note(&[&entry.on("account", id, &before.username).before(before.told())]).await?;
        tx.commit().await?;
        Ok(AccountWritten::Done)
    }

    /// A better hash of the same password, if it still is that, and that somebody logged in.
    pub async fn note_login(&self, id: i64, verified: &str, hash: Option<&str>, at: UtcMs) -> Result<()> {
        let text = "UPDATE tj_admins SET last_login_ms = ?, password_hash = coalesce(?, password_hash) \
                    WHERE id = ? AND password_hash = ?";
        self.0.write.execute(&Sql::new(text).bind(at.0).bind(hash).bind(id).bind(verified)).await?;
        Ok(())
    }

    /// Stores a session or a token; the entry of a token names it. `None`: what it was asked for with holds
    /// no longer.
    pub async fn add_token(&self, new: &NewToken<'_>, entry: Entry) -> Result<Option<i64>> {
        let text = "INSERT INTO tj_tokens (admin_id, kind, name, role, hash, created_ms, expires_ms, used_ms) \
                    VALUES (?, ?, ?, ?, ?, ?, ?, NULL)";
        let sql = Sql::new(text)
            .bind(new.account)
            .bind(new.kind)
            .bind(new.name)
            .bind(new.role)
            .bind(new.hash)
            .bind(new.created.0)
            .bind(new.expires.map(|t| t.0));
        let mut tx = self.turn().await?;
        let account = "SELECT count(*) FROM tj_admins a WHERE a.id = ? AND a.enabled AND ";
        let holds = match new.proof {
            Proof::Password(hash) => {
                Sql::new(format!("{account} a.password_hash = ?")).bind(new.account).bind(hash)
            }
            Proof::Token(token) => {
                let text = format!("{account} a.id = (SELECT t.admin_id FROM tj_tokens t WHERE t.id = ?)");
                Sql::new(text).bind(new.account).bind(token)
            }
        };
        if tx.number(&holds).await? == 0 {
            return Ok(None);
        }
        // What has expired is of no use to anybody.
        let old = "DELETE FROM tj_tokens WHERE expires_ms < ?";
        tx.execute(&Sql::new(old).bind(new.created.0)).await?;
        let id = tx.insert(sql, "hash").await?.unwrap_or_default();
        let entry = if new.kind == "token" { entry.on("token", id, new.name) } else { entry };
        tx.note(&[&entry]).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    /// The token with this hash, and its account.
    pub async fn token(&self, hash: &str) -> Result<Option<(Token, Account)>> {
        let found: Option<Token> =
            self.0.read.first(&Sql::new(format!("{TOKEN} WHERE hash = ?")).bind(hash)).await?;
        let Some(token) = found else { return Ok(None) };
        Ok(self.account(token.admin_id).await?.map(|account| (token, account)))
    }

    /// Sessions and tokens of an account, the newest first.
    pub async fn tokens(&self, account: i64) -> Result<Vec<Token>> {
        let sql = Sql::new(format!("{TOKEN} WHERE admin_id = ? ORDER BY id DESC")).bind(account);
        self.0.read.fetch(&sql).await
    }

    /// Whether it was there.
    pub async fn delete_token(&self, account: i64, id: i64, entry: Entry) -> Result<bool> {
        let mut tx = self.0.write.begin().await?;
        let sql = Sql::new(format!("{TOKEN} WHERE id = ? AND admin_id = ?")).bind(id).bind(account);
        let found: Vec<Token> = tx.fetch(&sql).await?;
        let Some(token) = found.into_iter().next() else { return Ok(false) };
        tx.execute(&Sql::new("DELETE FROM tj_tokens WHERE id = ?").bind(id)).await?;
        tx.note(&[&entry.on(if token.kind == "token" { "token" } else { "session" }, id, token.name)])
            .await?;
        tx.commit().await?;
        Ok(true)
    }

    pub async fn note_use(&self, token: i64, at: UtcMs) -> Result<()> {
        let sql = Sql::new("UPDATE tj_tokens SET used_ms = ? WHERE id = ?").bind(at.0).bind(token);
        self.0.write.execute(&sql).await?;
        Ok(())
    }
}
