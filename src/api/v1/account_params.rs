//! What the routes of accounts take.

use crate::api::extract::{Kind, Param};
use crate::api::params::{opt, req};

const ROLES: Kind = Kind::OneOf(&["viewer", "operator", "admin"]);
const USERNAME: Param = req("username", Kind::Text, "1 to 100 characters.");
const PASSWORD_PARAM: Param = req("password", Kind::Text, "8 to 200 characters.");
const ID: Param = req("id", Kind::Int { min: 1, max: i64::MAX }, "The account's number.");

pub(super) const LOGIN: &[Param] = &[USERNAME, PASSWORD_PARAM];
pub(super) const CLAIM: &[Param] =
    &[req("code", Kind::Text, "From the server's log or the file claim-code."), USERNAME, PASSWORD_PARAM];
pub(super) const PASSWORD: &[Param] = &[
    req("password", Kind::Text, "The password as it is."),
    req("new_password", Kind::Text, "8 to 200 characters."),
];
pub(super) const ACCOUNT: &[Param] = &[
    USERNAME,
    PASSWORD_PARAM,
    opt("role", ROLES, "Default viewer; the first account is an admin."),
    opt("email", Kind::Text, "For people."),
];
pub(super) const ACCOUNT_ID: &[Param] = &[ID];
pub(super) const ACCOUNT_PATCH: &[Param] = &[
    ID,
    opt("password", Kind::Text, "A new one: 8 to 200 characters."),
    opt("role", ROLES, "What it may do."),
    opt("email", Kind::Text, "For people."),
    opt("enabled", Kind::Bool, "Whether it may log in."),
];
pub(super) const TOKEN: &[Param] = &[
    req("name", Kind::Text, "What it is for: 1 to 100 characters."),
    opt("role", ROLES, "The most it may do. Default viewer."),
    opt("days", Kind::Int { min: 1, max: 3_650 }, "It ends after so many days. Default: never."),
];
pub(super) const TOKEN_ID: &[Param] =
    &[req("id", Kind::Int { min: 1, max: i64::MAX }, "The token's number.")];
