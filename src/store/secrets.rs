//! Secrets as they are stored: sealed. What they are only `vault` can tell.

use super::sql::Sql;
use super::{Result, Store};
use crate::domain::audit::Entry;
use crate::domain::secret;

/// A secret as it is stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Sealed {
    pub name: String,
    pub description: String,
    pub key_id: String,
    /// Nonce and ciphertext, base64.
    pub sealed: String,
    pub created_ms: i64,
    pub updated_ms: i64,
}

impl Store {
    /// All of them, by name.
    pub async fn secrets(&self) -> Result<Vec<Sealed>> {
        let text =
            "SELECT name, description, key_id, sealed, created_ms, updated_ms FROM tj_secrets ORDER BY name";
        self.read.fetch(&Sql::new(text)).await
    }

    /// Adds it, or takes the place of the one with this name, whose age it keeps.
    pub async fn save_secret(&self, secret: &Sealed, entry: &Entry) -> Result<()> {
        let mut tx = self.write.begin().await?;
        let text =
            "UPDATE tj_secrets SET description = ?, key_id = ?, sealed = ?, updated_ms = ? WHERE name = ?";
        let update = Sql::new(text)
            .bind(secret.description.as_str())
            .bind(secret.key_id.as_str())
            .bind(secret.sealed.as_str())
            .bind(secret.updated_ms)
            .bind(secret.name.as_str());
        if tx.execute(&update).await? == 0 {
            let text = "INSERT INTO tj_secrets (name, description, key_id, sealed, created_ms, updated_ms) \
                        VALUES (?, ?, ?, ?, ?, ?)";
            let insert = Sql::new(text)
                .bind(secret.name.as_str())
                .bind(secret.description.as_str())
                .bind(secret.key_id.as_str())
                .bind(secret.sealed.as_str())
                .bind(secret.created_ms)
                .bind(secret.updated_ms);
            tx.insert(insert, "name").await?;
        }
        tx.note(&[entry]).await?;
        tx.commit().await
    }

    /// Whether it was there.
    pub async fn delete_secret(&self, name: &str, entry: &Entry) -> Result<bool> {
        let mut tx = self.write.begin().await?;
        if tx.execute(&Sql::new("DELETE FROM tj_secrets WHERE name = ?").bind(name)).await? == 0 {
            return Ok(false);
        }
        tx.note(&[entry]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The command texts of jobs in which secrets may stand.
    pub async fn commands_with_secrets(&self) -> Result<Vec<String>> {
        let sql =
            Sql::new("SELECT command FROM tj_jobs WHERE command LIKE ?").bind(format!("%{}%", secret::OPEN));
        let rows: Vec<(String,)> = self.read.fetch(&sql).await?;
        Ok(rows.into_iter().map(|(command,)| command).collect())
    }
}
