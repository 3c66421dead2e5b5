//! What needs a database server; one that cannot be reached fails the test.

use super::*;

#[path = "database_broken_test.rs"]
mod broken;

#[tokio::test]
async fn postgres_conforms() {
    conforms(&pg(), &unique("conform"), ["$1", "$2"]).await;
}

#[tokio::test]
async fn mysql_conforms() {
    conforms(&my(), &unique("conform"), ["?", "?"]).await;
}

#[tokio::test]
async fn values_of_postgres() {
    let sql = r#"query,SELECT NULL AS a, 9007199254740993 AS b, 1.5::float8 AS c, 12345678901234567890.000000000123::numeric AS d,
        true AS e, '2026-01-02 03:04:05.678'::timestamp AS f, '2026-01-02 03:04:05+08'::timestamptz AS g,
        '2026-01-02'::date AS h, '\x00ff'::bytea AS i, 'NaN'::float8 AS j, ARRAY[1,2] AS k, '{"x": 1}'::jsonb AS l,
        '1 day'::interval AS m, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS n, '10.0.0.1'::inet AS o, 0.1::float4 AS p"#;
    assert_eq!(
        rows(&pg(), sql).await,
        json!([{"a": null, "b": 9_007_199_254_740_993_i64, "c": 1.5, "d": "12345678901234567890.000000000123",
                "e": true, "f": "2026-01-02T03:04:05.678", "g": "2026-01-01T19:04:05+00", "h": "2026-01-02",
                "i": "AP8=", "j": "NaN", "k": "{1,2}", "l": "{\"x\": 1}", "m": "1 day",
                "n": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "o": "10.0.0.1", "p": 0.1}])
    );
    let raw = json!([
        "query",
        "SELECT $1::timestamptz AS t, $2::int AS n, $3::bool AS b, $4::text AS x, $5::numeric AS d",
        ["2026-01-02T00:00:00Z", 7, true, null, 1.25]
    ]);
    assert_eq!(
        rows(&pg(), &raw.to_string()).await,
        json!([{"t": "2026-01-02T00:00:00+00", "n": 7, "b": true, "x": null, "d": "1.25"}])
    );
}

#[tokio::test]
async fn values_of_mysql() {
    let table = unique("values");
    let my = my();
    done(
        &my,
        &format!(
            "execute,CREATE TABLE {table} (a INT, b BIGINT UNSIGNED, c FLOAT, d DECIMAL(30,10), e BOOLEAN, f DATETIME(3), \
             g DATE, h TIME, i BLOB, j DOUBLE, k YEAR, l TEXT, m DATETIME, n ENUM('x','y'), o BIT(4), p VARBINARY(4))"
        ),
    )
    .await;
    done(
        &my,
        &format!(
            "execute,INSERT INTO {table} VALUES (NULL, 18446744073709551615, 0.1, 12345678901234567890.1234567891, TRUE, \
             '2026-01-02 03:04:05.678', '2026-01-02', '-26:00:01', x'00ff', 1.5, 2026, '中', '2026-01-02', 'y', b'101', x'ff')"
        ),
    )
    .await;
    assert_eq!(
        rows(&my, &format!("query,SELECT * FROM {table}")).await,
        json!([{"a": null, "b": u64::MAX, "c": 0.1, "d": "12345678901234567890.1234567891", "e": true,
                "f": "2026-01-02T03:04:05.678000", "g": "2026-01-02", "h": "-26:00:01", "i": "AP8=", "j": 1.5,
                "k": 2026, "l": "中", "m": "2026-01-02T00:00:00", "n": "y", "o": 5, "p": "/w=="}])
    );
    done(&my, &format!("execute,DROP TABLE {table}")).await;
}

#[tokio::test]
async fn what_is_cut_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let lite = lite(&file(dir.path()).await);
    let series = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1000000000) SELECT n FROM c";
    for (settings, sql) in [
        (&lite, series.to_owned()),
        (&pg(), "SELECT generate_series(1, 1000000000) AS n".into()),
        (&my(), "SELECT seq AS n FROM seq_1_to_1000000000".into()),
    ] {
        let report = go(settings, &format!("query,{sql}")).await;
        assert_eq!(report.result.as_deref(), Some("1000 rows, cut: there are more"), "{:?}", report.error);
        let (array, mark) = report.stdout.rsplit_once('\n').unwrap();
        assert_eq!(serde_json::from_str::<Value>(array).unwrap()[999], json!({"n": 1000}));
        assert!(mark.contains("more rows than these 1000"), "{mark}");
    }
    assert_eq!(done(&lite, "query,SELECT 1 WHERE 0").await, "0 rows");
    let ctx = Context { output_limit: 1_000, ..context() };
    let report = go_in(&lite, &format!("query,{series}"), &ctx).await;
    assert!(report.stdout.len() <= 1_000 && report.stdout.contains("--- cut"), "{}", report.stdout);
}

#[tokio::test]
async fn a_cancelled_statement_stops_in_postgres() {
    let mark = unique("endless");
    let ctx = context();
    let mut db = sqlx::PgConnection::connect(&postgres_url()).await.unwrap();
    let raw = format!("query,SELECT pg_sleep(3000) AS {mark}");
    // Asleep, and not only being parsed: until then there is nothing to stop.
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%{mark}%'"
    );
    let count = async |db: &mut sqlx::PgConnection, wanted: i64| {
        while sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql.clone())).fetch_one(&mut *db).await.unwrap()
            != wanted
        {
            tokio::task::yield_now().await;
        }
    };
    let watch = async {
        count(&mut db, 1).await;
        ctx.cancel.cancel();
    };
    let settings = pg();
    let (report, ()) = tokio::join!(go_in(&settings, &raw, &ctx), watch);
    assert_eq!(report.outcome, Outcome::Cancelled);
    count(&mut db, 0).await;
}

#[tokio::test]
async fn a_cancelled_statement_stops_in_mysql() {
    let mark = unique("endless");
    let ctx = context();
    let mut db = sqlx::MySqlConnection::connect(&mysql_url()).await.unwrap();
    let raw = format!("query,SELECT SLEEP(3000) AS {mark}");
    let sql = format!(
        "SELECT count(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND info LIKE '%{mark}%'"
    );
    let count = async |db: &mut sqlx::MySqlConnection, wanted: i64| {
        while sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql.clone())).fetch_one(&mut *db).await.unwrap()
            != wanted
        {
            tokio::task::yield_now().await;
        }
    };
    let watch = async {
        count(&mut db, 1).await;
        ctx.cancel.cancel();
    };
    let settings = my();
    let (report, ()) = tokio::join!(go_in(&settings, &raw, &ctx), watch);
    assert_eq!(report.outcome, Outcome::Cancelled);
    count(&mut db, 0).await;
}

#[tokio::test]
async fn connections_are_chosen_by_name_and_passwords_stay_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path()).await;
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let databases = vec![
        connection("lite", DatabaseKind::Sqlite, path.to_str().unwrap()),
        connection("dead", DatabaseKind::Postgres, &format!("postgres://u:hunter2@{dead}/x")),
        connection("wrong", DatabaseKind::MySql, "mysql://nobody:hunter2@127.0.0.1:3306/test"),
        connection("none", DatabaseKind::Sqlite, "/no/such/file.db"),
    ];
    let settings = Settings { databases, ..Settings::default() };
    assert_eq!(rows(&settings, "query@lite,SELECT 1 AS n").await, json!([{"n": 1}]));
    assert_eq!(rows(&settings, "query,SELECT 1 AS n").await, json!([{"n": 1}]));
    for (raw, part) in [
        ("query@dead,SELECT 1", "check functions.databases"),
        ("query@wrong,SELECT 1", "Access denied"),
        ("query@none,SELECT 1", "unable to open"),
        ("query@shop,SELECT 1", "functions.databases has lite, dead, wrong, none"),
        ("select,SELECT 1", "neither query nor execute"),
        ("query", "argument 2"),
        (r#"["query","SELECT 1",5]"#, "must be an array"),
    ] {
        let en = error(&settings, raw).await;
        assert!(en.contains(part) && !en.contains("hunter2"), "{raw}: {en}");
    }
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!(error(&Settings::default(), "query,SELECT 1").await.contains("set functions.databases"));
}
