//! Secrets in a shell's script: each becomes a variable of the environment, so that no character of a
//! value is read by the shell (what it puts among a program's arguments the list of processes shows). It
//! fills variables in everywhere but in single quotes; there the quotes are closed around it.

use super::{Part, Parts};
use std::fmt::Write;

/// Before the name of a secret, in the environment of a command.
pub const PREFIX: &str = "TJ_SECRET_";

/// The script with `${TJ_SECRET_NAME}` for each secret. A here-document with a quoted end is the one
/// place where nothing can stand for a value.
pub fn with_variables(script: &str) -> String {
    let mut out = String::with_capacity(script.len() + 32);
    let mut place = Place::default();
    for part in Parts(script) {
        match part {
            Part::Secret(name) if place.is_single() => {
                let _ = write!(out, "'\"${{{PREFIX}{name}}}\"'");
            }
            Part::Secret(name) => {
                let _ = write!(out, "${{{PREFIX}{name}}}");
            }
            Part::Broken => out.push_str(super::OPEN),
            Part::Text(text) => {
                place.pass(text);
                out.push_str(text);
            }
        }
    }
    out
}

/// Where in the shell's grammar one stands, as far as quotes go.
#[derive(Debug)]
struct Place {
    /// What is open, the innermost last.
    open: Vec<Open>,
    /// The character before was a backslash that counts.
    escaped: bool,
    /// What came before, to see where a word begins.
    last: char,
    /// The ends of here-documents that begin with the next line.
    awaited: Vec<String>,
    /// The line of a here-document that is being read.
    line: String,
    in_document: bool,
}

impl Default for Place {
    fn default() -> Self {
        let (open, line) = (Vec::new(), String::new());
        Self { open, escaped: false, last: '\n', awaited: Vec::new(), line, in_document: false }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Single,
    Double,
    Parenthesis,
    Comment,
}

impl Place {
    fn is_single(&self) -> bool {
        self.open.last() == Some(&Open::Single)
    }

    fn pass(&mut self, text: &str) {
        for (at, c) in text.char_indices() {
            self.step(c, &text[at..]);
            self.last = c;
        }
    }

    fn step(&mut self, c: char, rest: &str) {
        if self.in_document {
            return self.document(c);
        }
        if std::mem::take(&mut self.escaped) {
            return;
        }
        match (self.open.last(), c) {
            (Some(Open::Single), '\'') | (Some(Open::Double), '"') | (Some(Open::Parenthesis), ')') => {
                self.open.pop();
            }
            (Some(Open::Single), _) => {}
            (Some(Open::Comment), '\n') => {
                self.open.pop();
            }
            (Some(Open::Comment), _) => {}
            (_, '\\') => self.escaped = true,
            (Some(Open::Double), '(') if self.last == '$' => self.open.push(Open::Parenthesis),
            (Some(Open::Double), _) => {}
            (_, '\'') => self.open.push(Open::Single),
            (_, '"') => self.open.push(Open::Double),
            (_, '(') => self.open.push(Open::Parenthesis),
            (_, '#') if self.last.is_whitespace() || ";&|(".contains(self.last) => {
                self.open.push(Open::Comment);
            }
            (_, '<') if rest.starts_with("<<") && !rest.starts_with("<<<") && self.last != '<' => {
                self.awaited.extend(end_of_document(&rest[2..]));
            }
            _ => {}
        }
        // A quote goes on over the end of a line, and then no document begins.
        if c == '\n'
            && !self.awaited.is_empty()
            && !matches!(self.open.last(), Some(Open::Single | Open::Double))
        {
            self.in_document = true;
            self.line.clear();
        }
    }

    /// Quotes mean nothing in a here-document.
    fn document(&mut self, c: char) {
        if c != '\n' {
            self.line.push(c);
            return;
        }
        if self.awaited.first().is_some_and(|end| self.line.trim_start_matches('\t') == end) {
            self.awaited.remove(0);
            self.in_document = !self.awaited.is_empty();
        }
        self.line.clear();
    }
}

/// The line that ends a here-document, from what follows `<<`.
fn end_of_document(rest: &str) -> Option<String> {
    let rest = rest.strip_prefix('-').unwrap_or(rest).trim_start_matches([' ', '\t']);
    let mut quote = None;
    let mut word = String::new();
    for c in rest.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if "'\"".contains(c) => quote = Some(c),
            None if c == '\\' => {}
            None if c.is_whitespace() || ";&|<>()".contains(c) => break,
            _ => word.push(c),
        }
    }
    (!word.is_empty()).then_some(word)
}
