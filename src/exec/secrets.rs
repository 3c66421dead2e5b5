//! The secrets that one run is given, and how they are kept out of all that it leaves: output while it
//! comes, bodies of responses, results, errors. Where they come from the engine knows.

use crate::domain::run::Report;
use crate::domain::secret::{self, Values};
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// What stands for a secret.
const STARS: &str = "***";

/// What one run may use. A clone shares it.
#[derive(Clone, Default)]
pub struct Secrets(Option<Arc<Given>>);

struct Given {
    values: Values,
    mask: Mask,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values().into_iter().flat_map(Values::keys)).finish()
    }
}

impl Secrets {
    pub fn new(values: Values) -> Self {
        let mask = Mask::of(values.values());
        Self(mask.map(|mask| Arc::new(Given { values, mask })))
    }

    pub fn values(&self) -> Option<&Values> {
        self.0.as_ref().map(|given| &given.values)
    }

    /// For one stream of output.
    pub fn stream(&self) -> Stream {
        Stream { secrets: self.clone(), held: Vec::new() }
    }

    /// The text without them.
    pub fn hide(&self, text: &mut String) {
        if let Some(given) = &self.0 {
            given.mask.hide(text);
        }
    }

    /// The report without them. Its output has gone through a stream already.
    pub fn hide_in(&self, report: &mut Report) {
        if self.0.is_none() {
            return;
        }
        let error = report.error.iter_mut().flat_map(|text| [&mut text.zh, &mut text.en]);
        let http = report.http.iter_mut().flat_map(|http| [&mut http.url, &mut http.response]);
        let func = report.func.iter_mut().flat_map(|func| [&mut func.args, &mut func.result]);
        let own = report.result.iter_mut().chain([&mut report.stdout, &mut report.stderr]);
        error.chain(http).chain(func).chain(own).for_each(|text| self.hide(text));
    }
}

/// Every form in which values can be seen.
struct Mask {
    finder: AhoCorasick,
    /// The same, sorted, to see whether one begins at the end of what has come.
    traces: Vec<String>,
    longest: usize,
}

impl Mask {
    /// `None`: there is nothing to hide.
    fn of<'a>(values: impl Iterator<Item = &'a String>) -> Option<Self> {
        let mut traces: Vec<String> = values.flat_map(|value| secret::traces(value)).collect();
        traces.sort_unstable();
        let longest = traces.iter().map(String::len).max()?;
        // A table of all steps would be faster and take hundreds of megabytes for a long value. It fails
        // for gigabytes of patterns only; values are bounded.
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&traces)
            .ok()?;
        Some(Self { finder, traces, longest })
    }

    fn hide(&self, text: &mut String) {
        if self.finder.is_match(text.as_str()) {
            *text = self.finder.replace_all(text, &vec![STARS; self.traces.len()]);
        }
    }

    /// Moves what is certain from `held` to `out`, with stars for secrets.
    fn pass(&self, held: &mut Vec<u8>, out: &mut Vec<u8>, is_last: bool) {
        let certain = if is_last { held.len() } else { held.len() - self.begun(held) };
        let mut done = 0;
        // A secret that begins in what is certain is whole, and none that is longer begins there.
        for found in self.finder.find_iter(held.as_slice()).take_while(|found| found.start() < certain) {
            out.extend_from_slice(&held[done..found.start()]);
            out.extend_from_slice(STARS.as_bytes());
            done = found.end();
        }
        if done < certain {
            out.extend_from_slice(&held[done..certain]);
            done = certain;
        }
        held.drain(..done);
    }

    /// How many bytes at the end are the beginning of a secret, and not all of it. No trace has a line
    /// break, so a line that has ended is never looked at again.
    fn begun(&self, bytes: &[u8]) -> usize {
        let far = bytes.len().saturating_sub(self.longest - 1);
        let line = bytes[far..].iter().rposition(|&b| b == b'\n').map_or(far, |at| far + at + 1);
        let begins = |end: &[u8]| {
            let at = self.traces.partition_point(|trace| trace.as_bytes() <= end);
            self.traces.get(at).is_some_and(|trace| trace.as_bytes().starts_with(end))
        };
        (line..bytes.len()).find(|&from| begins(&bytes[from..])).map_or(0, |from| bytes.len() - from)
    }
}

/// One stream on its way: a secret that comes in pieces is held back until it is one or none.
#[derive(Debug)]
pub struct Stream {
    secrets: Secrets,
    held: Vec<u8>,
}

impl Stream {
    /// What can be shown of these bytes and those before them.
    pub fn pass<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(given) = &self.secrets.0 else { return bytes.into() };
        self.held.extend_from_slice(bytes);
        let mut out = Vec::with_capacity(self.held.len());
        given.mask.pass(&mut self.held, &mut out, false);
        out.into()
    }

    /// What was held back: nothing follows it.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(given) = &self.secrets.0 {
            given.mask.pass(&mut self.held, &mut out, true);
        }
        out
    }
}

#[cfg(test)]
#[path = "secrets_test.rs"]
mod tests;
