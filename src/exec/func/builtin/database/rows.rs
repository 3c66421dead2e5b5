//! Rows on their way to JSON: an array of objects, a row a line, bounded in rows and bytes. A cut
//! is marked behind the array and in the result.

use super::Output;
use base64::Engine;
use serde_json::{Map, Number, Value};

/// A longer blob is told by its size.
const BLOB_MAX: usize = 4 << 10;
/// Room for the brackets and the line that marks a cut.
const MARK_ROOM: usize = 160;

pub struct Rows {
    text: String,
    count: usize,
    most: usize,
    bytes: usize,
    cut: bool,
}

impl Rows {
    pub fn new(most: usize, bytes: usize) -> Self {
        Self { text: String::new(), count: 0, most, bytes: bytes.saturating_sub(MARK_ROOM), cut: false }
    }

    /// Takes the next row; `false` when nothing more is wanted.
    pub fn push<'a>(&mut self, columns: impl Iterator<Item = (&'a str, Value)>) -> bool {
        if self.cut || self.count == self.most {
            self.cut = true;
            return false;
        }
        let mut row = Map::new();
        for (name, value) in columns {
            let mut key = name.to_owned();
            let mut n = 2;
            // Two columns of a join may have one name.
            while row.contains_key(&key) {
                key = format!("{name}_{n}");
                n += 1;
            }
            row.insert(key, value);
        }
        let line = Value::Object(row).to_string();
        if self.text.len() + line.len() + 2 > self.bytes {
            self.cut = true;
            return false;
        }
        self.text += if self.count == 0 { "" } else { ",\n" };
        self.text += &line;
        self.count += 1;
        true
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0 && !self.cut
    }

    pub fn output(self) -> Output {
        let count = self.count;
        let mut stdout = format!("[{}]", self.text);
        let mut result = format!("{count} rows");
        if self.cut {
            stdout += &format!(
                "\n--- cut: there are more rows than these {count} / 结果已截断，只显示 {count} 行 ---"
            );
            result += ", cut: there are more";
        }
        Output { stdout, result }
    }
}

pub fn blob(bytes: &[u8]) -> Value {
    if bytes.len() > BLOB_MAX {
        return Value::from(format!("<{} bytes>", bytes.len()));
    }
    Value::from(base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// A number, or its text where JSON has none.
pub fn float(number: f64) -> Value {
    Number::from_f64(number).map_or_else(|| Value::from(number.to_string()), Value::Number)
}
