//! The rows of a table in pages that go by its key: a page is one statement and one transaction, and
//! what is in memory at a time.

use super::tables::{Cell, Kind, Table};
use crate::store::db::Db;
use crate::store::sql::{Arg, Sql};
use crate::store::{Error, Result};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type, ValueRef};

/// Rows in a page at most: SQLite takes 32,766 parameters in one statement, the servers 65,535.
pub(super) const ROWS: usize = 500;
/// Bytes of text in a page, unless one row alone has more; MariaDB's packets end at 16 MiB.
const BYTES: i64 = 2 << 20;
/// Rows whose sizes are looked at together.
const WINDOW: usize = 2_000;

/// A row of any table.
struct Cells(Vec<Cell>);

impl<'r, R> FromRow<'r, R> for Cells
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        let cell = |index: usize| -> sqlx::Result<Cell> {
            let value = row.try_get_raw(index)?;
            if value.is_null() {
                return Ok(Cell::Null);
            }
            let kind = value.type_info().into_owned();
            let decoded = if <i64 as Type<R::Database>>::compatible(&kind) {
                i64::decode(value).map(Cell::Int)
            } else if <bool as Type<R::Database>>::compatible(&kind) {
                bool::decode(value).map(Cell::Bool)
            } else {
                String::decode(value).map(Cell::Text)
            };
            decoded.map_err(|source| sqlx::Error::ColumnDecode { index: index.to_string(), source })
        };
        (0..row.len()).map(cell).collect::<sqlx::Result<_>>().map(Self)
    }
}

/// The last keys of the pages that follow the row `after`; none: there is no such row.
pub(super) async fn ends(source: &Db, table: &Table, after: Option<&Arg>) -> Result<Vec<Arg>> {
    let texts = table.columns.iter().filter(|(_, kind)| *kind == Kind::Text);
    let sizes: Vec<_> = texts.map(|(name, _)| format!(" + coalesce(octet_length({name}), 0)")).collect();
    let size = source.dialect().whole(&format!("0{}", sizes.concat()));
    let key = table.key;
    let mut sql = Sql::new(format!("SELECT {key}, {size} FROM {}", table.source()));
    if let Some(after) = after {
        sql.push_bind(&format!(" AND {key} > ?"), after.clone());
    }
    sql.push(&format!(" ORDER BY {key} LIMIT {WINDOW}"));
    let mut ends: Vec<Arg> = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    let kind = table.columns.iter().find(|(name, _)| *name == key).map_or(Kind::Int, |(_, kind)| *kind);
    for Cells(cells) in source.fetch(&sql).await? {
        let Ok([key, Cell::Int(size)]) = <[Cell; 2]>::try_from(cells) else {
            return Err(Error::Data(format!("{}: a row has no size", table.name)));
        };
        let key = kind.arg(key)?;
        match ends.last_mut() {
            Some(end) if rows < ROWS && bytes + size <= BYTES => *end = key,
            _ => {
                ends.push(key);
                (rows, bytes) = (0, 0);
            }
        }
        (rows, bytes) = (rows + 1, bytes + size);
    }
    Ok(ends)
}

/// The rows after `after` up to `end`.
pub(super) async fn read(
    source: &Db,
    table: &Table,
    after: Option<&Arg>,
    end: &Arg,
) -> Result<Vec<Vec<Arg>>> {
    let (columns, key) = (table.names().join(", "), table.key);
    let mut sql = Sql::new(format!("SELECT {columns} FROM {}", table.source()));
    if let Some(after) = after {
        sql.push_bind(&format!(" AND {key} > ?"), after.clone());
    }
    sql.push_bind(&format!(" AND {key} <= ?"), end.clone());
    sql.push(&format!(" ORDER BY {key}"));
    let typed = |Cells(cells)| -> Result<Vec<Arg>> {
        let typed = table.columns.iter().zip(cells);
        let typed = typed.map(|((name, kind), cell)| {
            kind.arg(cell).map_err(|e| Error::Data(format!("{}.{name}: {e}", table.name)))
        });
        typed.collect()
    };
    source.fetch(&sql).await?.into_iter().map(typed).collect()
}

pub(super) async fn write(target: &Db, table: &Table, rows: Vec<Vec<Arg>>) -> Result<()> {
    let row = format!("({})", vec!["?"; table.columns.len()].join(", "));
    let values = vec![row.as_str(); rows.len()].join(", ");
    let text = format!("INSERT INTO {} ({}) VALUES {values}", table.name, table.names().join(", "));
    // Full pages have one text; the others come in too many lengths to be kept prepared.
    let keep = rows.len() == ROWS;
    let sql = Sql { text, args: rows.into_iter().flatten().collect(), keep };
    let mut tx = target.begin().await?;
    tx.execute(&sql).await?;
    tx.commit().await
}

/// One row of whole numbers.
pub(super) async fn numbers(db: &Db, sql: &Sql) -> Result<Vec<i64>> {
    let number = |cell| if let Cell::Int(n) = cell { n } else { 0 };
    let row: Option<Cells> = db.first(sql).await?;
    Ok(row.map_or_else(Vec::new, |Cells(cells)| cells.into_iter().map(number).collect()))
}
