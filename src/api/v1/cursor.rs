//! Cursors of the lists of jobs: the place of the last job, opaque to clients. The order of the list
//! stands in it, so that a cursor of one list is not taken for another's.

use crate::domain::job::JobId;
use crate::store::{JobPlace, JobSort};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub(super) fn write(order: &str, place: &JobPlace) -> String {
    let text = match place {
        JobPlace::Name(name) => json!([order, name]),
        JobPlace::Number(number, job) => json!([order, number, job.0]),
    };
    URL_SAFE_NO_PAD.encode(text.to_string())
}

/// `None`: it was not made by a list in this order.
pub(super) fn read(text: &str, order: &str, sort: JobSort) -> Option<JobPlace> {
    let parts: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    match parts.as_array()?.as_slice() {
        [of, Value::String(name)] if of == order && sort == JobSort::Name => {
            Some(JobPlace::Name(name.clone()))
        }
        [of, number, job] if of == order && sort != JobSort::Name => {
            Some(JobPlace::Number(number.as_i64()?, JobId(job.as_i64()?)))
        }
        _ => None,
    }
}
