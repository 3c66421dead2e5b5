//! Expressions that were read before. Many jobs have the same few: reading one takes 20 µs, which for a
//! hundred thousand jobs is two seconds of a start, and its pattern takes 72 bytes.

use super::super::Text;
use super::parse::parse;
use super::pattern::Pattern;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// Expressions that are remembered; when there are more, all are forgotten.
const MOST: usize = 1_000;
/// The longest that is remembered, in bytes.
const LONGEST: usize = 100;

static KNOWN: LazyLock<RwLock<HashMap<Box<str>, Arc<Pattern>>>> = LazyLock::new(RwLock::default);

/// What `parse` says of the expression.
pub(super) fn pattern(expr: &str) -> Result<Arc<Pattern>, Text> {
    if let Some(pattern) = KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(expr) {
        return Ok(pattern.clone());
    }
    let pattern = Arc::new(parse(expr)?);
    if expr.len() <= LONGEST {
        let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(expr.into(), pattern.clone());
    }
    Ok(pattern)
}
