//! The fields of each list's records and their types, so that a query's values are read as the right type.

use super::FieldPath;

/// The fields of a list's records.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Every field whose kind is known. Fields that are not listed are [`FieldKind::Any`].
    pub fields: &'static [Field],
}

/// One field of a record.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The dotted path.
    pub name: &'static str,
    /// The kind of value that it holds.
    pub kind: FieldKind,
    /// Whether a record may lack the field. Only then `null` means "absent" rather than the string.
    pub optional: bool,
}

/// What kind of value a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// An id of the service, compared as hex digits, so that case does not matter.
    Id,
    /// A string, whatever the value looks like.
    Text,
    /// A number.
    Number,
    /// A timestamp, compared as a point in time, so that every notation works.
    Timestamp,
    /// A list of strings.
    TextList,
    /// A list of ids.
    IdList,
    /// An object whose fields are listed separately.
    Object,
    /// A user's own JSON; the type of a value is guessed or given by a cast.
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
            maybe("replayOf", FieldKind::Id),
            maybe("error", FieldKind::Object),
            maybe("error.type", FieldKind::Text),
            maybe("error.name", FieldKind::Text),
            maybe("error.message", FieldKind::Text),
            maybe("functionVersion", FieldKind::Number),
            maybe("scheduleId", FieldKind::Id),
            maybe("occurrenceTimestamp", FieldKind::Timestamp),
        ],
    };

    /// Schedules.
    pub const SCHEDULES: Self = Self {
        fields: &[
            always("id", FieldKind::Id),
            maybe("name", FieldKind::Text),
            maybe("interval", FieldKind::Number),
            maybe("cron", FieldKind::Text),
            maybe("timezone", FieldKind::Text),
            always("functionName", FieldKind::Text),
            maybe("data", FieldKind::Any),
            maybe("priority", FieldKind::Number),
            always("startTimestamp", FieldKind::Timestamp),
            maybe("endTimestamp", FieldKind::Timestamp),
            maybe("nextTimestamp", FieldKind::Timestamp),
            maybe("overlap", FieldKind::Text),
            maybe("catchUp", FieldKind::Text),
            maybe("managedBy", FieldKind::Text),
            always("creationTimestamp", FieldKind::Timestamp),
            always("updateTimestamp", FieldKind::Timestamp),
            maybe("createdByUserId", FieldKind::Text),
            maybe("createdByApplicationId", FieldKind::Text),
        ],
    };

    /// Bulk operations (contract §17).
    pub const BULKS: Self = Self {
        fields: &[
            always("id", FieldKind::Id),
            always("action", FieldKind::Text),
            always("status", FieldKind::Text),
            always("matches", FieldKind::Number),
            always("done", FieldKind::Number),
            maybe("rql", FieldKind::Text),
            maybe("reason", FieldKind::Text),
            maybe("createdByUserId", FieldKind::Text),
            maybe("createdByApplicationId", FieldKind::Text),
            always("creationTimestamp", FieldKind::Timestamp),
            always("updateTimestamp", FieldKind::Timestamp),
            maybe("endedTimestamp", FieldKind::Timestamp),
        ],
    };

    /// Flow keys (contract §14).
    pub const FLOW_KEYS: Self = Self {
        fields: &[
            always("key", FieldKind::Text),
            always("running", FieldKind::Number),
            always("waiting", FieldKind::Number),
            maybe("nextTimestamp", FieldKind::Timestamp),
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

    /// Roles (contract §21). Their names are those of the upstream service, which has underscores here.
    pub const ROLES: Self = Self {
        fields: &[
            always("id", FieldKind::Id),
            always("name", FieldKind::Text),
            always("description", FieldKind::Text),
            always("permissions", FieldKind::Any),
            always("creation_timestamp", FieldKind::Timestamp),
            always("update_timestamp", FieldKind::Timestamp),
        ],
    };

    /// Users with an account.
    pub const USERS: Self = Self {
        fields: &[
            always("id", FieldKind::Id),
            always("email", FieldKind::Text),
            always("first_name", FieldKind::Text),
            always("last_name", FieldKind::Text),
            always("phone_number", FieldKind::Text),
            always("language", FieldKind::Text),
            always("time_zone", FieldKind::Text),
            always("roles", FieldKind::Any),
            always("creation_timestamp", FieldKind::Timestamp),
            always("update_timestamp", FieldKind::Timestamp),
        ],
    };

    /// Log lines of one run: only `timestamp` can be queried (contract §3).
    pub(super) const RUN_LOGS: Self = Self { fields: &[always("timestamp", FieldKind::Timestamp)] };

    /// Log lines of a Function: only `eventTimestamp` can be queried (contract §3).
    pub(super) const FUNCTION_LOGS: Self = Self { fields: &[always("eventTimestamp", FieldKind::Timestamp)] };

    /// The field at a path; an unknown one may hold anything or be absent.
    pub fn field(&self, path: &FieldPath) -> Field {
        self.fields.iter().find(|field| path.is(field.name)).copied().unwrap_or(maybe("", FieldKind::Any))
    }
}

impl FieldKind {
    /// The kind of a list's elements; for anything but a list, the kind itself.
    pub fn element(self) -> Self {
        match self {
            Self::TextList => Self::Text,
            Self::IdList => Self::Id,
            Self::Id | Self::Text | Self::Number | Self::Timestamp | Self::Object | Self::Any => self,
        }
    }
}
