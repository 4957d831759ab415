//! One log line, as people read it.

use std::{fmt, str::FromStr};

use serde_json::Value;
use tasklane_ports::LogLine;

use super::super::output;

/// Which lines are shown, and how.
#[derive(Clone, Debug, Default, clap::Args)]
pub(in super::super) struct Style {
    /// Leave out Lambda's own lines about each run: START, END, REPORT
    #[arg(long, short)]
    pub(in super::super) quiet: bool,

    /// Only lines of this level or above: trace, debug, info, warn, error, fatal. Lines without a level are info
    #[arg(long, value_name = "LEVEL")]
    pub(in super::super) level: Option<Level>,
}

/// The level of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl FromStr for Level {
    type Err = String;

    /// Reads the names that Lambda's runtimes and Python's `logging` use, in either case.
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "error" => Self::Error,
            "fatal" | "critical" => Self::Fatal,
            _ => return Err("must be one of trace, debug, info, warn, error, fatal".to_owned()),
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        })
    }
}

/// Whether it is one of Lambda's own lines about a run.
pub(in super::super) fn is_platform(message: &str) -> bool {
    ["START RequestId: ", "END RequestId: ", "REPORT RequestId: ", "INIT_START Runtime "]
        .iter()
        .any(|beginning| message.starts_with(beginning))
        || Json::parse(message).is_some_and(|json| json.is_platform)
}

impl Style {
    /// Whether the line is shown.
    pub(in super::super) fn shows(&self, line: &LogLine) -> bool {
        if is_platform(&line.message) {
            return !self.quiet && self.level.is_none_or(|level| level <= Level::Info);
        }
        self.level.is_none_or(|least| split(&line.message).0.unwrap_or(Level::Info) >= least)
    }
}

/// Prints a line: with `json` as a JSON object, so that programs can read lines as they come, else with one time stamp.
/// `source` is printed in front of each of its lines.
pub(in super::super) fn print(line: &LogLine, source: Option<&str>, json: bool) -> anyhow::Result<()> {
    if json {
        let mut object = serde_json::to_value(line)?;
        if let (Some(source), Some(fields)) = (source, object.as_object_mut()) {
            fields.insert("functionName".to_owned(), source.into());
        }
        return Ok(output::json(&object.to_string())?);
    }
    let text = shown(line);
    match source {
        Some(source) => Ok(output::data(&output::prefixed(source, &text))?),
        None => Ok(output::data(&text)?),
    }
}

/// The line with one time stamp, and without the id of its run.
fn shown(line: &LogLine) -> String {
    let message = line.message.trim_end();
    match split(message) {
        (Some(level), text) => format!("{}  {level:5}  {text}", line.timestamp),
        (None, text) => format!("{}  {text}", line.timestamp),
    }
}

/// The level of a line and its text, without the time stamp and the id that Lambda's runtimes put in front: Node.js
/// writes `time id LEVEL text`, Python `[LEVEL] time id text`, with tabs between them. Other lines are left as they are.
fn split(message: &str) -> (Option<Level>, &str) {
    let parts: Vec<_> = message.splitn(4, '\t').collect();
    match parts.as_slice() {
        [time, id, level, text] if is_time(time) && is_id(id) => (level.parse().ok(), text),
        [first, time, id, text] if is_time(time) && is_id(id) => {
            let level = first.strip_prefix('[').and_then(|level| level.strip_suffix(']'));
            match level.and_then(|level| level.parse().ok()) {
                Some(level) => (Some(level), text),
                None => (None, message),
            }
        }
        _ => (Json::parse(message).and_then(|json| json.level), message),
    }
}

/// A line of Lambda's JSON format.
struct Json {
    level: Option<Level>,
    is_platform: bool,
}

impl Json {
    fn parse(message: &str) -> Option<Self> {
        // Most lines are not JSON, and need not be parsed to see that.
        let value: Value = message.starts_with('{').then(|| serde_json::from_str(message).ok())??;
        let level = value.get("level").and_then(Value::as_str).and_then(|level| level.parse().ok());
        let kind = value.get("type").and_then(Value::as_str);
        Some(Self { level, is_platform: kind.is_some_and(|kind| kind.starts_with("platform.")) })
    }
}

fn is_time(text: &str) -> bool {
    text.parse::<tasklane_model::Timestamp>().is_ok()
}

/// `8-4-4-4-12` hexadecimal digits, or `undefined` outside of a run.
fn is_id(text: &str) -> bool {
    let is_uuid = text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_uuid || text == "undefined" || text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6589a42a-a874-4426-a80f-0c817be169cc";

    fn line(message: &str) -> LogLine {
        LogLine { timestamp: "2026-01-31T08:15:30.123Z".parse().unwrap(), message: message.to_owned() }
    }

    #[test]
    fn a_line_has_one_time_stamp_and_its_level() {
        for (message, text) in [
            (format!("2026-01-31T08:15:30.100Z\t{ID}\tINFO\ta\tb\nc\n"), "INFO   a\tb\nc"),
            (format!("[WARNING]\t2026-01-31T08:15:30.100Z\t{ID}\twatch out"), "WARN   watch out"),
            ("printed".to_owned(), "printed"),
            ("a\tb\tc\td".to_owned(), "a\tb\tc\td"),
            (format!("START RequestId: {ID} Version: $LATEST"), &format!("START RequestId: {ID} Version: $LATEST")),
        ] {
            assert_eq!(shown(&line(&message)), format!("2026-01-31T08:15:30.123Z  {text}"));
        }
    }

    #[test]
    fn lines_are_left_out_by_level_and_those_of_the_platform_when_quiet() {
        let all = [
            "START RequestId: x Version: 1".to_owned(),
            format!("2026-01-31T08:15:30.100Z\t{ID}\tDEBUG\td"),
            "printed".to_owned(),
            format!("[ERROR]\t2026-01-31T08:15:30.100Z\t{ID}\te"),
            r#"{"level":"FATAL","message":"f"}"#.to_owned(),
            r#"{"time":"x","type":"platform.report","record":{}}"#.to_owned(),
        ];
        let shown = |quiet, level: Option<&str>| {
            let style = Style { quiet, level: level.map(|level| level.parse().unwrap()) };
            all.iter().map(|message| u8::from(style.shows(&line(message)))).collect::<Vec<_>>()
        };
        assert_eq!(shown(false, None), [1, 1, 1, 1, 1, 1]);
        assert_eq!(shown(true, None), [0, 1, 1, 1, 1, 0]);
        assert_eq!(shown(false, Some("info")), [1, 0, 1, 1, 1, 1]);
        assert_eq!(shown(false, Some("warn")), [0, 0, 0, 1, 1, 0]);
        assert_eq!(shown(false, Some("critical")), [0, 0, 0, 0, 1, 0]);
        assert!("loud".parse::<Level>().is_err());
    }
}
