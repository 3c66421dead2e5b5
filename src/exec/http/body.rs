//! Reads a response body as it streams: charset, the search for the expected text, and the bounded
//! part that is kept. It has decompressed bytes to work with, and no connection.

use crate::domain::Text;
use crate::exec::output::Capture;
use crate::exec::secrets::Stream;
use encoding_rs::{Decoder, Encoding, UTF_8};
use reqwest::header::HeaderValue;

/// A page must declare its charset within its first bytes, says the HTML standard.
const SNIFF: usize = 1024;
/// Decoded at once; bounds the text that is in memory besides what is kept.
const STEP: usize = 16 * 1024;

/// A body on its way in.
pub struct Body<'a> {
    limit: u64,
    bytes: u64,
    /// The start of a page that may still declare its charset.
    waiting: Option<Vec<u8>>,
    /// `None` after the end.
    decoder: Option<Decoder>,
    search: Option<Search<'a>>,
    capture: Capture,
    masked: Stream,
}

impl<'a> Body<'a> {
    /// Keeps at most `keep` bytes of the text without its secrets, refuses more than `limit` bytes and looks
    /// for `result`.
    pub fn new(keep: usize, limit: u64, result: Option<&'a str>, masked: Stream) -> Self {
        Self {
            limit,
            bytes: 0,
            waiting: None,
            decoder: Some(UTF_8.new_decoder()),
            search: result.map(Search::new),
            capture: Capture::new(keep),
            masked,
        }
    }

    /// Takes the charset from the header, or else waits for that of the page. A byte order mark
    /// overrides both: the decoder sees to it.
    pub fn begin(&mut self, content_type: Option<&HeaderValue>) {
        let content_type = content_type.map(|v| String::from_utf8_lossy(v.as_bytes()).to_ascii_lowercase());
        let declared = content_type.as_deref().and_then(charset);
        match declared {
            Some(encoding) => self.decoder = Some(encoding.new_decoder()),
            // In other types, a text that merely quotes a page must not decide.
            None if content_type.is_none_or(|t| t.contains("html")) => self.waiting = Some(Vec::new()),
            None => (),
        }
    }

    /// Takes the next bytes; an error says that there were too many.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), Text> {
        self.bytes = self.bytes.saturating_add(chunk.len() as u64);
        if self.bytes > self.limit {
            let limit = self.limit;
            return Err(Text::new(
                format!("响应内容超过上限 {limit} 字节"),
                format!("the response body is longer than the limit of {limit} bytes"),
            ));
        }
        match &mut self.waiting {
            Some(waiting) if waiting.len() + chunk.len() < SNIFF => waiting.extend_from_slice(chunk),
            Some(_) => {
                self.settle(chunk);
                self.decode(chunk, false);
            }
            None => self.decode(chunk, false),
        }
        Ok(())
    }

    /// The body is at its end, or was broken off.
    pub fn finish(&mut self) {
        self.settle(&[]);
        self.decode(&[], true);
        self.capture.push(&self.masked.rest());
        self.decoder = None;
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the expected text was seen.
    pub fn found(&self) -> bool {
        self.search.as_ref().is_some_and(|search| search.found)
    }

    pub fn into_text(self) -> String {
        self.capture.into_text()
    }

    /// Decides the charset of a page that was waited for, and decodes what had to wait.
    fn settle(&mut self, more: &[u8]) {
        if let Some(waiting) = self.waiting.take() {
            let start: Vec<u8> = waiting.iter().chain(more).take(SNIFF).copied().collect();
            if let Some(encoding) = meta_charset(&start) {
                self.decoder = Some(encoding.new_decoder());
            }
            self.decode(&waiting, false);
        }
    }

    fn decode(&mut self, bytes: &[u8], last: bool) {
        let Some(decoder) = &mut self.decoder else { return };
        let mut text = String::new();
        let mut steps = bytes.chunks(STEP).peekable();
        loop {
            let step = steps.next().unwrap_or_default();
            let end = steps.peek().is_none();
            text.clear();
            // `None` is an overflow of usize, which a step cannot cause.
            text.reserve(decoder.max_utf8_buffer_length(step.len()).unwrap_or(4 * STEP));
            let _ = decoder.decode_to_string(step, &mut text, last && end);
            if let Some(search) = &mut self.search {
                search.push(&text);
            }
            self.capture.push(&self.masked.pass(text.as_bytes()));
            if end {
                break;
            }
        }
    }
}

/// Looks for a text in a stream; the end of one piece is kept to be searched with the next.
struct Search<'a> {
    text: &'a str,
    found: bool,
    window: String,
}

impl<'a> Search<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, found: false, window: String::new() }
    }

    fn push(&mut self, piece: &str) {
        if self.found {
            return;
        }
        self.window.push_str(piece);
        self.found = self.window.contains(self.text);
        let keep = self.text.len().saturating_sub(1);
        let cut = self.window.floor_char_boundary(self.window.len().saturating_sub(keep));
        self.window.drain(..cut);
    }
}

/// The encoding that follows `charset=` in a lower-case text.
fn charset(text: &str) -> Option<&'static Encoding> {
    let (_, label) = text.split_once("charset")?;
    let label = label.trim_start().strip_prefix('=')?.trim_start().trim_start_matches(['"', '\'']);
    let end = label.find(|c: char| !(c.is_ascii_alphanumeric() || "-_:.".contains(c))).unwrap_or(label.len());
    Encoding::for_label(&label.as_bytes()[..end])
}

/// The charset that a page declares in a `<meta>` tag, in either of the two forms.
fn meta_charset(start: &[u8]) -> Option<&'static Encoding> {
    let start = String::from_utf8_lossy(start).to_ascii_lowercase();
    let tags = start.split("<meta").skip(1).filter_map(|rest| rest.split('>').next());
    let encoding = tags.filter_map(charset).next()?;
    // The tag could be read byte by byte, so the page is not really UTF-16; the standard says UTF-8.
    Some(if encoding.is_ascii_compatible() { encoding } else { UTF_8 })
}
