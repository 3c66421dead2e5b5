//! Values that people change while the server runs.

use super::sql::Sql;
use super::{Error, Result, Store};
use crate::domain::audit::Entry;
use serde_json::Value;

impl Store {
    /// A stored value; null when there is none.
    pub async fn setting(&self, name: &str) -> Result<Value> {
        let sql = Sql::new("SELECT value FROM tj_settings WHERE name = ?").bind(name);
        let stored: Option<(String,)> = self.read.first(&sql).await?;
        let stored = stored.map(|(text,)| text);
        let parse = |text: String| serde_json::from_str(&text);
        stored.map_or(Ok(Value::Null), parse).map_err(|e| Error::Data(format!("setting {name}: {e}")))
    }

    /// Stores a value durably, and tells of it where somebody asked for it.
    pub async fn save_setting(&self, name: &str, value: &Value, entry: Option<&Entry>) -> Result<()> {
        let replace = self.write.dialect().or_replace("name", "value");
        let sql = Sql::new(format!("INSERT INTO tj_settings (name, value) VALUES (?, ?){replace}"));
        let mut tx = self.write.begin().await?;
        tx.execute(&sql.bind(name).bind(value.to_string())).await?;
        tx.note(entry.as_slice()).await?;
        tx.commit().await
    }
}
