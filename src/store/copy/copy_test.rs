//! Systems with odd data on their way through the databases, and copies that must not be.

use super::super::store_test::{add, fresh, fresh_file, write};
use super::super::testing::{Place, fresh_of};
use super::super::totals_test::counts_match;
use super::super::{JobWrite, ServerKind};
use super::page::ROWS;
use super::tables::Kind;
use super::*;
use crate::store::sql::{Arg, Dialect};
use tokio::sync::Notify;

const MIB: usize = 1 << 20;

/// Quotes, other scripts, four-byte characters, what looks like a placeholder, and nothing.
const TEXTS: &[&str] =
    &["", "it's \"quoted\" \\ back`", "定时任务", "🦀👩‍👩‍👧 é", "100% ? $1 tj_jobs\r\n\t", " space "];

/// Some of the columns that may be empty, and all that MySQL keeps short.
const NULLABLE: &[&str] = &["stop_reason", "reason", "error", "result", "stdout", "func_name"];
const SHORT: &[&str] = &[
    "trigger_type",
    "mode",
    "misfire_policy",
    "recovery",
    "source",
    "outcome",
    "role",
    "stop_reason",
    "reason",
];

fn table(name: &str) -> &'static Table {
    TABLES.iter().find(|table| table.name == name).unwrap()
}

/// A row whose columns hold what `n` leads to.
fn row(table: &Table, id: i64, n: usize) -> Vec<Arg> {
    let value = |(i, (name, kind)): (usize, &(&str, Kind))| match (*kind, *name) {
        (Kind::Int, name) if name == table.key => id.into(),
        (Kind::Int, "job_id") if id < 1 => (5_000 - id.max(-9)).into(),
        (Kind::Int, "job_id") => id.into(),
        (Kind::Int, "fire_ms" | "pid" | "exit_code" | "last_run_ms" | "last_login_ms") if n % 3 == 1 => {
            Arg::Int(None)
        }
        (Kind::Int, _) => [0, -1, i64::MAX, i64::MIN, 1_767_600_000_000][(n + i) % 5].into(),
        (Kind::Bool, _) => Arg::Bool((n + i).is_multiple_of(2)),
        (Kind::Text, "name" | "username") => format!("{} {id}", TEXTS[n % TEXTS.len()]).into(),
        (Kind::Text, name) if n % 3 == 1 && NULLABLE.contains(&name) => Arg::Text(None),
        (Kind::Text, name) if SHORT.contains(&name) => format!("{i}").into(),
        (Kind::Text, _) => TEXTS[(n + i) % TEXTS.len()].into(),
    };
    table.columns.iter().enumerate().map(value).collect()
}

async fn fill(store: &Store, name: &str, ids: impl Iterator<Item = i64>) {
    let table = table(name);
    let rows: Vec<_> = ids.enumerate().map(|(n, id)| row(table, id, n)).collect();
    for rows in rows.chunks(ROWS) {
        page::write(&store.write, table, rows.to_vec()).await.unwrap();
    }
}

/// A system in a file, with thousands of runs and a job 40 that was deleted.
async fn system() -> (Store, Place) {
    let (store, place) = fresh_file().await;
    fill(&store, "tj_jobs", (1..=23).chain([40])).await;
    store.raw("DELETE FROM tj_jobs WHERE id = 40").await;
    fill(&store, "tj_job_state", 1..=23).await;
    fill(&store, "tj_admins", [7, 9].into_iter()).await;
    fill(&store, "tj_runs", (1..=3_000).chain([i64::MIN, -1, 0, i64::MAX])).await;
    for id in 100..106 {
        let (large, crabs) = ("x".repeat(MIB), "🦀".repeat(MIB / 4));
        let text = "UPDATE tj_runs SET stdout = ?, stderr = ?, http_resp = ? WHERE id = ?";
        let sql = Sql::new(text).bind(large.as_str()).bind(crabs).bind(large.as_str()).bind(id);
        store.write.execute(&sql).await.unwrap();
    }
    for name in ["b", "B", "ä", "_", "imported"] {
        store.save_setting(name, &json!({"list": ["10.0.0.0/8", null, "🦀"]}), None).await.unwrap();
    }
    let text = "UPDATE tj_system SET clock_epoch = 3, last_seen_ms = 1767600000000, log_bytes = 12345";
    store.raw(text).await;
    (store, place)
}

/// Every value of a file, byte for byte.
async fn dump(store: &Store) -> Vec<String> {
    let mut out = Vec::new();
    for table in TABLES {
        let values: Vec<_> =
            table.names().iter().map(|name| format!("typeof({name}) || ':' || hex({name})")).collect();
        let text =
            format!("SELECT {} FROM {} ORDER BY {}", values.join(" || ' ' || "), table.name, table.key);
        let rows: Vec<(String,)> = store.write.fetch(&Sql::new(text)).await.unwrap();
        out.extend(rows.into_iter().map(|(row,)| format!("{} {row}", table.name)));
    }
    out
}

async fn copy(from: &Store, to: &Store) -> Copied {
    let copied = from.copy_into(to, |_| {}).await.unwrap();
    assert!(copied.is_whole(), "{copied:?}");
    assert!(!to.copy_unfinished().await.unwrap());
    copied
}

/// By way of each server when one is tested, each in its turn the first; else from file to file.
#[tokio::test]
async fn a_system_comes_back_from_its_way_through_the_databases_as_it_was() {
    let (first, _kept) = system().await;
    let way: &[_] = match first_of_way() {
        None => &[],
        Some(ServerKind::MySql) => &[ServerKind::MySql, ServerKind::Postgres],
        Some(ServerKind::Postgres) => &[ServerKind::Postgres, ServerKind::MySql],
    };
    let mut stores = vec![first.clone()];
    let mut places = Vec::new();
    for kind in way.iter().copied().map(Some).chain([None, None]) {
        let (store, place) = fresh_of(kind).await;
        let copied = copy(stores.last().unwrap(), &store).await;
        assert_eq!(copied.tables.last().unwrap().rows, (3_004, 3_004));
        counts_match(&store).await;
        assert_eq!(copied.replaced(), 0);
        stores.push(store);
        places.push(place);
    }
    let (before, after) = (dump(&first).await, dump(stores.last().unwrap()).await);
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after, "{}\n{}", &before[..before.len().min(900)], &after[..after.len().min(900)]);
    }
    // Not even the number of the job that was deleted is given again.
    for store in &stores {
        assert_eq!(add(store, "the next").await.id.0, 41, "{}", store.place);
    }
}

fn first_of_way() -> Option<ServerKind> {
    match std::env::var("TEST_STORE").as_deref() {
        Ok("mysql") => Some(ServerKind::MySql),
        Ok("postgres") => Some(ServerKind::Postgres),
        _ => None,
    }
}

#[tokio::test]
async fn characters_that_postgres_cannot_hold_are_counted() {
    let ((from, _a), (to, _b)) = (fresh_file().await, fresh().await);
    fill(&from, "tj_runs", 1..=3).await;
    let sql = Sql::new("UPDATE tj_runs SET stdout = ?, command = ? WHERE id = 2");
    from.write.execute(&sql.bind("a\0b\0").bind("\0")).await.unwrap();
    let copied = copy(&from, &to).await;
    let text: Option<(String, String)> =
        to.read.first(&Sql::new("SELECT stdout, command FROM tj_runs WHERE id = 2")).await.unwrap();
    let text = text.unwrap();
    if to.dialect() == Dialect::Postgres {
        assert_eq!(
            (copied.replaced(), text.0.as_str(), text.1.as_str()),
            (3, "a\u{fffd}b\u{fffd}", "\u{fffd}")
        );
    } else {
        assert_eq!((copied.replaced(), text.0.as_str(), text.1.as_str()), (0, "a\0b\0", "\0"));
    }
}

#[tokio::test]
async fn a_copy_that_broke_off_is_no_system_until_it_was_started_over() {
    let ((from, _a), (to, _b)) = (system().await, fresh().await);
    let stop = Notify::new();
    let broken = from.copy_into(&to, |progress| {
        if progress.table == "runs" && progress.done >= 1_000 {
            stop.notify_one();
        }
    });
    tokio::select! {
        biased;
        () = stop.notified() => {}
        done = broken => panic!("{done:?}"),
    }
    let there = to.raw_number("SELECT count(*) FROM tj_runs").await;
    assert!((1_000..3_004).contains(&there), "{there}");
    assert!(to.copy_unfinished().await.unwrap());
    // It is not copied on either.
    let (other, _c) = fresh_file().await;
    let refused = to.copy_into(&other, |_| {}).await.unwrap_err().to_string();
    assert!(refused.contains("a copy into it broke off") && !other.copy_unfinished().await.unwrap());

    assert_eq!(copy(&from, &to).await.tables.last().unwrap().rows, (3_004, 3_004));
    assert_eq!(to.system().await.unwrap().instance, from.system().await.unwrap().instance);
}

#[tokio::test]
async fn a_database_that_holds_something_is_left_alone() {
    let ((from, _a), (to, _b)) = (fresh_file().await, fresh().await);
    add(&from, "new").await;
    let old = add(&to, "old").await;
    let refused = from.copy_into(&to, |_| {}).await.unwrap_err().to_string();
    assert!(refused.contains("holds jobs already"), "{refused}");
    write(&to, vec![JobWrite::Delete { id: old.id, with_runs: true, version: None }]).await;
    to.save_setting("lists", &json!([]), None).await.unwrap();
    let refused = from.copy_into(&to, |_| {}).await.unwrap_err().to_string();
    assert!(refused.contains("holds settings already"), "{refused}");
    assert!(!to.copy_unfinished().await.unwrap());
    assert_eq!(to.setting("lists").await.unwrap(), json!([]));
}

#[tokio::test]
async fn a_difference_is_named_and_no_server_starts_on_it() {
    let ((from, _a), (to, _b)) = (fresh_file().await, fresh_file().await);
    fill(&from, "tj_runs", 1..=10).await;
    to.raw(
        "CREATE TRIGGER shorter AFTER INSERT ON tj_runs WHEN new.id = 3 BEGIN \
         UPDATE tj_runs SET stdout = 'less', pid = NULL WHERE id = new.id; END",
    )
    .await;
    let copied = from.copy_into(&to, |_| {}).await.unwrap();
    let runs = copied.tables.last().unwrap();
    assert_eq!((runs.rows, runs.differs.as_slice()), ((10, 10), &["pid", "stdout"][..]));
    assert!(!copied.is_whole() && to.copy_unfinished().await.unwrap());
    to.raw("DROP TRIGGER shorter").await;
    copy(&from, &to).await;
}

/// What is in memory at a time, and what a server is sent at once.
#[tokio::test]
async fn pages_are_bounded_by_rows_and_by_bytes() {
    let (store, _place) = fresh_file().await;
    fill(&store, "tj_runs", 1..=1_201).await;
    let text = "UPDATE tj_runs SET stdout = ? WHERE id BETWEEN 601 AND 610";
    store.write.execute(&Sql::new(text).bind("x".repeat(MIB))).await.unwrap();
    let ends = page::ends(&store.read, table("tj_runs"), None).await.unwrap();
    let ends: Vec<_> =
        ends.iter().map(|end| if let Arg::Int(Some(id)) = end { *id } else { panic!("{end:?}") }).collect();
    assert_eq!(ends[..2], [500, 601]);
    assert_eq!(ends[2..ends.len() - 1].iter().filter(|id| (602..=609).contains(*id)).count(), 8);
    assert_eq!(ends.last(), Some(&1_201));
    let widest = TABLES.iter().map(|table| table.columns.len()).max().unwrap();
    assert!(ROWS * widest <= 32_766, "SQLite takes no more parameters");
}

/// A migration that adds a table or a column fails here until the copy knows it.
#[tokio::test]
async fn every_column_of_every_table_is_copied() {
    let (store, _place) = fresh().await;
    let text = match store.dialect() {
        Dialect::Sqlite => {
            "SELECT m.name, c.name, c.type FROM sqlite_master AS m, pragma_table_info(m.name) AS c \
             WHERE m.type = 'table' AND m.name LIKE 'tj\\_%' ESCAPE '\\' ORDER BY m.name, c.cid"
        }
        Dialect::MySql => {
            "SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR), CAST(column_type AS CHAR) \
             FROM information_schema.columns WHERE table_schema = database() AND left(table_name, 3) = 'tj_' \
             ORDER BY table_name, ordinal_position"
        }
        Dialect::Postgres => {
            "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT), CAST(data_type AS TEXT) \
             FROM information_schema.columns \
             WHERE table_schema = current_schema() AND left(table_name, 3) = 'tj_' \
             ORDER BY table_name, ordinal_position"
        }
    };
    // The prefix of a test's tables has another length.
    let prefix = store.read.prefix().to_owned();
    let text = text.replace("left(table_name, 3)", &format!("left(table_name, {})", prefix.len()));
    let found: Vec<(String, String, String)> = store.read.fetch(&Sql::new(text)).await.unwrap();
    let mut found: Vec<_> = found
        .into_iter()
        // The counts are made anew.
        .filter(|(table, ..)| !table.ends_with("migrations") && !table.ends_with("run_counts"))
        .map(|(table, column, kind)| {
            let kind = kind.to_lowercase();
            let kind = match kind.as_str() {
                "tinyint(1)" | "boolean" => "bool",
                kind if kind.contains("int") => "int",
                kind if kind.contains("text") || kind.contains("char") => "text",
                kind => panic!("{table}.{column}: {kind}"),
            };
            (table.replacen(&prefix, "tj_", 1), column, kind)
        })
        .collect();
    let kind = |kind| match (kind, store.dialect()) {
        (Kind::Text, _) => "text",
        (Kind::Int, _) | (Kind::Bool, Dialect::Sqlite) => "int",
        (Kind::Bool, _) => "bool",
    };
    let column = |table: &Table, (name, of): &(&str, Kind)| (table.name.into(), (*name).into(), kind(*of));
    let mut listed: Vec<(String, String, &str)> = TABLES
        .iter()
        .flat_map(|table| table.columns.iter().map(move |of| (table, of)))
        .map(|(table, of)| column(table, of))
        .collect();
    found.sort();
    listed.sort();
    assert_eq!(found, listed);
}
