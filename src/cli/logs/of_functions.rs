//! `tasklane logs`: what Functions print in every kind of run.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tasklane_client::Client;
use tasklane_model::{FunctionName, Timestamp};
use tasklane_ports::{Clock as _, LogLine, SystemClock};

use super::{
    super::{Outcome, Verdict, functions, input::duration, output, session::Session},
    line::{Style, print},
};

/// Show what Functions print, in Tasks, direct executions and API calls alike.
///
/// With --json each line is a JSON object (NDJSON).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  All Functions, as they run:
    tasklane logs --follow
  One Function, the last hour, only warnings and errors:
    tasklane logs hello-js --since 1h --level warn")]
pub(in super::super) struct Args {
    /// The Functions [default: all]
    #[arg(value_name = "FUNCTION", value_parser = functions::name)]
    functions: Vec<FunctionName>,

    /// Keep showing new lines, until Ctrl-C
    #[arg(long, short)]
    follow: bool,

    /// How far to look back, at most 24h
    #[arg(long, value_name = "TIME", value_parser = since, default_value = "10m")]
    since: Duration,

    #[command(flatten)]
    style: Style,
}

/// The longest span that the service searches.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The time between two looks.
const PACE: Duration = Duration::from_secs(1);

/// How far back each look goes, because lines can arrive late, and this machine's clock may be ahead.
const LATE: Duration = Duration::from_secs(60);

fn since(text: &str) -> Result<Duration, String> {
    let span = duration(text).map_err(|e| e.to_string())?;
    if span > LONGEST { Err("must be at most 24h".to_owned()) } else { Ok(span) }
}

pub(in super::super) async fn run(session: Session, args: Args) -> Outcome {
    let (mut cursors, mut from) = (BTreeMap::new(), SystemClock.now().saturating_sub(args.since));
    let mut is_first = true;
    loop {
        let functions = of_all(&session.client, &args.functions).await?;
        let now = SystemClock.now();
        let mut lines = Vec::new();
        for function in functions {
            let cursor: &mut Cursor = cursors.entry(function.clone()).or_default();
            // The service's clock may be ahead of this one.
            let found = session.client.function_logs(&function, from, now.saturating_add(LATE)).await?;
            lines.extend(cursor.unseen(found).into_iter().map(|line| (line, function.clone())));
        }
        lines.sort_by_key(|(line, _)| line.timestamp);
        for (line, function) in lines.iter().filter(|(line, _)| args.style.shows(line)) {
            print(line, Some(function.as_str()), session.json)?;
        }
        if !args.follow {
            if lines.is_empty() && !session.json {
                output::note("no log lines in that time; --since 24h looks further back");
            }
            return Ok(Verdict::Yes);
        }
        if is_first && lines.is_empty() && !session.json {
            output::note("waiting for log lines");
        }
        is_first = false;
        from = from.max(now.saturating_sub(LATE));
        cursors.values_mut().for_each(|cursor| cursor.forget_before(from));
        SystemClock.sleep(PACE).await;
    }
}

/// The named Functions, or all that there are now.
async fn of_all(client: &Client, named: &[FunctionName]) -> anyhow::Result<Vec<FunctionName>> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    Ok(client.functions().await?.into_iter().map(|function| function.value.name).collect())
}

/// The lines of one Function that were shown and may be found again.
#[derive(Default)]
struct Cursor(VecDeque<LogLine>);

impl Cursor {
    /// The lines that were not found before. Equal lines of one moment are counted.
    fn unseen(&mut self, found: Vec<LogLine>) -> Vec<LogLine> {
        let mut seen = std::mem::take(&mut self.0);
        let mut new = Vec::new();
        for line in &found {
            // Mostly the first one, because the order is the same.
            match seen.iter().position(|other| other == line) {
                Some(at) => drop(seen.remove(at)),
                None => new.push(line.clone()),
            }
        }
        self.0 = found.into();
        new
    }

    fn forget_before(&mut self, from: Timestamp) {
        self.0.retain(|line| line.timestamp >= from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: i64, message: &str) -> LogLine {
        LogLine { timestamp: Timestamp::from_millis(second * 1000).unwrap(), message: message.to_owned() }
    }

    #[test]
    fn each_line_is_new_once_even_if_it_arrives_late() {
        let mut cursor = Cursor::default();
        let first = vec![line(1, "a"), line(2, "b"), line(2, "b")];
        assert_eq!(cursor.unseen(first.clone()), first);
        let late = vec![line(1, "a"), line(1, "late"), line(2, "b"), line(2, "b"), line(2, "b")];
        assert_eq!(cursor.unseen(late), [line(1, "late"), line(2, "b")]);
        cursor.forget_before(Timestamp::from_millis(2000).unwrap());
        assert_eq!(cursor.unseen(vec![line(2, "b"), line(2, "b"), line(2, "b"), line(3, "c")]), [line(3, "c")]);
    }

    #[test]
    fn the_look_back_is_limited() {
        assert_eq!(since("24h"), Ok(LONGEST));
        assert!(since("25h").is_err() && since("soon").is_err());
    }
}
