//! What the function refuses to ask: more than one statement, a statement that would end the
//! function's transaction, and anything that names a table of ours. A text can hide a name from
//! us (`EXECUTE 'tj_' || 'jobs'`): the lock is a database user without rights on those tables.

use crate::domain::Text;
use crate::domain::service::DatabaseKind;

/// Ours, in every migration; a test compares.
pub const TABLES: &[&str] = &[
    "tj_system",
    "tj_jobs",
    "tj_job_state",
    "tj_runs",
    "tj_settings",
    "tj_admins",
    "tj_run_counts",
    "tj_tokens",
    "tj_secrets",
    "tj_audit",
];
/// What the tables of the older editions begin with.
const OLD_PREFIX: &str = "xiaohus_";
/// Words that begin or end a transaction, or reach into another SQLite file.
const NOT_FIRST: &[&str] =
    &["attach", "detach", "begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release"];

/// What a query on MySQL may begin with. MariaDB ends a read-only transaction by itself before a DROP
/// TABLE and the like, and obeys; in the other servers read-only is read-only.
const MYSQL_QUERY: &[&str] =
    &["select", "with", "(", "show", "describe", "desc", "explain", "table", "values"];

pub fn check(kind: DatabaseKind, sql: &str, write: bool) -> Result<(), Text> {
    if sql.contains('\0') {
        return Err(Text::new("SQL 含有空字符，请删除", "the statement holds a NUL character; remove it"));
    }
    if let Some(name) = ours(sql) {
        return Err(Text::new(
            format!("SQL 中出现本服务的表 {name}，已拒绝；若只是数据，请用绑定参数传入"),
            format!(
                "the statement names {name}, a table of this server, and is refused; if it is data, bind it as a value"
            ),
        ));
    }
    // PostgreSQL's U&"\0074j_jobs" spells a name in numbers.
    if sql.to_ascii_lowercase().contains("u&\"") {
        return Err(Text::new(
            "不支持 U&\"...\" 形式的标识符，请直接写名称",
            "identifiers in the form U&\"...\" are refused; write the name itself",
        ));
    }
    let statements = statements(kind, sql);
    let [first] = statements.as_slice() else {
        return Err(Text::new(
            "需要恰好一条 SQL 语句；多条语句请分成多个任务",
            "needs exactly one statement; make several jobs of several statements",
        ));
    };
    if NOT_FIRST.contains(&first.as_str()) {
        return Err(Text::new(
            format!("不能执行 {first}：事务由本函数管理，其他文件请另配连接"),
            format!(
                "{first} is refused: the function keeps its own transaction, and another file is a connection of its own"
            ),
        ));
    }
    if kind == DatabaseKind::MySql && !write && !MYSQL_QUERY.contains(&first.as_str()) {
        let known = MYSQL_QUERY.join(", ");
        return Err(Text::new(
            format!("query 只能以这些开头：{known}；修改数据请用 execute"),
            format!("a query begins with one of {known}; use execute to change something"),
        ));
    }
    Ok(())
}

/// A table of ours that the text names anywhere: also in comments and strings, which some servers
/// read as names or code.
fn ours(sql: &str) -> Option<String> {
    let sql = sql.to_ascii_lowercase();
    let in_name = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    sql.split(|c| !in_name(c))
        .find(|word| TABLES.contains(word) || word.starts_with(OLD_PREFIX))
        .map(str::to_owned)
}

/// The first word of each statement in the text, in lower case, or its first character. The servers' own parsers would find
/// the end of a statement too (MySQL and PostgreSQL refuse a second one by themselves); SQLite's
/// driver runs them all.
fn statements(kind: DatabaseKind, sql: &str) -> Vec<String> {
    let mut firsts = Vec::new();
    let mut begun = false;
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        // A byte order mark is a space to SQLite, wherever it stands.
        let space = if c.is_whitespace() || c == '\u{feff}' { c.len_utf8() } else { 0 };
        if let skipped @ 1.. = comment(kind, rest).max(space) {
            rest = &rest[skipped..];
            continue;
        }
        if c == ';' {
            begun = false;
            rest = &rest[1..];
            continue;
        }
        let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !begun {
            begun = true;
            firsts.push(if word.is_empty() { c.to_string() } else { word.to_lowercase() });
        }
        rest = &rest[quoted(kind, rest).max(word.len()).max(c.len_utf8())..];
    }
    firsts
}

/// The length of the comment that the text begins with, 0 when there is none.
fn comment(kind: DatabaseKind, text: &str) -> usize {
    let line = text.find('\n').unwrap_or(text.len());
    if let Some(after) = text.strip_prefix("--") {
        // MySQL wants a space behind the dashes: 5--1 is 6.
        let is_comment = kind != DatabaseKind::MySql || after.chars().next().is_none_or(char::is_whitespace);
        return if is_comment { line } else { 0 };
    }
    if kind == DatabaseKind::MySql && text.starts_with('#') {
        return line;
    }
    // MySQL runs what stands in /*! */ and MariaDB what stands in /*M! */: no comments.
    if !text.starts_with("/*")
        || kind == DatabaseKind::MySql && (text.starts_with("/*!") || text.starts_with("/*M!"))
    {
        return 0;
    }
    let (mut depth, mut at) = (0, 0);
    loop {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") && (depth == 0 || kind == DatabaseKind::Postgres) {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else if rest.is_empty() {
            return at;
        } else {
            at += 1;
        }
    }
}

/// The length of the string or quoted name that the text begins with, 0 when there is none; up to
/// the end of the text when it is not closed.
fn quoted(kind: DatabaseKind, text: &str) -> usize {
    let bytes = text.as_bytes();
    // E'..' of PostgreSQL knows escapes by backslash.
    let escapes = kind == DatabaseKind::Postgres && matches!(bytes, [b'e' | b'E', b'\'', ..]);
    let start = usize::from(escapes);
    let close = match bytes[start] {
        quote @ (b'\'' | b'"' | b'`') => quote,
        b'[' if kind == DatabaseKind::Sqlite => b']',
        b'$' if kind == DatabaseKind::Postgres => return dollars(text),
        _ => return 0,
    };
    let backslash = escapes || kind == DatabaseKind::MySql && close != b'`';
    let mut at = start + 1;
    while at < bytes.len() {
        let doubled = bytes[at] == close && bytes.get(at + 1) == Some(&close) && close != b']';
        if doubled || backslash && bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at] == close {
            return at + 1;
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// `$tag$ .. $tag$` of PostgreSQL.
fn dollars(text: &str) -> usize {
    let Some(end) = text[1..].find('$').map(|at| at + 2) else { return 0 };
    let tag = &text[..end];
    if !tag[1..end - 1].chars().all(|c| c.is_alphanumeric() || c == '_') {
        return 0;
    }
    text[end..].find(tag).map_or(text.len(), |at| end + at + tag.len())
}

#[cfg(test)]
mod tests {
    use super::DatabaseKind::{MySql, Postgres, Sqlite};
    use super::*;

    #[test]
    fn the_list_of_our_tables_is_that_of_the_migrations() {
        let mut found = Vec::new();
        for folder in std::fs::read_dir("migrations").unwrap() {
            for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
                for line in text.lines().filter_map(|line| line.trim().strip_prefix("CREATE TABLE ")) {
                    let line = line.trim_start_matches("IF NOT EXISTS ");
                    found.push(line.split([' ', '(']).next().unwrap().trim_matches(['`', '"']).to_owned());
                }
            }
        }
        found.sort();
        found.dedup();
        let mut listed = TABLES.to_vec();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }

    #[test]
    fn our_tables_are_found_however_they_are_written() {
        for sql in [
            "SELECT * FROM tj_jobs",
            "select * from TJ_Runs r",
            "SELECT * FROM \"tj_jobs\"",
            "SELECT * FROM `main`.`tj_runs`",
            "SELECT * FROM [tj_settings]",
            "SELECT * FROM main.tj_jobs",
            "SELECT * FROM 'tj_jobs'",
            "SELECT/**/*/**/FROM/*x*/tj_jobs",
            "/*!50000 DELETE FROM tj_jobs */",
            "SELECT 1 -- tj_jobs",
            "DO $$ BEGIN DELETE FROM tj_jobs; END $$",
            "DROP TABLE xiaohus_jobs",
            "SELECT * FROM shop.`Xiaohus_Job_Logs`",
        ] {
            let en = check(Sqlite, sql, true).unwrap_err().en;
            assert!(en.contains("a table of this server"), "{sql}: {en}");
        }
        for sql in [
            "SELECT * FROM tj_jobs_old",
            "SELECT * FROM my_tj_jobs",
            "SELECT tj FROM jobs",
            "SELECT 天tj_jobs",
        ] {
            assert_eq!(check(Sqlite, sql, true), Ok(()), "{sql}");
        }
        assert!(check(Postgres, r#"SELECT * FROM U&"\0074j_jobs""#, true).is_err());
    }

    #[test]
    fn exactly_one_statement_passes() {
        for (kind, sql) in [
            (Sqlite, "SELECT 'a;b', \";\", `;`, [;] -- ;\n; /* ; */ ;"),
            (Sqlite, "SELECT 'it''s; fine'"),
            (Sqlite, r"SELECT 'a\';"),
            (MySql, r"SELECT 'a\'; b'"),
            (MySql, "SELECT 1 # ; x"),
            (Postgres, "SELECT $$a;b$$, $x$;$$;$x$, $1"),
            (Postgres, r"SELECT E'a\'; b'"),
            (Postgres, r"SELECT 'a\'"),
            (Postgres, "/* a /* ; */ ; */ SELECT 1"),
            (Sqlite, "; SELECT 1"),
        ] {
            assert_eq!(check(kind, sql, true), Ok(()), "{kind:?} {sql}");
        }
        for (kind, sql) in [
            (Sqlite, ""),
            (Sqlite, "-- nothing"),
            (Sqlite, "SELECT 1; DELETE FROM t"),
            (Sqlite, r"SELECT 'a\'; DELETE FROM t; --'"),
            (Sqlite, "SELECT 1 /* /* */ ; DELETE FROM t; -- */"),
            (Sqlite, "SELECT 1;\u{a0}x"),
            (MySql, "SELECT 5--1; DELETE FROM t"),
            (MySql, "SELECT 1 /*! ; DELETE FROM t */"),
            (Postgres, "SELECT 'a\\'; DELETE FROM t; --'"),
        ] {
            let en = check(kind, sql, true).unwrap_err().en;
            assert!(en.contains("exactly one"), "{kind:?} {sql}: {en}");
        }
        for sql in [
            "ATTACH 'x' AS y",
            " /* */ attach 'x' as y",
            "; ATTACH'x'AS y",
            "\u{feff}ATTACH 'x' AS y",
            "COMMIT",
            "begin",
            "END",
        ] {
            let en = check(Sqlite, sql, true).unwrap_err().en;
            assert!(en.contains("is refused"), "{sql}: {en}");
        }
    }

    #[test]
    fn a_query_on_mysql_only_reads() {
        for sql in [
            "SELECT 1",
            "(SELECT 1) UNION (SELECT 2)",
            "show tables",
            "-- x\nWITH c AS (SELECT 1) SELECT * FROM c",
        ] {
            assert_eq!(check(MySql, sql, false), Ok(()), "{sql}");
        }
        for sql in
            ["DROP TABLE t", "/*! DROP TABLE t */", "CALL p()", "ANALYZE DELETE FROM t", "SET GLOBAL x = 1"]
        {
            assert!(check(MySql, sql, false).is_err() && check(MySql, sql, true).is_ok(), "{sql}");
        }
    }
}
