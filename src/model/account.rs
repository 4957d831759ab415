//! Accounts: users who registered with an email address and a password (contract §21).

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ObjectId, Secret, Timestamp, text::checked_text};

/// A user who registered. Without a role, they hold nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The id, which is also the user's id.
    pub id: ObjectId,
    /// The address, which no other account has.
    pub email: EmailAddress,
    /// The user's first name.
    pub first_name: AccountText,
    /// The user's last name.
    pub last_name: AccountText,
    /// The user's phone number.
    pub phone_number: AccountText,
    /// The user's language, such as `EN`.
    pub language: AccountText,
    /// The user's time zone.
    pub time_zone: AccountText,
    /// The ids of their roles, each once.
    pub roles: Vec<ObjectId>,
    /// When they registered.
    pub creation_timestamp: Timestamp,
    /// When the account last changed.
    pub update_timestamp: Timestamp,
}

impl Account {
    /// The most roles of one account.
    pub const MOST_ROLES: usize = 20;
}

/// A short text that people wrote: at most 256 characters, none of them a control character.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, max_length = 256)]
pub struct AccountText(String);

/// The string is not a valid [`AccountText`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be at most 256 characters, without control characters")]
pub struct InvalidAccountText;

impl AccountText {
    /// Accepts up to 256 characters that are no control characters.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidAccountText> {
        let text = text.into();
        let fits = text.chars().count() <= 256 && !text.chars().any(char::is_control);
        if fits { Ok(Self(text)) } else { Err(InvalidAccountText) }
    }
}

checked_text!(AccountText, InvalidAccountText);

/// An email address, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 5, max_length = 256, example = "ada@example.com")]
pub struct EmailAddress(String);

/// The string is not a valid [`EmailAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an email address of at most 256 characters, such as ada@example.com")]
pub struct InvalidEmailAddress;

impl EmailAddress {
    /// Accepts what the official CLI does, `something@something.something`, without spaces.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidEmailAddress> {
        let text = text.into().to_lowercase();
        let domain_of = |text: &str| text.char_indices().skip(1).find(|(_, c)| *c == '@').map(|(at, _)| at + 1);
        let has_dot = |domain: &str| domain.char_indices().skip(1).any(|(at, c)| c == '.' && at + 1 < domain.len());
        let fits = text.chars().count() <= 256
            && !text.chars().any(|c| c.is_control() || c.is_whitespace())
            && domain_of(&text).is_some_and(|at| has_dot(&text[at..]));
        if fits { Ok(Self(text)) } else { Err(InvalidEmailAddress) }
    }
}

checked_text!(EmailAddress, InvalidEmailAddress);

/// A password that somebody chose.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Secret);

/// The string is not a valid [`Password`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 8 to 256 characters, with a lower-case letter, an upper-case letter and a digit among them")]
pub struct InvalidPassword;

impl Password {
    /// Accepts 8–256 characters, with a lower-case letter, an upper-case letter and a digit.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidPassword> {
        let text = text.into();
        let has = |kind: fn(char) -> bool| text.chars().any(kind);
        let fits = (8..=256).contains(&text.chars().count())
            && has(char::is_lowercase)
            && has(char::is_uppercase)
            && has(char::is_numeric);
        if fits { Ok(Self(Secret::new(text))) } else { Err(InvalidPassword) }
    }

    /// The password itself, to hash it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The wrong passwords for an account since the last right one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginAttempts {
    /// How many there were; one that is being checked counts.
    pub wrong: u32,
    /// When the last one came.
    pub last: Option<Timestamp>,
}

impl LoginAttempts {
    /// This many wrong passwords are checked at once: people mistype.
    const FREE: u32 = 10;
    /// After that, one is checked in this time.
    const PAUSE: Duration = Duration::from_secs(30);

    /// Counts a password that is about to be checked; `None` if it must not be checked now.
    pub fn one_more(self, now: Timestamp) -> Option<Self> {
        let waits = self.wrong >= Self::FREE && self.last.is_some_and(|last| now < last.saturating_add(Self::PAUSE));
        (!waits).then(|| Self { wrong: self.wrong.saturating_add(1), last: Some(now) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_the_official_cli_accepts_in_lower_case() {
        for (text, address) in [
            ("Ada@Example.com", "ada@example.com"),
            ("exh.tasks+Invoices@extrahorizon.com", "exh.tasks+invoices@extrahorizon.com"),
            ("a@b.c", "a@b.c"),
            ("ü@b.c", "ü@b.c"),
        ] {
            assert_eq!(EmailAddress::parse(text).unwrap().as_str(), address);
        }
        let long = format!("{}@b.c", "a".repeat(253));
        for text in ["", "a", "a@b", "@b.c", "a@.c", "a@b.", "a b@c.d", "a@b.c\n", &long] {
            EmailAddress::parse(text).unwrap_err();
        }
    }

    #[test]
    fn a_password_follows_the_rule_and_is_never_printed() {
        let password = Password::parse("0Oo-aaaa").unwrap();
        assert_eq!(format!("{password:?}"), "[secret]");
        for text in ["0Oo-aaa", "00o-aaaa", "0OO-AAAA", "oOo-aaaa", &"0Oo".repeat(86)] {
            Password::parse(text).unwrap_err();
        }
    }

    #[test]
    fn after_ten_wrong_passwords_one_is_checked_each_half_minute() {
        let at = |seconds: i64| Timestamp::saturating_from_millis(seconds * 1000);
        let mut attempts = LoginAttempts::default();
        for _ in 0..10 {
            attempts = attempts.one_more(at(100)).unwrap();
        }
        assert_eq!(attempts.one_more(at(129)), None);
        attempts = attempts.one_more(at(130)).unwrap();
        assert_eq!(attempts.one_more(at(131)), None);
    }
}
