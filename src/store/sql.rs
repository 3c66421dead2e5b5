//! The little that differs between the databases, and statements that are written once for all of
//! them: `?` for a value, `tj_` before a table, and a table of values (`Rows`) for batches.

use serde::{Serialize, Serializer};
use std::fmt::Write;

/// Rows of one statement on a server: its packets and its parameters are bounded.
const ROWS_MAX: usize = 500;
/// Bytes of text in one statement on a server; the smallest packet limit in use is 4 MiB.
const BYTES_MAX: usize = 2 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    /// MySQL and MariaDB.
    MySql,
    Postgres,
}

impl Dialect {
    /// The larger of two numbers.
    pub fn greatest(self) -> &'static str {
        if self == Self::Sqlite { "max" } else { "greatest" }
    }

    /// The length of a text in characters.
    pub fn length(self) -> &'static str {
        if self == Self::Sqlite { "length" } else { "char_length" }
    }

    /// Where the second text lies in the first; 0: nowhere.
    pub fn position(self) -> &'static str {
        if self == Self::Postgres { "strpos" } else { "instr" }
    }

    /// A sum as a whole number of 64 bits, 0 over no rows.
    pub fn sum(self, column: &str) -> String {
        self.whole(&format!("coalesce(sum({column}), 0)"))
    }

    /// A number as a whole one of 64 bits.
    pub fn whole(self, number: &str) -> String {
        let kind = if self == Self::MySql { "SIGNED" } else { "BIGINT" };
        format!("CAST({number} AS {kind})")
    }

    /// Locks the rows that are read until the transaction ends. SQLite has one writer at a time.
    pub fn lock(self) -> &'static str {
        if self == Self::Sqlite { "" } else { " FOR UPDATE" }
    }

    /// Names the index to use, where the database may choose badly. PostgreSQL takes no such word.
    pub fn indexed_by(self, index: &str) -> String {
        match self {
            Self::Sqlite => format!(" INDEXED BY {index}"),
            Self::MySql => format!(" FORCE INDEX ({index})"),
            Self::Postgres => String::new(),
        }
    }

    /// Reads SQLite's rows in the order of their ids, by no index.
    pub fn not_indexed(self) -> &'static str {
        if self == Self::Sqlite { " NOT INDEXED" } else { "" }
    }

    /// What follows an INSERT that does nothing when the row is there; `key` is a column of `table`.
    fn or_nothing(self, table: &str, key: &str) -> String {
        match self {
            // Unlike INSERT IGNORE this hides no other error.
            Self::MySql => format!(" ON DUPLICATE KEY UPDATE {key} = {table}.{key}"),
            Self::Sqlite | Self::Postgres => " ON CONFLICT DO NOTHING".into(),
        }
    }

    /// What follows an INSERT that adds to `column` of `table` when the `key` is there.
    fn or_add(self, table: &str, key: &str, column: &str) -> String {
        match self {
            Self::MySql => format!(" ON DUPLICATE KEY UPDATE {column} = {table}.{column} + VALUES({column})"),
            Self::Sqlite | Self::Postgres => {
                format!(" ON CONFLICT ({key}) DO UPDATE SET {column} = {table}.{column} + excluded.{column}")
            }
        }
    }

    /// What follows an INSERT that overwrites `column` when the `key` is there.
    pub fn or_replace(self, key: &str, column: &str) -> String {
        match self {
            Self::MySql => format!(" ON DUPLICATE KEY UPDATE {column} = VALUES({column})"),
            Self::Sqlite | Self::Postgres => {
                format!(" ON CONFLICT ({key}) DO UPDATE SET {column} = excluded.{column}")
            }
        }
    }
}

/// A value of a statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Arg {
    Int(Option<i64>),
    Text(Option<String>),
    Bool(bool),
}

impl Arg {
    /// PostgreSQL has no NUL in its texts; the replacement character stands for it.
    pub fn without_nul(self) -> Self {
        match self {
            Self::Text(Some(text)) if text.contains('\0') => Self::Text(Some(text.replace('\0', "\u{fffd}"))),
            other => other,
        }
    }
}

impl Serialize for Arg {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(n) => n.serialize(to),
            Self::Text(text) => text.serialize(to),
            Self::Bool(is) => u8::from(*is).serialize(to),
        }
    }
}

impl From<i64> for Arg {
    fn from(n: i64) -> Self {
        Self::Int(Some(n))
    }
}

impl From<Option<i64>> for Arg {
    fn from(n: Option<i64>) -> Self {
        Self::Int(n)
    }
}

impl From<bool> for Arg {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<&str> for Arg {
    fn from(s: &str) -> Self {
        Self::Text(Some(s.to_owned()))
    }
}

impl From<String> for Arg {
    fn from(s: String) -> Self {
        Self::Text(Some(s))
    }
}

impl From<Option<&str>> for Arg {
    fn from(s: Option<&str>) -> Self {
        Self::Text(s.map(str::to_owned))
    }
}

impl From<Option<String>> for Arg {
    fn from(s: Option<String>) -> Self {
        Self::Text(s)
    }
}

/// A statement: text with `?` for each value. No text of ours holds a `?` of its own.
#[derive(Clone, Debug)]
pub(super) struct Sql {
    pub text: String,
    pub args: Vec<Arg>,
    /// Whether the text is worth keeping prepared: it does not grow with the data.
    pub keep: bool,
}

impl Sql {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), args: Vec::new(), keep: true }
    }

    /// Gives the next `?` its value.
    pub fn bind(mut self, value: impl Into<Arg>) -> Self {
        self.args.push(value.into());
        self
    }

    /// Appends text, with the value of its `?` if it has one.
    pub fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Puts text before and behind it.
    pub fn wrap(&mut self, before: &str, behind: &str) {
        self.text.insert_str(0, before);
        self.text.push_str(behind);
    }

    pub fn push_bind(&mut self, text: &str, value: impl Into<Arg>) -> &mut Self {
        self.text.push_str(text);
        self.args.push(value.into());
        self
    }

    /// The text in the dialect's own form, with the tables' own prefix.
    pub fn finished(&self, dialect: Dialect, prefix: &str) -> String {
        let text = if prefix == "tj_" { self.text.clone() } else { self.text.replace("tj_", prefix) };
        if dialect != Dialect::Postgres {
            return text;
        }
        let mut out = String::with_capacity(text.len() + 16);
        for (n, part) in text.split('?').enumerate() {
            if n > 0 {
                // Writing to a string cannot fail.
                let _ = write!(out, "${n}");
            }
            out.push_str(part);
        }
        out
    }
}

/// `(1,2,3)`: whole numbers need no binding.
pub(super) fn list(ids: impl IntoIterator<Item = i64>) -> String {
    let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    // An empty list is no SQL; no id is null.
    if ids.is_empty() { "(NULL)".into() } else { format!("({})", ids.join(",")) }
}

/// The type of a column of `Rows`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Text,
}

/// A table of values that a statement works on, called `v`.
#[derive(Debug)]
pub(super) struct Rows {
    columns: &'static [(&'static str, Kind)],
    rows: Vec<Vec<Arg>>,
}

impl Rows {
    pub fn new(columns: &'static [(&'static str, Kind)], rows: Vec<Vec<Arg>>) -> Self {
        Self { columns, rows }
    }

    /// `INSERT INTO table ...` of all rows; those that are there already are left as they are.
    pub fn insert(self, dialect: Dialect, table: &str, key: &str) -> Vec<Sql> {
        self.insert_or(dialect, table, &dialect.or_nothing(table, key))
    }

    /// Inserts the rows; where one with the same `key` is there already, adds to its `column`.
    pub fn add(self, dialect: Dialect, table: &str, key: &str, column: &str) -> Vec<Sql> {
        self.insert_or(dialect, table, &dialect.or_add(table, key, column))
    }

    fn insert_or(self, dialect: Dialect, table: &str, or: &str) -> Vec<Sql> {
        let columns: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        let columns = columns.join(", ");
        if dialect == Dialect::MySql {
            let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
            let rows = |n| vec![row.as_str(); n].join(", ");
            return self.chunked(|n| format!("INSERT INTO {table} ({columns}) VALUES {}{or}", rows(n)));
        }
        self.statements(dialect, |source| {
            format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM {source} WHERE 1 = 1{or}")
        })
    }

    /// Statements with a `?` for each value, as many rows in each as fit; `text` is told how many.
    fn chunked(self, text: impl Fn(usize) -> String) -> Vec<Sql> {
        let statement = |rows: Vec<Vec<Arg>>| Sql {
            text: text(rows.len()),
            args: rows.into_iter().flatten().collect(),
            keep: false,
        };
        chunks(self.rows).into_iter().map(statement).collect()
    }

    /// Sets columns of the rows of `table` that meet `condition`, which names both `table` and `v`.
    pub fn update(self, dialect: Dialect, table: &str, set: &[(&str, &str)], condition: &str) -> Vec<Sql> {
        let qualify = if dialect == Dialect::MySql { format!("{table}.") } else { String::new() };
        let set: Vec<_> = set.iter().map(|(column, value)| format!("{qualify}{column} = {value}")).collect();
        let set = set.join(", ");
        self.statements(dialect, |source| match dialect {
            Dialect::MySql => format!("UPDATE {table} JOIN {source} ON {condition} SET {set}"),
            Dialect::Sqlite | Dialect::Postgres => {
                format!("UPDATE {table} SET {set} FROM {source} WHERE {condition}")
            }
        })
    }

    /// One statement where the database takes any number of rows in one value, else as many as fit.
    fn statements(self, dialect: Dialect, text: impl Fn(&str) -> String) -> Vec<Sql> {
        let columns = self.columns;
        match dialect {
            Dialect::Sqlite => {
                vec![Sql::new(text(&json_source(dialect, columns))).bind(as_json(&self.rows))]
            }
            Dialect::MySql => self.chunked(|n| text(&union_source(columns, n))),
            Dialect::Postgres => {
                let statement = |rows: Vec<Vec<Arg>>| {
                    let rows: Vec<_> =
                        rows.into_iter().map(|row| row.into_iter().map(Arg::without_nul).collect()).collect();
                    Sql::new(text(&json_source(dialect, columns))).bind(as_json(&rows))
                };
                chunks(self.rows).into_iter().map(statement).collect()
            }
        }
    }
}

fn chunks(rows: Vec<Vec<Arg>>) -> Vec<Vec<Vec<Arg>>> {
    let mut chunks: Vec<Vec<Vec<Arg>>> = Vec::new();
    let mut bytes = 0;
    for row in rows {
        let size: usize = row.iter().map(size).sum();
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < ROWS_MAX && bytes + size <= BYTES_MAX => {
                bytes += size;
                chunk.push(row);
            }
            _ => {
                bytes = size;
                chunks.push(vec![row]);
            }
        }
    }
    chunks
}

fn size(arg: &Arg) -> usize {
    if let Arg::Text(Some(text)) = arg { text.len() } else { 8 }
}

/// All rows as one text, an array of arrays.
fn as_json(rows: &[Vec<Arg>]) -> String {
    serde_json::to_string(rows).expect("numbers and texts in memory are always JSON")
}

fn json_source(dialect: Dialect, columns: &[(&str, Kind)]) -> String {
    let columns: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(i, (name, kind))| match (dialect, kind) {
            (Dialect::Postgres, Kind::Int) => format!("CAST(value->>{i} AS BIGINT) AS {name}"),
            _ => format!("value->>{i} AS {name}"),
        })
        .collect();
    let each = match dialect {
        Dialect::Postgres => "json_array_elements(CAST(? AS json))",
        // The rows come as they were parsed, not as texts that each column would parse again.
        _ => "jsonb_each(?)",
    };
    format!("(SELECT {} FROM {each}) AS v", columns.join(", "))
}

/// For servers without JSON tables (MySQL 5.7). The casts keep a number a number: an id read as a
/// text would be compared as a floating point number.
fn union_source(columns: &[(&str, Kind)], rows: usize) -> String {
    let one = |named: bool| {
        let columns = columns.iter().map(|(name, kind)| {
            let name = if named { format!(" AS {name}") } else { String::new() };
            match kind {
                Kind::Int => format!("CAST(? AS SIGNED){name}"),
                Kind::Text => format!("CAST(? AS CHAR){name}"),
            }
        });
        format!("SELECT {}", columns.collect::<Vec<_>>().join(", "))
    };
    let rest = format!(" UNION ALL {}", one(false)).repeat(rows.saturating_sub(1));
    format!("({}{rest}) AS v", one(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_takes_the_form_of_its_database() {
        let sql = Sql::new("SELECT id FROM tj_jobs WHERE name = ? AND id > ?").bind("a?").bind(7);
        assert_eq!(sql.finished(Dialect::MySql, "tj_"), sql.text);
        assert_eq!(
            sql.finished(Dialect::Postgres, "x_"),
            "SELECT id FROM x_jobs WHERE name = $1 AND id > $2"
        );
        assert_eq!(sql.args, [Arg::Text(Some("a?".into())), Arg::Int(Some(7))]);
    }

    #[test]
    fn rows_are_split_where_packets_are_bounded() {
        const COLUMNS: &[(&str, Kind)] = &[("id", Kind::Int), ("stdout", Kind::Text)];
        let row = |n: usize| vec![Arg::from(1), Arg::from("x".repeat(n))];
        let rows = |sizes: &[usize]| Rows::new(COLUMNS, sizes.iter().map(|n| row(*n)).collect());
        let large = [1 << 20, 1 << 20, 3 << 20, 1];
        for (dialect, statements) in [(Dialect::Sqlite, 1), (Dialect::MySql, 4), (Dialect::Postgres, 4)] {
            let got = rows(&large).insert(dialect, "tj_runs", "id");
            assert_eq!(got.len(), statements, "{dialect:?}");
        }
        assert_eq!(rows(&[1; 1_200]).insert(Dialect::MySql, "tj_runs", "id").len(), 3);
    }
}
