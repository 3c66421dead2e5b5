//! Whether both sides hold the same: each counts its rows, the values of each column that are there,
//! and measures them. What differs is named by its column.

use super::page::numbers;
use super::tables::{Kind, Table};
use crate::store::Result;
use crate::store::db::Db;
use crate::store::sql::{Arg, Dialect, Sql};

/// A table as one side measures it.
pub(super) struct Measured {
    pub rows: i64,
    /// For each column how many values there are, and their measure.
    columns: Vec<(i64, i64)>,
}

pub(super) async fn measure(db: &Db, table: &Table) -> Result<Measured> {
    let columns = table
        .columns
        .iter()
        .map(|(name, kind)| format!("count({name}), {}", db.dialect().sum(&of_one(*kind, name))));
    let columns: Vec<_> = columns.collect();
    let sql = Sql::new(format!("SELECT count(*), {} FROM {}", columns.join(", "), table.source()));
    let found = numbers(db, &sql).await?;
    let (rows, columns) = found.split_first().map_or((0, &[][..]), |(rows, rest)| (*rows, rest));
    Ok(Measured { rows, columns: columns.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect() })
}

/// The measure of one value. Remainders of large numbers have a sum that fits.
fn of_one(kind: Kind, name: &str) -> String {
    match kind {
        Kind::Int => format!("{name} % 1000003"),
        Kind::Text => format!("octet_length({name})"),
        Kind::Bool => format!("CASE WHEN {name} THEN 1 ELSE 0 END"),
    }
}

impl Measured {
    /// The columns that `copy` has otherwise; `replaced` is how many NUL characters of each were
    /// replaced on the way there.
    pub fn differs(&self, copy: &Self, table: &Table, replaced: &[i64]) -> Vec<&'static str> {
        // U+FFFD takes three bytes.
        let wanted = self.columns.iter().zip(replaced).map(|((count, sum), nuls)| (*count, sum + 2 * nuls));
        let differs = wanted.zip(&copy.columns).map(|(wanted, found)| wanted != *found);
        table.names().into_iter().zip(differs).filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

/// Counts the characters of each column that the target cannot hold.
pub(super) fn count_nuls(target: Dialect, rows: &[Vec<Arg>], counts: &mut [i64]) {
    if target != Dialect::Postgres {
        return;
    }
    for (value, column) in rows.iter().flat_map(|row| row.iter().zip(0..)) {
        if let Arg::Text(Some(text)) = value {
            let nuls = text.bytes().filter(|byte| *byte == 0).count();
            counts[column] += i64::try_from(nuls).unwrap_or(i64::MAX);
        }
    }
}
