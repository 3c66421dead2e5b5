//! Passwords as they are stored, and tokens that nobody can guess. Passwords are hashed with argon2id;
//! a hash that an older edition made with bcrypt is still checked, and replaced at the next login.

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use std::sync::LazyLock;

/// Why something could not be hashed.
#[derive(Debug, thiserror::Error)]
#[error("hashing failed: {0}")]
pub struct Error(String);

/// What a password is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Wrong,
    Right,
    /// Right, and its hash should be made anew.
    RightOldHash,
}

/// The hash of a password, as a PHC string. It takes a tenth of a second and 19 MiB.
pub fn hash(password: &str) -> Result<String, Error> {
    let hash = Argon2::default().hash_password(password.as_bytes()).map_err(|e| Error(e.to_string()))?;
    Ok(hash.to_string())
}

/// Compares a password with what is stored. Without a stored hash it takes as long, so that the time
/// does not tell which user names there are.
pub fn verify(password: &str, stored: Option<&str>) -> Verdict {
    static NOBODYS: LazyLock<String> = LazyLock::new(|| hash(&token("")).unwrap_or_default());
    let stored = stored.filter(|hash| !hash.is_empty());
    match stored {
        Some(hash) if is_bcrypt(hash) => match bcrypt::verify(password, hash) {
            Ok(true) => Verdict::RightOldHash,
            _ => Verdict::Wrong,
        },
        hash => {
            let right = argon2::password_hash::phc::PasswordHash::new(hash.unwrap_or(&NOBODYS))
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
            if right && stored.is_some() { Verdict::Right } else { Verdict::Wrong }
        }
    }
}

/// Whether it is a hash that an older edition made.
pub fn is_bcrypt(text: &str) -> bool {
    text.len() == 60 && ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix))
}

/// A new secret of 256 bits; the prefix tells people and scanners what it is.
pub fn token(prefix: &str) -> String {
    let mut bytes = [0; 32];
    // The system's randomness does not fail on any system that we run on; a guessable token would be
    // worse than an end.
    #[expect(clippy::expect_used, reason = "there is no way to go on without randomness")]
    SystemRandom::new().fill(&mut bytes).expect("the system has randomness");
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// What is stored of a token: SHA-256, hexadecimal. It needs no salt, as no two are alike.
pub fn digest(token: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again_and_no_other() {
        let stored = hash("密码 123").unwrap();
        assert!(stored.starts_with("$argon2id$"));
        assert_eq!(verify("密码 123", Some(&stored)), Verdict::Right);
        assert_eq!(verify("密码 124", Some(&stored)), Verdict::Wrong);
        for nothing in [None, Some(""), Some("plain")] {
            assert_eq!(verify("plain", nothing), Verdict::Wrong);
        }
        let old = bcrypt::hash("secret", 4).unwrap();
        assert_eq!(verify("secret", Some(&old)), Verdict::RightOldHash);
    }

    #[test]
    fn tokens_differ_and_are_stored_as_digests() {
        let (a, b) = (token("tj_"), token("tj_"));
        assert!(a != b && a.starts_with("tj_") && a.len() == 46);
        assert_eq!(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
