//! Moves a whole system into an empty database, of whichever kind. The caller keeps servers of ours off
//! both sides. Ids and the instance stay: the copy takes the source's place, also towards processes that
//! a crashed server left.
//!
//! Until everything is there and checked, a marker among the target's settings says so: no server
//! starts on it, and another copy may clear it and start over.

mod check;
mod ids;
mod page;
mod tables;

use super::sql::Sql;
use super::{Error, Result, Store, chain, totals};
use serde_json::{Value, json};
use tables::{TABLES, Table};

const MARKER: &str = "copy_unfinished";

/// Why nothing was copied, or not all.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("{0}: a copy into it broke off, so it is no whole system; finish that copy first")]
    Half(String),
    #[error("{place}: holds {table} already, and a copy never mixes; name an empty database")]
    Taken { place: String, table: &'static str },
    #[error("{place}: the copy broke off; mend the cause and run it again, it starts over: {}", chain(cause))]
    Broken { place: String, cause: Error },
}

/// How far a table is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub table: &'static str,
    pub done: u64,
    pub rows: u64,
}

#[derive(Debug, Default)]
pub struct Copied {
    pub tables: Vec<CopiedTable>,
}

/// What the check of a table found.
#[derive(Debug)]
pub struct CopiedTable {
    pub name: &'static str,
    /// Rows at the source and at the target.
    pub rows: (i64, i64),
    /// The columns whose values are not the same.
    pub differs: Vec<&'static str>,
    /// NUL characters that PostgreSQL cannot hold and that became U+FFFD.
    pub replaced: i64,
}

impl CopiedTable {
    pub fn is_whole(&self) -> bool {
        self.rows.0 == self.rows.1 && self.differs.is_empty()
    }
}

impl Copied {
    pub fn is_whole(&self) -> bool {
        self.tables.iter().all(CopiedTable::is_whole)
    }

    pub fn replaced(&self) -> i64 {
        self.tables.iter().map(|table| table.replaced).sum()
    }
}

impl Store {
    /// Copies everything into `target` and compares. A copy that is not whole leaves the marker.
    pub async fn copy_into(
        &self,
        target: &Self,
        mut tell: impl FnMut(Progress),
    ) -> std::result::Result<Copied, CopyError> {
        if self.copy_unfinished().await.map_err(|e| self.broken(e))? {
            return Err(CopyError::Half(self.place.to_string()));
        }
        if let Some(table) = target.make_room(self).await.map_err(|e| target.broken(e))? {
            return Err(CopyError::Taken { place: target.place.to_string(), table });
        }
        let mut copied = Copied::default();
        for table in TABLES {
            copied.tables.push(self.copy_table(target, table, &mut tell).await?);
        }
        // The counts are made of the runs.
        totals::recount(&target.write).await.map_err(|e| target.broken(e))?;
        if copied.is_whole() {
            let text = "DELETE FROM tj_settings WHERE name = ?";
            let unmarked = target.write.execute(&Sql::new(text).bind(MARKER)).await;
            unmarked.map_err(|e| target.broken(e))?;
        }
        Ok(copied)
    }

    /// Whether a copy into this database broke off.
    pub async fn copy_unfinished(&self) -> Result<bool> {
        Ok(self.setting(MARKER).await? != Value::Null)
    }

    /// Marks the database and empties it of what an earlier copy wrote; what else stands there is
    /// named, and nothing is touched.
    async fn make_room(&self, source: &Self) -> Result<Option<&'static str>> {
        if !self.copy_unfinished().await? {
            // The system's row is there from the start.
            for table in TABLES.iter().filter(|table| table.name != "tj_system") {
                let any = format!("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT 1) AS one", table.source());
                if self.write.number(&Sql::new(any)).await? > 0 {
                    return Ok(Some(table.short()));
                }
            }
            self.save_setting(MARKER, &json!({ "from": &*source.place }), None).await?;
        }
        for table in TABLES {
            self.write.execute(&Sql::new(format!("DELETE FROM {}", table.source()))).await?;
        }
        Ok(None)
    }

    async fn copy_table(
        &self,
        target: &Self,
        table: &'static Table,
        tell: &mut impl FnMut(Progress),
    ) -> std::result::Result<CopiedTable, CopyError> {
        let (theirs, ours) = (|e| self.broken(e), |e| target.broken(e));
        let measured = check::measure(&self.read, table).await.map_err(theirs)?;
        let rows = measured.rows.unsigned_abs();
        let mut done = 0;
        let mut nuls = vec![0; table.columns.len()];
        let mut after = None;
        tell(Progress { table: table.short(), done, rows });
        loop {
            let ends = page::ends(&self.read, table, after.as_ref()).await.map_err(theirs)?;
            if ends.is_empty() {
                break;
            }
            for end in ends {
                let page = page::read(&self.read, table, after.as_ref(), &end).await.map_err(theirs)?;
                check::count_nuls(target.write.dialect(), &page, &mut nuls);
                done += page.len() as u64;
                page::write(&target.write, table, page).await.map_err(ours)?;
                tell(Progress { table: table.short(), done, rows });
                after = Some(end);
            }
        }
        if table.makes_ids {
            ids::go_on(&self.read, &target.write, table).await.map_err(ours)?;
        }
        let copy = check::measure(&target.write, table).await.map_err(ours)?;
        let differs = measured.differs(&copy, table, &nuls);
        let (rows, replaced) = ((measured.rows, copy.rows), nuls.iter().sum());
        Ok(CopiedTable { name: table.short(), rows, differs, replaced })
    }

    fn broken(&self, cause: Error) -> CopyError {
        CopyError::Broken { place: self.place.to_string(), cause }
    }
}

#[cfg(test)]
#[path = "copy_test.rs"]
mod copy_test;
