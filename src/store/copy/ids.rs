//! The ids that a database makes up go on where the source's stood: the id of a job that was deleted is
//! not given again, its records are not another's.

use super::tables::Table;
use crate::store::Result;
use crate::store::db::Db;
use crate::store::sql::{Dialect, Sql};

pub(super) async fn go_on(source: &Db, target: &Db, table: &Table) -> Result<()> {
    let last = last(source, table.name).await?;
    if last < 1 {
        return Ok(());
    }
    let name = table.name;
    match target.dialect() {
        Dialect::Sqlite => {
            let text = "DELETE FROM sqlite_sequence WHERE name = ?";
            target.execute(&Sql::new(text).bind(name)).await?;
            let text = "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)";
            target.execute(&Sql::new(text).bind(name).bind(last)).await?;
        }
        // It never goes below the ids that are there.
        Dialect::MySql => {
            let text = format!("ALTER TABLE {name} AUTO_INCREMENT = {}", last.saturating_add(1));
            target.execute(&Sql::new(text)).await?;
        }
        Dialect::Postgres => {
            let text = format!("SELECT setval(pg_get_serial_sequence('{name}', 'id'), {last})");
            target.number(&Sql::new(text)).await?;
        }
    }
    Ok(())
}

/// The greatest id that was ever given; 0: none.
async fn last(source: &Db, name: &str) -> Result<i64> {
    let greatest = source.number(&Sql::new(format!("SELECT coalesce(max(id), 0) FROM {name}"))).await?;
    let given = match source.dialect() {
        Dialect::Sqlite => {
            let text = format!("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = '{name}'");
            source.number(&Sql::new(text)).await?
        }
        // information_schema would tell what MySQL 8 remembers from up to a day ago.
        Dialect::MySql => {
            let made: Option<(String, String)> =
                source.first(&Sql::new(format!("SHOW CREATE TABLE {name}"))).await?;
            made.and_then(|(_, text)| next_in(&text)).map_or(0, |next| next.saturating_sub(1))
        }
        Dialect::Postgres => {
            let sequence = format!("CAST(pg_get_serial_sequence('{name}', 'id') AS regclass)");
            source
                .number(&Sql::new(format!("SELECT coalesce(pg_sequence_last_value({sequence}), 0)")))
                .await?
        }
    };
    Ok(greatest.max(given))
}

/// The next id, as the options of a CREATE TABLE tell it.
fn next_in(create: &str) -> Option<i64> {
    let (_, options) = create.rsplit_once("AUTO_INCREMENT=")?;
    options.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
