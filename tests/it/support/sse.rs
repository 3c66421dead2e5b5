//! Reads server-sent events.

use super::TestApp;
use serde_json::{Value, json};

/// A stream of events, read one by one.
pub struct Events {
    answer: reqwest::Response,
    rest: Vec<u8>,
}

impl Events {
    /// Of a run's output.
    pub async fn of(app: &TestApp, run: &str) -> Self {
        Self::at(app, &format!("/api/v1/runs/{run}/live")).await
    }

    /// Of the stream at this path.
    pub async fn at(app: &TestApp, path: &str) -> Self {
        Self::from(app.http.get(format!("{}{path}", app.url))).await
    }

    pub async fn from(request: reqwest::RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, rest: Vec::new() }
    }

    /// The next event's name and data; `None`: the stream has ended.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(at) = self.rest.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.rest.drain(..at + 2).collect();
                let block = String::from_utf8(block).unwrap();
                let field = |name| block.lines().find_map(|line| line.strip_prefix(name));
                let data = serde_json::from_str(field("data: ").unwrap()).unwrap();
                return Some((field("event: ").unwrap().to_owned(), data));
            }
            self.rest.extend(self.answer.chunk().await.unwrap()?);
        }
    }

    /// The next text of stdout.
    pub async fn text(&mut self) -> String {
        let (name, data) = self.next().await.unwrap();
        assert_eq!((name.as_str(), &data["stream"]), ("output", &json!("stdout")), "{data}");
        data["text"].as_str().unwrap().to_owned()
    }

    /// The last event; nothing follows it.
    pub async fn ended(&mut self) -> Value {
        let (name, data) = self.next().await.unwrap();
        assert_eq!(name, "ended", "{data}");
        assert_eq!(self.next().await, None);
        data
    }
}
