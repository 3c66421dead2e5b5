//! A message in both languages, and the error that names a field. It does not choose the
//! language: the API does, from the request.

use serde::Serialize;
use std::borrow::Cow;
use std::fmt;

/// One message for a person, in Chinese and in English.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Text {
    pub zh: String,
    pub en: String,
}

impl Text {
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into() }
    }
}

/// The log and the command line speak English.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.en)
    }
}

/// A bad input: which field, what is wrong with it and how to mend it.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    pub field: Cow<'static, str>,
    pub message: Text,
    /// The value as it was given, for the client to show beside the message.
    pub value: serde_json::Value,
}

impl FieldError {
    pub fn new(
        field: impl Into<Cow<'static, str>>,
        message: Text,
        value: impl Into<serde_json::Value>,
    ) -> Self {
        Self { field: field.into(), message, value: value.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}
