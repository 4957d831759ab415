//! What `dev` shows while it serves.

use std::sync::Arc;

use http::Method;
use tasklane_http::Answered;
use tasklane_lambda_local::LoggedLine;
use tasklane_local::{logs::LiveLog, machine::Machine};
use tasklane_model::{PermissionMode, TaskEventKind};
use tasklane_ports::TaskEventContent;
use tasklane_task_config::TaskConfig;
use tokio::{sync::broadcast::error::RecvError, task::JoinHandle};

use crate::{logs::is_platform, output};

/// Says what can be called now.
pub(super) fn show_ready(functions: &[TaskConfig], url: &str) {
    let by_users = |config: &&TaskConfig| {
        config.options.permission_mode.is_some_and(|mode| mode != PermissionMode::PermissionRequired)
    };
    for config in functions.iter().filter(by_users) {
        output::note(&format!("{name}: over HTTP at {url}/tasks/v1/api/{name}/", name = config.name));
    }
    let count = match functions.len() {
        1 => "1 Function".to_owned(),
        count => format!("{count} Functions"),
    };
    output::note(&format!("ready: {count}; the API is described at {url}/docs"));
}

/// Shows one call of the API. Health checks are left out, and what this command line reads, because it asks again and again.
pub(super) fn show_call(call: &Answered<'_>) {
    let Answered { method, path, user_agent, status, took } = call;
    let is_ours = user_agent.is_some_and(|agent| agent.as_bytes().starts_with(b"tasklane/"));
    if *path != "/healthz" && !(is_ours && **method == Method::GET && status.is_success()) {
        output::note_from("http", &format!("{method} {path} {} {} ms", status.as_u16(), took.as_millis()));
    }
}

/// Shows what Functions log, with their names. If `quiet`, without Lambda's own lines about each run.
pub(super) fn live_log(quiet: bool) -> LiveLog {
    Arc::new(move |batch| {
        let is_shown = |logged: &&LoggedLine| !quiet || !is_platform(&logged.message);
        let line = |logged: &LoggedLine| output::prefixed(logged.function.as_str(), &logged.message);
        let lines: Vec<_> = batch.iter().filter(is_shown).map(line).collect();
        if !lines.is_empty() {
            output::note(&lines.join("\n"));
        }
    })
}

/// Shows every `task_failed` event on stderr.
pub(super) fn show_events(machine: &Machine) -> JoinHandle<()> {
    let mut events = machine.events.watch();
    tokio::spawn(async move {
        loop {
            match events.recv().await {
                Ok(event) => {
                    let TaskEventContent { id, function_name, error, .. } = event.content;
                    // The other events are for the receivers that asked for them.
                    if let (TaskEventKind::TaskFailed, Some(error)) = (event.kind, error) {
                        let text = format!("{function_name} {id}: {}: {}", error.name, error.message);
                        output::note_from("task_failed", &text);
                    }
                }
                Err(RecvError::Lagged(missed)) => output::note(&format!("events | {missed} more")),
                Err(RecvError::Closed) => return,
            }
        }
    })
}
