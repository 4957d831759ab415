//! Reads log lines from CloudWatch Logs.
//!
//! Not every line of a run carries its request id (Python's `print` adds none). So the lines that do carry it locate
//! the run, and then all lines between its START and REPORT lines are read from its log stream: a stream belongs to one
//! process, which has one run at a time.
//! <https://docs.aws.amazon.com/lambda/latest/operatorguide/log-structure.html>

use std::{fmt, sync::Arc, time::Duration};

use aws_sdk_cloudwatchlogs::{
    Client,
    types::{FilteredLogEvent, OutputLogEvent},
};
use tasklane_model::{FunctionName, Timestamp};
use tasklane_ports::{Clock, LogLine, LogPage, Logs, PortError, PortFuture, RunLogQuery};
use tasklane_runtime::on_demand::OnDemand;

use super::{
    config,
    fault::{Fault, port_error},
    lambda::log_group_of,
};

const ACTION: &str = "read log lines from CloudWatch Logs";

/// How much Lambda's clock may differ from the clock that a Task's times come from.
const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// How long before a run's first line its process may have started. Lambda's limit is 10 s.
const START_UP: Duration = Duration::from_secs(10);

/// How long before any of its lines a run may have started: the longest time limit plus the start of the process.
const LONGEST_RUN: Duration = Duration::from_secs(300 + 10);

/// How long after the end of a run to wait for its REPORT line. A process that died with its machine never wrote one.
const REPORT_OVERDUE: Duration = Duration::from_secs(120);

/// [`Logs`] from the log groups that Lambda writes to.
#[derive(Clone)]
pub struct CloudWatchLogs {
    client: OnDemand<Client>,
    prefix: String,
    clock: Arc<dyn Clock>,
}

impl CloudWatchLogs {
    /// Reads the logs of the deployment with this prefix.
    pub fn new(config: &aws_config::SdkConfig, prefix: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self { client: config::client(config, Client::new), prefix: prefix.into(), clock }
    }

    fn group(&self, function: &FunctionName) -> String {
        log_group_of(&function.in_lambda(&self.prefix))
    }

    /// Events from all streams of a log group between two times, inclusive, oldest first: those that contain `term`, or
    /// all. Stops after the page that reaches `enough`.
    async fn find(
        &self,
        group: &str,
        term: Option<&str>,
        from: Timestamp,
        to: Timestamp,
        enough: usize,
    ) -> Result<Vec<FilteredLogEvent>, PortError> {
        let mut found = Vec::new();
        let mut pages = self
            .client
            .filter_log_events()
            .log_group_name(group)
            .set_filter_pattern(term.map(|term| format!("\"{term}\"")))
            .start_time(from.as_millis())
            .end_time(to.as_millis())
            .into_paginator()
            .send();
        // An empty page need not be the last. The search continues until there is no token.
        while let Some(page) = pages.next().await {
            match page.map_err(Fault::from) {
                Ok(page) => found.extend(page.events.unwrap_or_default()),
                // Without a group, nothing has been logged.
                Err(fault) if fault.is("ResourceNotFoundException") => return Ok(Vec::new()),
                Err(fault) => return Err(port_error(ACTION, fault)),
            }
            if found.len() >= enough {
                break;
            }
        }
        Ok(found)
    }

    /// The events of a stream between two times, inclusive, oldest first.
    async fn stream(
        &self,
        group: &str,
        stream: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<OutputLogEvent>, PortError> {
        let mut events = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = self
                .client
                .get_log_events()
                .log_group_name(group)
                .log_stream_name(stream)
                .start_time(from.as_millis())
                // Unlike the filter's, this bound is exclusive.
                .end_time(to.as_millis() + 1)
                .start_from_head(true)
                .set_next_token(token.clone())
                .send()
                .await
                .map_err(|error| port_error(ACTION, error))?;
            events.extend(page.events.unwrap_or_default());
            // At the end, CloudWatch Logs returns the token that it was given.
            if page.next_forward_token.is_none() || page.next_forward_token == token {
                return Ok(events);
            }
            token = page.next_forward_token;
        }
    }

    async fn run_lines(&self, query: &RunLogQuery<'_>, request_id: &str) -> Result<Vec<LogLine>, PortError> {
        let group = self.group(query.function);
        // The first and the last line with the id show where the run begins and ends.
        let earliest = query.from.saturating_sub(LONGEST_RUN + CLOCK_SKEW);
        let latest = query.to.saturating_add(CLOCK_SKEW);
        let marks = self.find(&group, Some(request_id), earliest, latest, usize::MAX).await?;
        let is_complete = marks.iter().any(|mark| is_platform_line(mark.message(), "REPORT", request_id));
        if !is_complete && self.clock.now().since(query.to) < REPORT_OVERDUE {
            return Ok(Vec::new());
        }
        let Some(stream) = marks.first().and_then(|mark| mark.log_stream_name()) else { return Ok(Vec::new()) };
        let times =
            || marks.iter().filter(|mark| mark.log_stream_name() == Some(stream)).filter_map(|mark| mark.timestamp);
        let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(Vec::new()) };
        let first = Timestamp::saturating_from_millis(first);
        let last = Timestamp::saturating_from_millis(last);
        let lines = run_in_stream(self.stream(&group, stream, first.saturating_sub(START_UP), last).await?, request_id);
        // The start of the run comes from another clock, so no line is dropped for being before it.
        Ok(lines.into_iter().filter(|line| query.since.is_none_or(|since| line.timestamp >= since)).collect())
    }
}

impl fmt::Debug for CloudWatchLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudWatchLogs").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Logs for CloudWatchLogs {
    /// Returns no lines until the REPORT line has arrived, which is the last one: otherwise, some of the lines would
    /// look like all of them. Lambda reveals the id of a run at its end, so a run that is not known to have ended has
    /// no lines either.
    fn of_run<'a>(&'a self, query: RunLogQuery<'a>) -> PortFuture<'a, Result<Vec<LogLine>, PortError>> {
        Box::pin(async move {
            let Some(request_id) = query.request_id else { return Ok(Vec::new()) };
            let lines = self.run_lines(&query, request_id).await?;
            Ok(lines.into_iter().skip(query.page.offset).take(query.page.limit).collect())
        })
    }

    fn of_function<'a>(
        &'a self,
        function: &'a FunctionName,
        from: Timestamp,
        to: Timestamp,
        page: LogPage,
    ) -> PortFuture<'a, Result<Vec<LogLine>, PortError>> {
        Box::pin(async move {
            let enough = page.offset.saturating_add(page.limit);
            let events = self.find(&self.group(function), None, from, to, enough).await?;
            let lines = events.into_iter().skip(page.offset).take(page.limit);
            Ok(lines.map(|event| line(event.timestamp, event.message)).collect())
        })
    }
}

/// The lines of one run from those of its stream: from the first line with its id, or from the start of the process if
/// that was for this run, to the last line with its id.
fn run_in_stream(events: Vec<OutputLogEvent>, request_id: &str) -> Vec<LogLine> {
    let mentions = |event: &OutputLogEvent| event.message().is_some_and(|message| message.contains(request_id));
    let Some(first) = events.iter().position(mentions) else { return Vec::new() };
    let last = events.iter().rposition(mentions).unwrap_or(first);
    let since_last_run = events[..first].iter().rposition(ends_a_run).map_or(0, |end| end + 1);
    let start_up = events[since_last_run..first]
        .iter()
        .position(|event| event.message().is_some_and(|message| message.starts_with("INIT_START")));
    let first = start_up.map_or(first, |offset| since_last_run + offset);
    events.into_iter().take(last + 1).skip(first).map(|event| line(event.timestamp, event.message)).collect()
}

fn ends_a_run(event: &OutputLogEvent) -> bool {
    event.message().is_some_and(|message| message.starts_with("REPORT RequestId: "))
}

fn is_platform_line(message: Option<&str>, kind: &str, request_id: &str) -> bool {
    message
        .and_then(|message| message.strip_prefix(kind)?.strip_prefix(" RequestId: "))
        .is_some_and(|rest| rest.starts_with(request_id))
}

fn line(timestamp: Option<i64>, message: Option<String>) -> LogLine {
    let mut message = message.unwrap_or_default();
    message.truncate(message.trim_end_matches(['\r', '\n']).len());
    LogLine { timestamp: Timestamp::saturating_from_millis(timestamp.unwrap_or(0)), message }
}

#[cfg(test)]
mod tests;
