//! Shows a Function's log without the reports of the error that ends the run: that error is shown once, at the end.
//! A runtime both logs and reports an error. If the initialisation fails this happens twice, because Lambda initialises
//! the process again.

use tasklane_model::{FunctionError, Json, json::scan::unescape};
use tasklane_runtime::lock::Lock;

use crate::output;

/// Shows log lines on stderr.
#[derive(Default)]
pub(super) struct ShownLog {
    /// The reports of errors, until it is known which error ends the run.
    reports: Lock<Vec<String>>,
}

impl ShownLog {
    /// Shows a line, immediately unless it reports an error.
    pub(super) fn show(&self, line: &str) {
        if is_report(line) {
            self.reports.lock().push(line.to_owned());
        } else {
            output::note(line);
        }
    }

    /// Shows the reports of all errors except the one that ended the run.
    pub(super) fn end(&self, error: Option<&FunctionError>) {
        let reports = std::mem::take(&mut *self.reports.lock());
        let of_others = reports.iter().filter(|report| error.is_none_or(|error| !is_report_of(report, error)));
        of_others.for_each(|report| output::note(report));
    }
}

/// An error for people. Stack traces of Node.js begin with the error's name and message.
pub(super) fn failure(error: &FunctionError) -> String {
    let (headline, trace) = (format!("{}: {}", error.name, error.message), error.trace.join("\n"));
    match trace.starts_with(&headline) {
        _ if trace.is_empty() => headline,
        true => trace,
        false => format!("{headline}\n{trace}"),
    }
}

/// The prefix of a report of Python's runtime. Lines of its `logging` have a tab after `[ERROR]`.
const PYTHON: &str = "[ERROR] ";

fn is_report(line: &str) -> bool {
    line.starts_with(PYTHON) || node_message(line).is_some()
}

fn is_report_of(report: &str, error: &FunctionError) -> bool {
    match report.strip_prefix(PYTHON) {
        Some(text) => text.starts_with(&format!("{}: {}", error.name, error.message)),
        None => node_message(report).is_some_and(|message| message == error.message),
    }
}

/// The message in a report of Node.js's runtime: `<time> <request id> ERROR <what happened> {"errorType": …}`.
fn node_message(line: &str) -> Option<String> {
    let (_, entry) = line.split_once("\tERROR\t")?;
    let report = Json::parse(entry.split_once(" \t")?.1.to_owned()).ok()?;
    report.field("errorType")?;
    report.field("errorMessage").map(|message| unescape(message).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(name: &str, message: &str, trace: &[&str]) -> FunctionError {
        FunctionError {
            name: name.to_owned(),
            message: message.to_owned(),
            trace: trace.iter().map(|line| (*line).to_owned()).collect(),
        }
    }

    #[test]
    fn a_report_is_distinguished_from_other_lines_and_other_reports() {
        let node = "2026-01-31T00:00:00.000Z\tid\tERROR\tInvoke Error \t\
                    {\"errorType\":\"E\",\"errorMessage\":\"say \\\"m\\\"\",\"stack\":[\"E: m\"]}";
        let python = "[ERROR] E: say \"m\"\nTraceback (most recent call last):\n  File …";
        for report in [node, python] {
            assert!(is_report(report), "{report}");
            assert!(is_report_of(report, &error("E", "say \"m\"", &[])), "{report}");
            assert!(!is_report_of(report, &error("E", "other", &[])), "{report}");
        }
        for line in [
            "START RequestId: id Version: $LATEST",
            "2026-01-31T00:00:00.000Z\tid\tERROR\tInvoke Error",
            "2026-01-31T00:00:00.000Z\tid\tERROR\t{\"errorType\":\"E\",\"errorMessage\":\"m\"}",
            "2026-01-31T00:00:00.000Z\tid\tERROR\tmine \t{\"a\":1}",
            "[ERROR]\t2026-01-31T00:00:00.000Z\tid\tlogged",
        ] {
            assert!(!is_report(line), "{line}");
        }
    }

    #[test]
    fn a_failure_has_its_name_and_message_once() {
        assert_eq!(failure(&error("E", "m", &[])), "E: m");
        assert_eq!(failure(&error("E", "m", &["E: m", "    at f (x.js:1)"])), "E: m\n    at f (x.js:1)");
        assert_eq!(failure(&error("E", "m", &["  File x, line 1"])), "E: m\n  File x, line 1");
        let lines = error("E", "m\nn", &["E: m", "n", "    at f (x.js:1)"]);
        assert_eq!(failure(&lines), "E: m\nn\n    at f (x.js:1)");
    }
}
