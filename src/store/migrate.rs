//! Brings a database to the tables of this version: the same numbers and names in every database,
//! each file run once. The table names get the prefix of the settings.

use super::sql::Dialect;
use sqlx::migrate::{Migration, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr};

pub(super) static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static MYSQL: Migrator = sqlx::migrate!("migrations/mysql");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// The migrations of this binary, with the table names as the files have them.
pub(super) fn of(dialect: Dialect) -> &'static Migrator {
    match dialect {
        Dialect::Sqlite => &SQLITE,
        Dialect::MySql => &MYSQL,
        Dialect::Postgres => &POSTGRES,
    }
}

/// What brings a database up to date. The caller keeps others from doing the same at the same time.
pub(super) fn migrator(dialect: Dialect, prefix: &str) -> Migrator {
    let with_prefix = |m: &Migration| {
        let text = m.sql.as_str().replace("tj_", prefix);
        // The checksum is that of the file, whatever the prefix.
        Migration { sql: AssertSqlSafe(text).into_sql_str(), ..m.clone() }
    };
    let mut migrator = Migrator::with_migrations(of(dialect).iter().map(with_prefix).collect());
    if dialect != Dialect::Sqlite {
        // Several installations may share a database, each with its prefix.
        migrator.dangerous_set_table_name(format!("{prefix}migrations"));
        migrator.set_locking(false);
    }
    migrator
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_database_has_the_same_migrations() {
        let names = |m: &Migrator| m.iter().map(|m| (m.version, m.description.clone())).collect::<Vec<_>>();
        assert_eq!(names(&SQLITE), names(&MYSQL));
        assert_eq!(names(&SQLITE), names(&POSTGRES));
    }
}
