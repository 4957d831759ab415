//! Values that people type: JSON, times and lengths of time.

use std::{
    fmt,
    io::{self, Read},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use anyhow::Context;
use jiff::{Span, SpanRelativeTo};
use tasklane_model::{IdempotencyKey, Json, Timestamp, with_causes};

/// Where JSON comes from: the argument itself, a file (`@FILE`) or stdin (`-`).
#[derive(Clone, Debug)]
pub enum JsonSource {
    /// The argument itself.
    Inline(Json),
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// Why an argument is not a [`JsonSource`].
#[derive(Debug, thiserror::Error)]
#[error("not JSON: {0}. Quote it for the shell, such as '{{\"name\":\"Ada\"}}', or use @FILE, or - for stdin")]
pub struct NotJson(String);

impl FromStr for JsonSource {
    type Err = NotJson;
    fn from_str(text: &str) -> Result<Self, NotJson> {
        Ok(match text.strip_prefix('@') {
            Some(file) => Self::File(file.into()),
            None if text == "-" => Self::Stdin,
            None => Self::Inline(Json::parse(text.trim().to_owned()).map_err(|error| NotJson(with_causes(&error)))?),
        })
    }
}

impl JsonSource {
    /// Reads the JSON. Blocks until stdin ends.
    ///
    /// # Errors
    /// When it cannot be read or is not JSON.
    pub fn read(&self) -> anyhow::Result<Json> {
        let (text, place) = match self {
            Self::Inline(json) => return Ok(json.clone()),
            Self::File(path) => {
                let place = path.display().to_string();
                (std::fs::read_to_string(path).with_context(|| format!("{place} cannot be read"))?, place)
            }
            Self::Stdin => {
                let mut text = String::new();
                io::stdin().read_to_string(&mut text).context("stdin cannot be read")?;
                (text, "stdin".to_owned())
            }
        };
        Json::parse(text.trim().to_owned()).with_context(|| format!("{place} is not JSON"))
    }
}

/// A point in time: RFC 3339, a date, or relative to now, such as `+5m` or `-1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At this time.
    At(Timestamp),
    /// This long after now.
    In(Duration),
    /// This long before now.
    Ago(Duration),
}

/// Why a string is not a [`When`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a time such as 2026-01-31T08:15:30Z, or one relative to now such as +90s, +5m, +2h, +30d")]
pub struct InvalidWhen;

impl FromStr for When {
    type Err = InvalidWhen;
    fn from_str(text: &str) -> Result<Self, InvalidWhen> {
        if text == "now" {
            return Ok(Self::In(Duration::ZERO));
        }
        match text.split_at_checked(1) {
            Some(("+", length)) => duration(length).map(Self::In).map_err(|_| InvalidWhen),
            Some(("-", length)) => duration(length).map(Self::Ago).map_err(|_| InvalidWhen),
            _ => text.parse().map(Self::At).map_err(|_| InvalidWhen),
        }
    }
}

impl When {
    /// The point in time, relative to `now`.
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::In(length) => now.saturating_add(length),
            Self::Ago(length) => now.saturating_sub(length),
        }
    }
}

/// A length of time as people write it, such as `90s`, `5m`, `2h30m` or `4w`.
///
/// # Errors
/// When it is not a whole number of seconds, is negative, or is in months or years, whose lengths differ.
pub fn duration(text: &str) -> Result<Duration, InvalidDuration> {
    let span: Span = text.parse().map_err(|_| InvalidDuration)?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| InvalidDuration)?;
    let duration = Duration::try_from(duration).map_err(|_| InvalidDuration)?;
    // Nothing here is finer than a second, and nothing may be cut off silently.
    if duration.subsec_nanos() == 0 { Ok(duration) } else { Err(InvalidDuration) }
}

/// A length of time that has a rule of its own, as whole seconds.
///
/// # Errors
/// When it is no [`duration`], or breaks the rule.
pub fn seconds<T, E: fmt::Display>(text: &str, new: impl FnOnce(i64) -> Result<T, E>) -> Result<T, String> {
    let seconds = duration(text).map_err(|error| error.to_string())?.as_secs();
    new(i64::try_from(seconds).unwrap_or(i64::MAX)).map_err(|error| error.to_string())
}

/// A length of time in the largest unit in which it is a whole number, such as `7d` or `90s`.
pub(super) fn in_largest_unit(length: Duration) -> String {
    let seconds = length.as_secs();
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm')];
    let unit = units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (unit, name) = unit.unwrap_or((1, 's'));
    format!("{}{name}", seconds / unit)
}

/// Why a string is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a number with a unit, such as 90s, 5m, 2h, 30d or 4w")]
pub struct InvalidDuration;

/// Reads an address to listen on: `127.0.0.1:4000`, `[::1]:4000`, `localhost:4000`, `:4000` or `4000`.
///
/// # Errors
/// When it is none of these.
pub fn address(text: &str) -> Result<SocketAddr, InvalidAddress> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    match host {
        "" | "localhost" => {
            port.parse().map(|port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)).map_err(|_| InvalidAddress)
        }
        _ => text.parse().map_err(|_| InvalidAddress),
    }
}

/// Why a string is not an address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an address such as 127.0.0.1:4000, localhost:4000, or only a port such as 4000")]
pub struct InvalidAddress;

/// Reads an idempotency key from the command line.
pub(super) fn idempotency_key(text: &str) -> Result<IdempotencyKey, String> {
    IdempotencyKey::parse(text).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_relative() {
        let now: Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
        for (text, moment) in [
            ("2026-02-01T00:00:00+01:00", "2026-01-31T23:00:00.000Z"),
            ("2026-02-01", "2026-02-01T00:00:00.000Z"),
            ("+90s", "2026-01-31T08:01:30.000Z"),
            ("+5m", "2026-01-31T08:05:00.000Z"),
            ("+30d", "2026-03-02T08:00:00.000Z"),
            ("+4w", "2026-02-28T08:00:00.000Z"),
            ("+1d12h", "2026-02-01T20:00:00.000Z"),
            ("-2h", "2026-01-31T06:00:00.000Z"),
            ("now", "2026-01-31T08:00:00.000Z"),
        ] {
            assert_eq!(text.parse::<When>().unwrap().resolve(now).to_string(), moment, "{text}");
        }
        for text in [
            "",
            "5m",
            "+",
            "+5",
            "+m",
            "+5y",
            "+5mo",
            "+500ms",
            "+1.5s",
            "+5m ago",
            "+ 5m",
            "+-5m",
            "+5é",
            "tomorrow",
            "+99999999999999999999w",
        ] {
            assert_eq!(text.parse::<When>(), Err(InvalidWhen), "{text}");
        }
    }

    #[test]
    fn an_address_may_be_only_a_port() {
        for text in ["4102", ":4102", "localhost:4102", "127.0.0.1:4102"] {
            assert_eq!(address(text).unwrap().to_string(), "127.0.0.1:4102", "{text}");
        }
        assert_eq!(address("[::1]:0").unwrap().to_string(), "[::1]:0");
        assert_eq!(address("0.0.0.0:80").unwrap().to_string(), "0.0.0.0:80");
        for text in ["", "nowhere", "example.com:80", "127.0.0.1", "70000", "::1", "localhost"] {
            assert_eq!(address(text), Err(InvalidAddress), "{text}");
        }
    }

    #[test]
    fn json_comes_from_the_argument_or_a_file() {
        let read = |text: &str| text.parse::<JsonSource>().unwrap().read().map_err(|e| format!("{e:#}"));
        assert_eq!(read(r#" {"a": 1.0} "#).unwrap().as_str(), r#"{"a": 1.0}"#);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[1]\n").unwrap();
        assert_eq!(read(&format!("@{}", file.path().display())).unwrap().as_str(), "[1]");
        let error = "name=Ada".parse::<JsonSource>().unwrap_err().to_string();
        assert_eq!(
            error,
            "not JSON: expected ident at line 1 column 2. Quote it for the shell, such as '{\"name\":\"Ada\"}', or use @FILE, or - \
             for stdin"
        );
        assert!(read("@/nowhere/x.json").unwrap_err().starts_with("/nowhere/x.json cannot be read"));
    }
}
