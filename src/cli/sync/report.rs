//! The result for each Function, for people and for programs.

use std::{fmt::Write, io};

use serde::Serialize;
use serde_json::Value;
use tasklane_model::{VersionNumber, with_causes};

use super::{
    super::{output, table::plain},
    plan::{Action, Change, Kind, Plan},
};

/// What happened to one Function, or would happen.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// The Function's name, or the file's if that could not be read.
    #[serde(flatten)]
    subject: Subject,
    action: Done,
    changes: Vec<Change>,
    /// What the Function has and the file does not name; `to` is the default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kept: Vec<Change>,
    /// What is left out of the package without being asked to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
    /// What else its author should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
    /// The version that was made without being switched to.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<VersionNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What a report is about.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Subject {
    /// A Function.
    Name(String),
    /// A file that describes no Function, or one that another file describes, too.
    File(String),
}

impl Subject {
    fn as_str(&self) -> &str {
        match self {
            Self::Name(text) | Self::File(text) => text,
        }
    }
}

/// The present tense is for plans, the past for completed actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Done {
    Create,
    Update,
    Created,
    Updated,
    Published,
    Unchanged,
    Delete,
    Deleted,
    Failed,
}

impl Report {
    pub(super) fn of(name: &str, plan: &Plan, left_out: Vec<String>, only_plan: bool) -> Self {
        let action = match (plan.action, only_plan) {
            (Action::Create, true) => Done::Create,
            (Action::Create, false) => Done::Created,
            (Action::Update, true) => Done::Update,
            (Action::Update, false) => Done::Updated,
            (Action::Nothing, _) => Done::Unchanged,
        };
        let (changes, kept) = (plan.changes.clone(), plan.kept.clone());
        let subject = Subject::Name(name.to_owned());
        Self { subject, action, changes, kept, left_out, remarks: Vec::new(), version: None, error: None }
    }

    /// The same, with a remark.
    pub(super) fn remarking(mut self, remark: Option<String>) -> Self {
        self.remarks.extend(remark);
        self
    }

    /// The same, for a version that was only made.
    pub(super) fn published(self, version: VersionNumber) -> Self {
        Self { action: Done::Published, version: Some(version), ..self }
    }

    /// A Function that no file describes.
    pub(super) fn deleted(name: &str, only_plan: bool) -> Self {
        let action = if only_plan { Done::Delete } else { Done::Deleted };
        Self {
            subject: Subject::Name(name.to_owned()),
            action,
            changes: Vec::new(),
            kept: Vec::new(),
            left_out: Vec::new(),
            remarks: Vec::new(),
            version: None,
            error: None,
        }
    }

    /// A Function could not be synced.
    pub(super) fn failed(name: &str, error: &anyhow::Error) -> Self {
        Self::failure(Subject::Name(name.to_owned()), error)
    }

    /// A file could not be used.
    pub(super) fn unreadable(file: &str, error: &anyhow::Error) -> Self {
        Self::failure(Subject::File(file.to_owned()), error)
    }

    fn failure(subject: Subject, error: &anyhow::Error) -> Self {
        let error = Some(with_causes(error.as_ref()));
        let (kept, left_out) = (Vec::new(), Vec::new());
        let (action, changes, remarks) = (Done::Failed, Vec::new(), Vec::new());
        Self { subject, action, changes, kept, left_out, remarks, version: None, error }
    }

    pub(super) fn is_failure(&self) -> bool {
        self.action == Done::Failed
    }

    pub(super) fn differs(&self) -> bool {
        !self.changes.is_empty() || self.action == Done::Delete
    }

    /// Prints the result: success on stdout, failure on stderr.
    pub(super) fn tell(&self) -> io::Result<()> {
        if self.is_failure() {
            output::note(&self.to_text());
            return Ok(());
        }
        output::data(&self.to_text())?;
        let remarks = [kept_line(&self.kept), left_out_line(&self.left_out)].into_iter().flatten();
        remarks
            .chain(self.remarks.iter().cloned())
            .for_each(|line| output::note(&format!("{}: {line}", self.subject.as_str())));
        Ok(())
    }

    pub(super) fn to_text(&self) -> String {
        let name = self.subject.as_str();
        match self.action {
            Done::Failed => {
                let error = self.error.as_deref().unwrap_or_default();
                // A configuration's error begins with the file, which is the name here.
                if error.starts_with(name) { format!("error: {error}") } else { format!("error: {name}: {error}") }
            }
            Done::Created => format!("{name}: created"),
            Done::Updated if self.changes.is_empty() => format!("{name}: uploaded again"),
            Done::Updated => format!("{name}: updated ({})", fields(&self.changes).join(", ")),
            Done::Published => {
                let number = self.version.map_or_else(String::new, |version| version.to_string());
                format!("{name}: published as version {number} ({})", fields(&self.changes).join(", "))
            }
            Done::Delete => format!("{name}: would be deleted, because no file describes it"),
            Done::Deleted => format!("{name}: deleted, because no file describes it"),
            Done::Unchanged => format!("{name}: unchanged"),
            Done::Create => format!("{name}: would be created{}", self.differences()),
            Done::Update => format!("{name}: would be updated{}", self.differences()),
        }
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

/// The changed properties as files name them, each once and without what is inside of it.
pub(crate) fn fields(changes: &[Change]) -> Vec<String> {
    let mut fields = Vec::new();
    for change in changes {
        let mut field = property_of(&change.field);
        field.truncate(field.find('.').unwrap_or(field.len()));
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    fields
}

/// Says what the Function has and the file does not name, or nothing if there is no such thing.
pub(crate) fn kept_line(kept: &[Change]) -> Option<String> {
    let one = |change: &Change| {
        let property = property_of(&change.field);
        match &change.from {
            Some(Value::String(text)) => format!("{property} {}", plain(text)),
            Some(value) => format!("{property} {}", shown(value)),
            None => property,
        }
    };
    let all: Vec<_> = kept.iter().map(one).collect();
    (!all.is_empty())
        .then(|| format!("kept, not in the file: {} (`tasklane sync --exact` resets them)", all.join(", ")))
}

/// How many files are named.
const NAMED: usize = 5;

/// Says what is left out of the package, or nothing if there is no such thing.
pub(crate) fn left_out_line(left_out: &[String]) -> Option<String> {
    let named: Vec<_> = left_out.iter().take(NAMED).map(|name| plain(name)).collect();
    let more = match left_out.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let file = tasklane_task_config::IGNORE_FILE;
    (!named.is_empty())
        .then(|| format!("left out of the package: {}{more} (`!NAME` in {file} takes a file in)", named.join(", ")))
}

/// The name in a file of a field of the API.
fn property_of(field: &str) -> String {
    match field.split_once('.') {
        Some(("executionOptions", "permissionMode")) => "executionPermission".to_owned(),
        Some(("executionOptions", option)) => option.to_owned(),
        Some(("environmentVariables", name)) => format!("environment.{}", plain(name)),
        _ => field.to_owned(),
    }
}

fn shown(value: &Value) -> String {
    plain(&value.to_string())
}
