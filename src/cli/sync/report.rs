//! The result for each Function, for people and for programs.

use std::{fmt::Write, io};

use serde::Serialize;
use serde_json::Value;
use tasklane_model::with_causes;

use super::{
    super::{output, table::plain},
    plan::{Action, Change, Kind, Plan},
};

/// What happened to one Function, or would happen.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The Function's name, or the file's if that has no valid name.
    name: String,
    action: Done,
    changes: Vec<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The present tense is for plans, the past for completed actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Done {
    Create,
    Update,
    Created,
    Updated,
    Unchanged,
    Failed,
}

impl Report {
    pub(super) fn of(name: &str, plan: &Plan, only_plan: bool) -> Self {
        let action = match (plan.action, only_plan) {
            (Action::Create, true) => Done::Create,
            (Action::Create, false) => Done::Created,
            (Action::Update, true) => Done::Update,
            (Action::Update, false) => Done::Updated,
            (Action::Nothing, _) => Done::Unchanged,
        };
        Self { name: name.to_owned(), action, changes: plan.changes.clone(), error: None }
    }

    pub(super) fn failed(name: &str, error: &anyhow::Error) -> Self {
        let error = Some(with_causes(error.as_ref()));
        Self { name: name.to_owned(), action: Done::Failed, changes: Vec::new(), error }
    }

    pub(super) fn is_failure(&self) -> bool {
        self.action == Done::Failed
    }

    pub(super) fn differs(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Prints the result: success on stdout, failure on stderr.
    pub(super) fn tell(&self) -> io::Result<()> {
        if self.is_failure() {
            output::note(&self.to_text());
            return Ok(());
        }
        output::data(&self.to_text())
    }

    pub(super) fn to_text(&self) -> String {
        let name = &self.name;
        match self.action {
            Done::Failed => {
                let error = self.error.as_deref().unwrap_or_default();
                // A configuration's error begins with the file, which is the name here.
                if error.starts_with(name.as_str()) {
                    format!("error: {error}")
                } else {
                    format!("error: {name}: {error}")
                }
            }
            Done::Created => format!("{name}: created"),
            Done::Updated if self.changes.is_empty() => format!("{name}: uploaded again"),
            Done::Updated => format!("{name}: updated ({})", self.fields().join(", ")),
            Done::Unchanged => format!("{name}: unchanged"),
            Done::Create => format!("{name}: would be created{}", self.differences()),
            Done::Update => format!("{name}: would be updated{}", self.differences()),
        }
    }

    /// The top-level names of the changed fields, each once.
    fn fields(&self) -> Vec<&str> {
        let mut fields = Vec::new();
        for change in &self.changes {
            let field = change.field.split('.').next().unwrap_or(&change.field);
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
        fields
    }

    fn differences(&self) -> String {
        let mut lines = String::new();
        for change in &self.changes {
            let sign = match change.change {
                Kind::Added => '+',
                Kind::Changed => '~',
                Kind::Removed => '-',
            };
            // Writing to a `String` cannot fail.
            let _ = write!(lines, "\n  {sign} {}", plain(&change.field));
            let _ = match (&change.from, &change.to) {
                (Some(from), Some(to)) => write!(lines, ": {} -> {}", shown(from), shown(to)),
                (None, Some(value)) | (Some(value), None) => write!(lines, ": {}", shown(value)),
                (None, None) => write!(lines, " (value hidden)"),
            };
        }
        lines
    }
}

fn shown(value: &Value) -> String {
    plain(&value.to_string())
}
