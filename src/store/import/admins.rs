//! Admins of the older editions. A password that they kept in plain text is hashed on the way and
//! stands nowhere else: not in the report, not in the log.

use super::super::db::Conn;
use super::super::sql::Sql;
use super::super::{Error, Result};
use super::read::{ID_MAX, OldRow, Table, cut};
use super::{How, Imported};
use crate::domain::Text;
use crate::password;
use chrono_tz::Tz;
use std::collections::HashSet;

const COLUMNS: &[&str] = &[
    "id",
    "username",
    "password",
    "email",
    "role",
    "status",
    "is_active",
    "last_login",
    "created_at",
    "updated_at",
];
/// More admins than any installation has; hashing takes a tenth of a second each.
const PAGE: i64 = 1_000;
const TEXT_MAX: usize = 10_000;
const USERNAME_MAX: usize = 100;

pub(super) async fn take(tx: &mut Conn, table: &Table, how: &How, done: &mut Imported) -> Result<()> {
    let (mut names, mut last) = (HashSet::new(), i64::MIN);
    loop {
        let rows = table.after(tx, COLUMNS, last, PAGE, TEXT_MAX).await?;
        let next = rows.last().and_then(|row| row.number_or_none("id"));
        let rows: Vec<_> = rows.into_iter().filter(|row| usable(row, &mut names, done)).collect();
        let passwords: Vec<_> = rows.iter().map(|row| row.owned("password").unwrap_or_default()).collect();
        // One thread: the memory that a hash takes is taken once.
        let hashing = move || passwords.iter().map(|password| stored(password)).collect::<Result<Vec<_>>>();
        let hashes = tokio::task::spawn_blocking(hashing)
            .await
            .map_err(|e| Error::Data(format!("hashing the admins' passwords: {e}")))??;
        for (row, hash) in rows.iter().zip(hashes) {
            insert(tx, row, hash, how, done).await?;
        }
        match next {
            Some(id) => last = id,
            None => return Ok(()),
        }
    }
}

/// Whether an account can be made of the row; what cannot is listed.
fn usable(row: &OldRow, names: &mut HashSet<String>, done: &mut Imported) -> bool {
    let id = row.text("id").unwrap_or_default();
    let name = row.text("username").unwrap_or_default();
    let fault = if row.number_or_none("id").is_none_or(|id| !(1..ID_MAX).contains(&id)) {
        Text::new("编号不可用", "its id cannot be used")
    } else if name.trim().is_empty() || name.chars().count() > USERNAME_MAX {
        Text::new("用户名须为 1 到 100 个字符", "its username must have 1 to 100 characters")
    } else if !names.insert(name.trim_end().to_owned()) {
        Text::new("用户名重复", "another admin has its username")
    } else {
        return true;
    };
    let shown = cut(name, 60);
    done.not_taken(Text::new(
        format!("管理员 {id}“{shown}”：{}", fault.zh),
        format!("admin {id} {shown:?}: {}", fault.en),
    ));
    false
}

async fn insert(
    tx: &mut Conn,
    row: &OldRow,
    hash: Option<String>,
    how: &How,
    done: &mut Imported,
) -> Result<()> {
    let name = row.text("username").unwrap_or_default().trim_end();
    let on = |column| row.number_or_none(column).is_none_or(|n| n != 0);
    let enabled = on("status") && on("is_active") && hash.is_some();
    if hash.is_none() {
        done.changed(Text::new(
            format!("管理员“{}”：没有密码，已停用", cut(name, 60)),
            format!("admin {:?}: has no password, disabled", cut(name, 60)),
        ));
    }
    let created = row.instant("created_at", Tz::UTC).unwrap_or(how.now);
    let text = "INSERT INTO tj_admins (id, username, password_hash, email, role, enabled, last_login_ms, created_ms, \
                updated_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let sql = Sql::new(text)
        .bind(row.number_or_none("id"))
        .bind(name)
        // No password has an empty hash: nobody can log in.
        .bind(hash.unwrap_or_default())
        .bind(cut(row.text("email").unwrap_or_default().trim(), 255))
        .bind(cut(row.text("role").unwrap_or_default().trim(), 20))
        .bind(enabled)
        .bind(row.instant("last_login", Tz::UTC).map(|t| t.0))
        .bind(created.0)
        .bind(row.instant("updated_at", Tz::UTC).unwrap_or(created).0);
    tx.execute(&sql).await?;
    done.admins += 1;
    Ok(())
}

/// What is stored of a password: a bcrypt hash as it is, the hash of anything else.
fn stored(given: &str) -> Result<Option<String>> {
    if given.is_empty() {
        return Ok(None);
    }
    if password::is_bcrypt(given) {
        return Ok(Some(given.to_owned()));
    }
    password::hash(given).map(Some).map_err(|e| Error::Data(format!("an admin's password: {e}")))
}
