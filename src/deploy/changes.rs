//! What CloudFormation would change.

use std::fmt;

use aws_sdk_cloudformation::types::{ChangeAction, Replacement, ResourceChange};

/// What a deployment would change.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The stack does not exist yet.
    pub is_new: bool,
    /// The resources that would change; none if everything is as it should be.
    pub changes: Vec<Change>,
    /// The change set that does it.
    pub(crate) change_set: String,
}

/// One resource that would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happens: `Add`, `Modify`, `Remove`, …
    pub action: String,
    /// The resource's name in the template.
    pub resource: String,
    /// Its type, such as `AWS::DynamoDB::Table`.
    pub kind: String,
    /// Another resource takes its place.
    pub replaces: bool,
}

impl Change {
    pub(crate) fn of(change: &ResourceChange) -> Self {
        Self {
            action: change.action().map_or("Change", ChangeAction::as_str).to_owned(),
            resource: change.logical_resource_id().unwrap_or_default().to_owned(),
            kind: change.resource_type().unwrap_or_default().to_owned(),
            replaces: change.replacement() == Some(&Replacement::True),
        }
    }

    /// Whether data would be lost, or kept outside of the stack: a table is replaced or removed.
    pub fn endangers_data(&self) -> bool {
        let holds_data = ["AWS::DynamoDB::Table", "AWS::KMS::Key"].contains(&self.kind.as_str());
        holds_data && (self.replaces || self.action == "Remove")
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.replaces { " (replaced by another one)" } else { "" };
        write!(f, "{:<6}  {}  {}{how}", self.action, self.resource, self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(action: ChangeAction, kind: &str, replacement: Replacement) -> Change {
        let change = ResourceChange::builder().action(action).logical_resource_id("TasksTable").resource_type(kind);
        Change::of(&change.replacement(replacement).build())
    }

    #[test]
    fn a_change_says_what_happens_and_whether_data_is_in_danger() {
        let replaced = change(ChangeAction::Modify, "AWS::DynamoDB::Table", Replacement::True);
        assert_eq!(replaced.to_string(), "Modify  TasksTable  AWS::DynamoDB::Table (replaced by another one)");
        assert!(replaced.endangers_data());
        assert!(change(ChangeAction::Remove, "AWS::KMS::Key", Replacement::False).endangers_data());
        assert!(!change(ChangeAction::Modify, "AWS::DynamoDB::Table", Replacement::False).endangers_data());
        assert!(!change(ChangeAction::Modify, "AWS::Lambda::Version", Replacement::True).endangers_data());
    }
}
