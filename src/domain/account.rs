//! Who may do what: roles, and what a user name and a password must be. It hashes nothing and knows no
//! requests.

use super::run::text_enum;
use super::{FieldError, Text};

text_enum! {
    /// What an account may do; each includes those before it.
    Role {
        /// Looks at jobs and runs.
        Viewer = "viewer",
        /// Runs, stops and starts jobs, and reads the system log.
        Operator = "operator",
        /// Everything: what jobs do, functions, settings, accounts.
        Admin = "admin",
    }
}

impl Role {
    /// The role of a stored account. Those of the older editions, which had one kind of account, may
    /// do everything, whatever they called it.
    pub fn stored(text: &str) -> Self {
        Self::parse(text).unwrap_or(Self::Admin)
    }

    pub fn includes(self, needed: Self) -> bool {
        self as u8 >= needed as u8
    }

    /// The one that may do less.
    pub fn least(self, other: Self) -> Self {
        if self.includes(other) { other } else { self }
    }
}

/// Characters of a user name.
pub const USERNAME_MAX: usize = 100;
/// Characters of a password; the upper bound keeps hashing cheap.
pub const PASSWORD: std::ops::RangeInclusive<usize> = 8..=200;

/// The name without blanks around it.
///
/// # Errors
/// It is empty, too long, or holds what cannot be seen.
pub fn check_username(name: &str) -> Result<String, FieldError> {
    let name = name.trim();
    let length = name.chars().count();
    if (1..=USERNAME_MAX).contains(&length) && !name.contains(char::is_control) {
        return Ok(name.to_owned());
    }
    let text = Text::new("用户名须为 1 到 100 个可见字符", "a user name has 1 to 100 visible characters");
    Err(FieldError::new("username", text, name.chars().take(200).collect::<String>()))
}

/// Long enough, and not the user name itself. The value is never sent back.
///
/// # Errors
/// Says what is missing, in the field of this name.
pub fn check_password(field: &'static str, password: &str, username: &str) -> Result<(), FieldError> {
    let refuse = |zh: &str, en: &str| Err(FieldError::new(field, Text::new(zh, en), ()));
    if !PASSWORD.contains(&password.chars().count()) {
        return refuse("密码须为 8 到 200 个字符", "a password has 8 to 200 characters");
    }
    if password.eq_ignore_ascii_case(username) {
        return refuse("密码不能与用户名相同", "a password must not be the user name");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_includes_those_below() {
        let all = [Role::Viewer, Role::Operator, Role::Admin];
        for (n, role) in all.iter().enumerate() {
            for (m, needed) in all.iter().enumerate() {
                assert_eq!(role.includes(*needed), n >= m);
                assert_eq!(role.least(*needed), all[n.min(m)]);
            }
        }
        for (text, role) in [("viewer", Role::Viewer), ("", Role::Admin), ("super", Role::Admin)] {
            assert_eq!(Role::stored(text), role);
        }
    }

    #[test]
    fn names_and_passwords_are_looked_at() {
        assert_eq!(check_username(" 小胡 ").unwrap(), "小胡");
        for bad in ["", "  ", "a\nb", &"x".repeat(101)] {
            assert!(check_username(bad).is_err(), "{bad:?}");
        }
        assert!(check_password("password", "correct horse", "me").is_ok());
        for bad in ["short", &"x".repeat(201), "Administrator"] {
            let error = check_password("password", bad, "administrator").unwrap_err();
            assert!(!error.value.to_string().contains(bad), "{error:?}");
        }
    }
}
