//! The parameters of what is neither a job nor a run: functions and the system log.

use super::params::{CURSOR_PARAM, LIMIT_PARAM};
use crate::api::extract::{Kind, Param};
use crate::api::params::{opt, req};

const NAME_PARAM: Param = req("name", Kind::Text, "The function's name, in any case.");

pub(super) const FUNCTION: &[Param] = &[NAME_PARAM];
pub(super) const FUNCTION_TRY: &[Param] = &[
    NAME_PARAM,
    opt("args", Kind::Text, "The arguments as in 【arg】: pieces with commas between, or a JSON list."),
];

pub(super) const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

pub(super) const LOGS: &[Param] = &[
    opt("level", Kind::OneOf(LEVELS), "Only lines of this level and worse."),
    opt("q", Kind::Text, "A text anywhere in the line, in any ASCII case."),
    opt("day", Kind::Date, "One day of the server's zone. Default: all that are kept."),
    LIMIT_PARAM,
    CURSOR_PARAM,
];
