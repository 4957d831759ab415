//! What the records of each list hold, so that a query's values are read as what they are compared with.

use super::FieldPath;

/// The fields of a list's records.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Every field whose kind is known. A field below one of kind [`FieldKind::Any`] or [`FieldKind::Object`] that is
    /// not listed, and every other one, is [`FieldKind::Any`].
    pub fields: &'static [Field],
}

/// One field of a record.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its dotted path.
    pub name: &'static str,
    /// What it holds.
    pub kind: FieldKind,
    /// Whether a record may lack it. Only then is the word `null` read as "absent" and not as a text.
    pub optional: bool,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// An id of ours: compared as hex digits, so upper case is as good as lower case.
    Id,
    /// A text: whatever the value looks like, it is taken as text.
    Text,
    /// A number.
    Number,
    /// A moment, printed as text: compared as moments, so every way of writing one will do.
    Timestamp,
    /// A list of texts.
    TextList,
    /// A list of ids.
    IdList,
    /// An object whose fields are listed themselves.
    Object,
    /// A user's own JSON: values are typed by guess or cast.
    Any,
}

const fn always(name: &'static str, kind: FieldKind) -> Field {
    Field { name, kind, optional: false }
}

const fn maybe(name: &'static str, kind: FieldKind) -> Field {
    Field { name, kind, optional: true }
}

impl Schema {
    /// Tasks (contract §4).
    pub const TASKS: Self = Self {
        fields: &[
            always("id", FieldKind::Id),
            always("functionName", FieldKind::Text),
            always("status", FieldKind::Text),
            always("statusChangedTimestamp", FieldKind::Timestamp),
            maybe("data", FieldKind::Any),
            always("tags", FieldKind::TextList),
            always("startTimestamp", FieldKind::Timestamp),
            always("priority", FieldKind::Number),
            maybe("createdByUserId", FieldKind::Text),
            maybe("createdByApplicationId", FieldKind::Text),
            always("creationTimestamp", FieldKind::Timestamp),
            always("updateTimestamp", FieldKind::Timestamp),
            maybe("retryForTaskIds", FieldKind::IdList),
            maybe("retriedByTaskId", FieldKind::Id),
            maybe("error", FieldKind::Object),
            maybe("error.type", FieldKind::Text),
            maybe("error.name", FieldKind::Text),
            maybe("error.message", FieldKind::Text),
        ],
    };

    /// Schedules.
    pub const SCHEDULES: Self = Self {
        fields: &[
            always("id", FieldKind::Id),
            always("interval", FieldKind::Number),
            always("functionName", FieldKind::Text),
            maybe("data", FieldKind::Any),
            maybe("priority", FieldKind::Number),
            always("startTimestamp", FieldKind::Timestamp),
            always("nextTimestamp", FieldKind::Timestamp),
            always("creationTimestamp", FieldKind::Timestamp),
            always("updateTimestamp", FieldKind::Timestamp),
            maybe("createdByUserId", FieldKind::Text),
            maybe("createdByApplicationId", FieldKind::Text),
        ],
    };

    /// API Requests (contract §5).
    pub const API_REQUESTS: Self = Self {
        fields: &[
            always("id", FieldKind::Id),
            always("functionName", FieldKind::Text),
            always("method", FieldKind::Text),
            always("path", FieldKind::Text),
            maybe("userId", FieldKind::Text),
            maybe("applicationId", FieldKind::Text),
            always("statusCode", FieldKind::Number),
            always("timestamp", FieldKind::Timestamp),
            always("duration", FieldKind::Number),
            maybe("error", FieldKind::Object),
            maybe("error.type", FieldKind::Text),
            maybe("error.name", FieldKind::Text),
            maybe("error.message", FieldKind::Text),
        ],
    };

    /// Log lines of one run: only `timestamp` can be asked for (contract §3).
    pub(super) const RUN_LOGS: Self = Self { fields: &[always("timestamp", FieldKind::Timestamp)] };

    /// Log lines of a Function: only `eventTimestamp` can be asked for (contract §3).
    pub(super) const FUNCTION_LOGS: Self = Self { fields: &[always("eventTimestamp", FieldKind::Timestamp)] };

    /// What a field holds; an unknown one holds anything, and may be absent.
    pub fn field(&self, path: &FieldPath) -> Field {
        self.fields.iter().find(|field| path.is(field.name)).copied().unwrap_or(maybe("", FieldKind::Any))
    }
}

impl FieldKind {
    /// What an element of the field holds, when it is a list; itself when it is not.
    pub fn element(self) -> Self {
        match self {
            Self::TextList => Self::Text,
            Self::IdList => Self::Id,
            Self::Id | Self::Text | Self::Number | Self::Timestamp | Self::Object | Self::Any => self,
        }
    }
}
