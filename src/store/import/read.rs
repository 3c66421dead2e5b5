//! Reads the tables of the older editions as they are: columns may be missing, and a value may be of
//! any kind, so each is read as a text and understood here.

use super::super::Result;
use super::super::db::Conn;
use super::super::sql::{Dialect, Sql, list};
use crate::domain::{FieldError, Text, UtcMs};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use sqlx::{ColumnIndex, Decode, FromRow, Row};

/// Above this a client written in JavaScript would misread an id, and the next one may not fit.
pub(super) const ID_MAX: i64 = 1 << 53;

/// A table of an older edition and the columns that it has.
#[derive(Debug)]
pub(super) struct Table {
    name: &'static str,
    columns: Vec<String>,
}

/// A row: the columns that were asked for, each as a text.
#[derive(Debug)]
pub(super) struct OldRow {
    columns: &'static [&'static str],
    values: Vec<Option<String>>,
}

/// The values of a row; bytes that are no text do not stop the import.
struct Values(Vec<Option<String>>);

impl<'r, R: Row> FromRow<'r, R> for Values
where
    usize: ColumnIndex<R>,
    Vec<u8>: Decode<'r, R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        let value = |i| {
            let bytes: Option<Vec<u8>> = row.try_get_unchecked(i)?;
            Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        };
        (0..row.len()).map(value).collect::<sqlx::Result<_>>().map(Self)
    }
}

impl Table {
    /// `None`: there is no such table.
    pub async fn find(tx: &mut Conn, name: &'static str) -> Result<Option<Self>> {
        let text = match tx.dialect() {
            Dialect::Sqlite => "SELECT name FROM pragma_table_info(?)",
            Dialect::MySql => {
                "SELECT column_name FROM information_schema.columns \
                 WHERE table_schema = database() AND table_name = ?"
            }
            // The older editions never ran on it.
            Dialect::Postgres => return Ok(None),
        };
        let rows: Vec<Values> = tx.fetch(&Sql::new(text).bind(name)).await?;
        let columns: Vec<_> =
            rows.into_iter().filter_map(|row| Some(row.0.into_iter().next()??.to_lowercase())).collect();
        let of_theirs = columns.iter().any(|column| column == "id");
        Ok(of_theirs.then_some(Self { name, columns }))
    }

    /// Up to `page` rows with ids above `after`, by id. Texts are cut at `most` characters.
    pub async fn after(
        &self,
        tx: &mut Conn,
        columns: &'static [&'static str],
        after: i64,
        page: i64,
        most: usize,
    ) -> Result<Vec<OldRow>> {
        let text = format!("{} WHERE id > ? ORDER BY id LIMIT ?", self.select(tx.dialect(), columns, most));
        self.fetch(tx, columns, Sql::new(text).bind(after).bind(page)).await
    }

    /// Up to `page` rows with ids below `before`, the greatest first.
    pub async fn before(
        &self,
        tx: &mut Conn,
        columns: &'static [&'static str],
        before: i64,
        page: i64,
    ) -> Result<Vec<OldRow>> {
        let text = self.select(tx.dialect(), columns, 100);
        let text = format!("{text} WHERE id < ? ORDER BY id DESC LIMIT ?");
        self.fetch(tx, columns, Sql::new(text).bind(before).bind(page)).await
    }

    /// The rows with these ids, by id.
    pub async fn these(
        &self,
        tx: &mut Conn,
        columns: &'static [&'static str],
        ids: &[i64],
        most: usize,
    ) -> Result<Vec<OldRow>> {
        let text = self.select(tx.dialect(), columns, most);
        let text = format!("{text} WHERE id IN {} ORDER BY id", list(ids.iter().copied()));
        self.fetch(tx, columns, Sql { keep: false, ..Sql::new(text) }).await
    }

    async fn fetch(&self, tx: &mut Conn, columns: &'static [&'static str], sql: Sql) -> Result<Vec<OldRow>> {
        let rows: Vec<Values> = tx.fetch(&sql).await?;
        Ok(rows.into_iter().map(|Values(values)| OldRow { columns, values }).collect())
    }

    fn select(&self, dialect: Dialect, columns: &[&str], most: usize) -> String {
        // `desc` is a word of SQL: all names are quoted.
        let (quote, kind) = if dialect == Dialect::MySql { ('`', "CHAR") } else { ('"', "TEXT") };
        let column = |name: &&str| {
            if self.columns.iter().any(|column| column == name) {
                format!("substr(CAST({quote}{name}{quote} AS {kind}), 1, {most})")
            } else {
                "NULL".into()
            }
        };
        let columns: Vec<_> = columns.iter().map(column).collect();
        format!("SELECT {} FROM {}", columns.join(", "), self.name)
    }
}

impl OldRow {
    /// `None`: the value is NULL, or the table lacks the column.
    pub fn text(&self, column: &str) -> Option<&str> {
        let at = self.columns.iter().position(|name| *name == column)?;
        self.values.get(at)?.as_deref()
    }

    pub fn owned(&self, column: &str) -> Option<String> {
        self.text(column).map(str::to_owned)
    }

    /// The value as a number. A text that is none is an error that names the column.
    pub fn number(&self, column: &'static str) -> std::result::Result<Option<i64>, FieldError> {
        let Some(text) = self.text(column).map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let whole = text.split_once('.').filter(|(_, rest)| rest.bytes().all(|b| b == b'0'));
        whole
            .map_or(text, |(whole, _)| whole)
            .parse()
            .map(Some)
            .map_err(|_| FieldError::new(column, Text::new("不是整数", "is no whole number"), cut(text, 100)))
    }

    /// The number, where anything else counts as none.
    pub fn number_or_none(&self, column: &'static str) -> Option<i64> {
        self.number(column).ok().flatten()
    }

    /// An instant; a text without an offset is on the clock of `zone`.
    pub fn instant(&self, column: &str, zone: Tz) -> Option<UtcMs> {
        instant(self.text(column)?, zone)
    }
}

/// The first `most` characters.
pub(super) fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(at, _)| text.get(..at).unwrap_or(text))
}

/// Reads the forms in which the editions and their drivers wrote times.
fn instant(text: &str, zone: Tz) -> Option<UtcMs> {
    let text = text.trim().replacen('T', " ", 1);
    let text = text.strip_suffix(['Z', 'z']).map_or(text.clone(), |text| format!("{text}+00:00"));
    // Go's own form goes on with the zone's name and a monotonic clock.
    let parts: Vec<_> = text.split(' ').take(3).collect();
    let text = match parts[..] {
        [date, time, offset] if offset.starts_with(['+', '-']) => format!("{date} {time}{offset}"),
        [date, time, ..] => format!("{date} {time}"),
        [date] => format!("{date} 00:00:00"),
        [] => return None,
    };
    let found = DateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f%z").map(|t| t.to_utc()).ok();
    let found = found.or_else(|| {
        let local = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").ok()?;
        // A local time that the clocks left out is read as if they had not been put forward.
        let hour = TimeDelta::hours(1);
        let found = zone.from_local_datetime(&local).earliest();
        found
            .or_else(|| Some(zone.from_local_datetime(&(local - hour)).earliest()? + hour))
            .map(|t| t.to_utc())
    })?;
    // MySQL's zero date and its like say nothing.
    let known = NaiveDate::from_ymd_opt(1971, 1, 1)?..NaiveDate::from_ymd_opt(9999, 1, 1)?;
    known.contains(&found.date_naive()).then(|| UtcMs::from_utc(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form_the_editions_wrote() {
        let at = |text| instant(text, Tz::Asia__Shanghai).map(|t| t.to_utc().to_rfc3339());
        for (text, found) in [
            ("2025-06-27 17:46:10.123456", Some("2025-06-27T09:46:10.123+00:00")),
            ("2025-06-27 17:46:10", Some("2025-06-27T09:46:10+00:00")),
            ("2024-06-25 12:00:00+08:00", Some("2024-06-25T04:00:00+00:00")),
            ("2024-06-25T12:00:00.5+02:00", Some("2024-06-25T10:00:00.500+00:00")),
            ("2024-06-25T12:00:00Z", Some("2024-06-25T12:00:00+00:00")),
            ("2024-06-25 12:00:00.1 +0800 CST m=+0.1", Some("2024-06-25T04:00:00.100+00:00")),
            ("2024-06-25", Some("2024-06-24T16:00:00+00:00")),
            ("0000-00-00 00:00:00", None),
            ("0001-01-01 00:00:00+00:00", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(at(text).as_deref(), found, "{text}");
        }
        let gap = instant("2025-03-09 02:30:00", Tz::America__New_York).unwrap();
        assert_eq!(gap.to_utc().to_rfc3339(), "2025-03-09T07:30:00+00:00");
    }
}
