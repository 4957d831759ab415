//! The hash of a password, which is slow on purpose, so that a thief of the database can try few passwords.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq;
use tasklane_model::Password;
use tasklane_ports::{Ids, PortError};

/// Random bytes that make equal passwords have different hashes.
pub type Salt = [u8; 16];

const BYTES: usize = 32;

/// Argon2id with 19 MiB and two passes, OWASP's first choice: a few hundredths of a second on one processor.
/// <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>
const PARAMETERS: Parameters = Parameters { memory_kib: 19 * 1024, passes: 2 };

/// How much work a hash takes. It is stored with the hash, so that a later version can ask for more.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Parameters {
    memory_kib: u32,
    passes: u32,
}

/// A hashed password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    parameters: Parameters,
    salt: Salt,
    hash: [u8; BYTES],
}

impl PasswordHash {
    /// Hashes a password with a new salt. Blocks the thread for as long as that takes.
    pub fn of(password: &Password, salt: Salt) -> Result<Self, PortError> {
        Self::with(PARAMETERS, password.expose(), salt)
    }

    /// A hash that no password has: checking one against it takes as long as against a real one.
    pub fn of_nobody(ids: &Ids) -> Self {
        Self { parameters: PARAMETERS, salt: ids.secret(), hash: ids.secret() }
    }

    /// Whether this is the password. Blocks the thread for as long as hashing takes.
    pub fn is_of(&self, password: &str) -> Result<bool, PortError> {
        let other = Self::with(self.parameters, password, self.salt)?;
        Ok(self.hash.ct_eq(&other.hash).into())
    }

    fn with(parameters: Parameters, password: &str, salt: Salt) -> Result<Self, PortError> {
        let failed = |error: argon2::Error| PortError::new("hash a password", error.to_string());
        let Parameters { memory_kib, passes } = parameters;
        let params = Params::new(memory_kib, passes, 1, Some(BYTES)).map_err(failed)?;
        let mut hash = [0; BYTES];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(password.as_bytes(), &salt, &mut hash).map_err(failed)?;
        Ok(Self { parameters, salt, hash })
    }

    /// The form in which it is stored: memory, passes, salt and hash.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Parameters { memory_kib, passes } = self.parameters;
        [&memory_kib.to_be_bytes()[..], &passes.to_be_bytes(), &self.salt, &self.hash].concat()
    }

    /// Reads the form in which it is stored.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (memory_kib, rest) = bytes.split_first_chunk()?;
        let (passes, rest) = rest.split_first_chunk()?;
        let (salt, rest) = rest.split_first_chunk()?;
        let parameters =
            Parameters { memory_kib: u32::from_be_bytes(*memory_kib), passes: u32::from_be_bytes(*passes) };
        // A damaged row must not take all memory, or all time.
        let fits = parameters.memory_kib <= 256 * 1024 && parameters.passes <= 16;
        fits.then_some(Self { parameters, salt: *salt, hash: rest.try_into().ok()? })
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_itself_matches_its_hash() {
        let password = Password::parse("Correct horse 7").unwrap();
        let hash = PasswordHash::of(&password, [7; 16]).unwrap();
        assert!(hash.is_of("Correct horse 7").unwrap());
        assert!(!hash.is_of("Correct horse 8").unwrap() && !hash.is_of("").unwrap());
        assert_ne!(hash.hash, PasswordHash::of(&password, [8; 16]).unwrap().hash);
        let stored = hash.to_bytes();
        assert_eq!(PasswordHash::from_bytes(&stored), Some(hash.clone()));
        assert!(!format!("{hash:?}").contains("7"));
        assert_eq!(PasswordHash::from_bytes(&stored[1..]), None);
        let mut greedy = stored;
        greedy[0] = 0xff;
        assert_eq!(PasswordHash::from_bytes(&greedy), None);
    }
}
