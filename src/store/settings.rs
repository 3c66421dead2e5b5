//! Values that people change while the server runs.

use super::{Error, Result, Store};
use serde_json::Value;

impl Store {
    /// A stored value; null when there is none.
    pub async fn setting(&self, name: &str) -> Result<Value> {
        let sql = "SELECT value FROM tj_settings WHERE name = ?";
        let stored: Option<String> = sqlx::query_scalar(sql).bind(name).fetch_optional(&self.read).await?;
        let parse = |text: String| serde_json::from_str(&text);
        stored.map_or(Ok(Value::Null), parse).map_err(|e| Error::Data(format!("setting {name}: {e}")))
    }

    /// Stores a value durably.
    pub async fn save_setting(&self, name: &str, value: &Value) -> Result<()> {
        let sql =
            "INSERT INTO tj_settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        sqlx::query(sql).bind(name).bind(value.to_string()).execute(&self.write).await?;
        Ok(())
    }
}
