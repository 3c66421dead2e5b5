//! Whatever is sent, the server answers in its envelope and goes on. The bodies come from a
//! generator with a fixed seed, so that a failure can be repeated.

use super::{FORM, JSON, post};
use crate::support::TestApp;
use serde_json::{Map, Value, json};

const ROUNDS: usize = 300;
const PATHS: [&str; 11] = [
    "/jobs/add",
    "/jobs/edit",
    "/jobs/del",
    "/jobs/run",
    "/jobs/stop",
    "/jobs/restart",
    "/jobs/runAll",
    "/jobs/stopAll",
    "/jobs/addAndRun",
    "/jobs/logs",
    "/jobs/checkJob",
];
const FIELDS: [&str; 24] = [
    "id",
    "name",
    "desc",
    "cron_expr",
    "mode",
    "command",
    "state",
    "allow_mode",
    "max_run_count",
    "trigger_type",
    "interval_seconds",
    "timezone",
    "misfire_policy",
    "misfire_window",
    "recovery",
    "remove_task",
    "remove_log",
    "reset_run_count",
    "page",
    "size",
    "limit",
    "date",
    "order",
    "unknown",
];
/// `command` is not among the modes: nothing of this may reach a shell.
const TEXTS: [&str; 44] = [
    "",
    " ",
    "0",
    "-1",
    "1",
    "2",
    "1e9",
    "NaN",
    "true",
    "null",
    "http",
    "func",
    "function",
    "Test",
    "Echo a,\"b",
    "【name】Echo\n【arg】[",
    "【】",
    "【name】",
    "【url】\0",
    "@daily",
    "@every 1ns",
    "@every 99999999h",
    "0 0 1 1 *",
    "* * * * * *",
    "*/59 */23 31 12 7",
    "0 0 29 2 1#5",
    "L L L L L",
    "9999999999-9999999999999 * * * *",
    "UTC",
    "Asia/Shanghai",
    "../../etc/passwd",
    "cron",
    "interval",
    "fire_all",
    "rerun",
    "2026-01-05",
    "+262142-12-31",
    "-262143-01-01",
    "9999-12-31",
    "asc",
    "'; DROP TABLE tj_jobs; --",
    "\u{202e}\u{feff}\u{0}",
    "🕐🕑",
    "http://[::1",
];

/// splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn text(&mut self) -> String {
        match self.roll(10) {
            0 => TEXTS[self.roll(TEXTS.len())].repeat(self.roll(60)),
            1 => {
                (0..self.roll(30)).map(|_| char::from_u32(self.roll(0x3000) as u32).unwrap_or('x')).collect()
            }
            _ => TEXTS[self.roll(TEXTS.len())].to_owned(),
        }
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.roll(if depth > 3 { 10 } else { 12 }) {
            0 => Value::Null,
            1 => self.roll(2).eq(&0).into(),
            2 => (self.roll(5) as i64 - 1).into(),
            3 => json!([i64::MIN, i64::MAX, 0, 1_000_000_000_000_i64][self.roll(4)]),
            4 => json!([u64::MAX, 1 << 53][self.roll(2)]),
            5 => json!([0.5, -0.0, 1e308, 1e-308][self.roll(4)]),
            6..10 => self.text().into(),
            10 => (0..self.roll(4)).map(|_| self.value(depth + 1)).collect(),
            _ => Value::Object((0..self.roll(4)).map(|_| (self.text(), self.value(depth + 1))).collect()),
        }
    }

    /// A job that is good but for what is laid over it.
    fn fields(&mut self) -> Map<String, Value> {
        let mut fields = Map::new();
        if self.roll(2) == 0 {
            let name = format!("job {}", self.roll(40));
            let good = json!({"id": 1 + self.roll(30), "name": name, "cron_expr": "@yearly", "mode": "func", "command": "Test"});
            fields.extend(good.as_object().unwrap().clone());
        }
        for _ in 0..self.roll(6) {
            fields.insert(FIELDS[self.roll(FIELDS.len())].to_owned(), self.value(0));
        }
        fields
    }

    /// A content type and a body.
    fn body(&mut self) -> (&'static str, Vec<u8>) {
        let kind = [JSON, JSON, JSON, FORM, "text/plain", "", "application/xml", "multipart/form-data"]
            [self.roll(8)];
        let fields = self.fields();
        let mut body = if kind == FORM {
            let pairs = fields.iter().map(|(name, value)| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                format!("{name}={}", text.replace('%', "%25").replace('&', "%26").replace('+', "%2B"))
            });
            pairs.collect::<Vec<_>>().join("&").into_bytes()
        } else {
            Value::Object(fields).to_string().into_bytes()
        };
        match self.roll(8) {
            0 => body.truncate(self.roll(body.len() + 1)),
            1 if !body.is_empty() => {
                let at = self.roll(body.len());
                body[at] = self.roll(256) as u8;
            }
            2 => body = (0..self.roll(200)).map(|_| self.roll(256) as u8).collect(),
            _ => {}
        }
        (kind, body)
    }
}

#[tokio::test]
async fn no_body_brings_the_server_down() {
    let app = TestApp::start().await;
    let mut dice = Dice(20_260_105);
    let mut seen = std::collections::BTreeMap::new();
    for round in 0..ROUNDS {
        for path in PATHS {
            let (kind, body) = dice.body();
            let query = if dice.roll(4) == 0 { "?id=1&page=%FF&size=%00" } else { "" };
            let request =
                post(&app, &format!("{path}{query}")).header("Content-Type", kind).body(body.clone());
            let shown = format!("round {round}: {path}{query} {kind} {}", String::from_utf8_lossy(&body));
            let answer = request.send().await.unwrap_or_else(|e| panic!("{e}: {shown}"));
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap();
            let answer: Value =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}: {shown}"));
            assert_eq!(status, 200, "{answer} {shown}");
            let code = answer["code"].as_u64().unwrap();
            assert!([200, 400, 404, 409, 422].contains(&code), "{answer} {shown}");
            *seen.entry((path, code)).or_insert(0) += 1;
        }
    }
    assert_eq!(app.get("/health").await["status"], "ok");
    let list = app.get("/jobs/list?size=1000").await;
    assert_eq!(list["code"], 200);
    // The generator reaches the business, not only the checks in front of it.
    for path in PATHS {
        assert!(seen.contains_key(&(path, 200)), "{path} never succeeded: {seen:?}");
    }
    for wanted in [("/jobs/add", 409), ("/jobs/add", 422), ("/jobs/edit", 404), ("/jobs/edit", 422)] {
        assert!(seen.contains_key(&wanted), "{wanted:?} never came: {seen:?}");
    }
    // What it stored can be read by a server that starts on it.
    app.shut_down().await.start_again().await.get("/jobs/list").await;
}

#[tokio::test]
async fn no_query_string_brings_the_server_down() {
    let app = TestApp::start().await;
    let mut dice = Dice(8);
    let paths =
        ["/jobs/list", "/jobs/read", "/jobs/execs", "/jobs/scheduler", "/jobs/functions", "/jobs/jobState"];
    for round in 0..ROUNDS {
        for path in paths {
            let names = ["id", "exec_id", "page", "size", "name", "state", "mode", "date"];
            let pairs: Vec<_> =
                (0..dice.roll(5)).map(|_| (names[dice.roll(names.len())], dice.text())).collect();
            let request = super::get(
                &app,
                &format!("{path}?{}", super::encoded(pairs.iter().map(|(name, text)| (name, text)))),
            );
            let (status, answer) = super::send(request).await;
            assert_eq!(status, 200, "round {round}: {path} {pairs:?} {answer}");
            let code = answer["code"].as_u64().unwrap();
            assert!([200, 404, 422].contains(&code), "round {round}: {path} {pairs:?} {answer}");
        }
    }
}
