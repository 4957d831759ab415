//! The versions of a Function, and its canary (contract §18).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    CanaryPercent, CanaryRuns, Configuration, Deployment, ExecutionOptions, Function, JsonSchema, Lane, ObjectId,
    RetryPolicy, TaskEvents, Timeouts, Timestamp, UserId, VersionNumber, text::checked_text,
};

/// What a version is called: 1–100 characters, e.g. a git commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 1, max_length = 100, example = "4f2c1ab")]
pub struct VersionLabel(String);

/// The string is not a valid [`VersionLabel`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a string of 1 to 100 characters without control characters")]
pub struct InvalidVersionLabel;

impl VersionLabel {
    /// Checks a label by this rule.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidVersionLabel> {
        let text = text.into();
        let fits = (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text)) } else { Err(InvalidVersionLabel) }
    }
}

checked_text!(VersionLabel, InvalidVersionLabel);

/// A part of a Function that belongs to its versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(description = "A part of a Function that belongs to its versions.")]
pub enum VersionField {
    /// The zip, or what the name of the image led to.
    Code,
    /// The handler.
    EntryPoint,
    /// The runtime.
    Runtime,
    /// The name of the container image.
    Image,
    /// What the Function is for.
    Description,
    /// How long one run may take.
    TimeLimit,
    /// How much memory one run may use.
    MemoryLimit,
    /// The environment.
    EnvironmentVariables,
    /// Its secrets.
    Secrets,
    /// What only AWS can carry out.
    Aws,
    /// What happens when a run fails.
    RetryPolicy,
    /// Who may run it, and how.
    ExecutionOptions,
    /// How long its Tasks may wait.
    Timeouts,
    /// Whether results are kept.
    StoreResult,
    /// What its Tasks publish.
    Events,
    /// What the data of its Tasks must look like.
    DataSchema,
    /// What its results look like.
    ResultSchema,
}

/// What is known about a version besides its content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionNote {
    /// Its number.
    pub number: VersionNumber,
    /// When it was made.
    pub created_timestamp: Timestamp,
    /// The user who made it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created_by_user_id: Option<UserId>,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub label: Option<VersionLabel>,
    /// In what it differs from the version that was current when it was made. Empty for the first one.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub changed: Vec<VersionField>,
}

impl VersionNote {
    /// The first version of a Function.
    pub fn first(created_timestamp: Timestamp) -> Self {
        let number = VersionNumber::MIN;
        Self { number, created_timestamp, created_by_user_id: None, label: None, changed: Vec::new() }
    }
}

/// One version of a Function: what it ran, and how. Whether it is enabled, and its flow, belong to no version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionVersion {
    /// What is known about it.
    pub note: VersionNote,
    /// What Lambda holds. Its JSON contains the values of the environment.
    pub configuration: Configuration,
    /// The version in Lambda.
    pub deployment: Deployment,
    /// Whether and when a failed run is retried.
    pub retry_policy: RetryPolicy,
    /// Who may run it, and how.
    pub execution_options: ExecutionOptions,
    /// How long its Tasks may wait.
    #[serde(skip_serializing_if = "Timeouts::is_empty", default)]
    pub timeouts: Timeouts,
    /// Whether the results of its Tasks are kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub store_result: Option<bool>,
    /// What its Tasks publish besides their failures.
    #[serde(skip_serializing_if = "TaskEvents::is_empty", default)]
    pub events: TaskEvents,
    /// What the data of its Tasks must look like.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub data_schema: Option<JsonSchema>,
    /// What its results look like.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub result_schema: Option<JsonSchema>,
}

impl FunctionVersion {
    /// The Function as it is, under this note.
    pub fn of(function: &Function, note: VersionNote) -> Self {
        Self {
            note,
            configuration: function.configuration.clone(),
            deployment: function.deployment.clone(),
            retry_policy: function.retry_policy.clone(),
            execution_options: function.execution_options.clone(),
            timeouts: function.timeouts,
            store_result: function.store_result,
            events: function.events,
            data_schema: function.data_schema.clone(),
            result_schema: function.result_schema.clone(),
        }
    }

    /// Makes the Function equal to this version, in all that belongs to versions.
    pub fn apply_to(&self, function: &mut Function) {
        let Self {
            note: _,
            configuration,
            deployment,
            retry_policy,
            execution_options,
            timeouts,
            store_result,
            events,
            data_schema,
            result_schema,
        } = self;
        function.configuration.clone_from(configuration);
        function.deployment.clone_from(deployment);
        function.retry_policy.clone_from(retry_policy);
        function.execution_options.clone_from(execution_options);
        function.timeouts = *timeouts;
        function.store_result = *store_result;
        function.events = *events;
        function.data_schema.clone_from(data_schema);
        function.result_schema.clone_from(result_schema);
        if function.execution_options.concurrency_limit.is_some() {
            function.lane = Lane::Own;
        }
    }
}

impl VersionNumber {
    /// The number of the version after this one; `None` after the last one.
    pub fn next(self) -> Option<Self> {
        Self::new(i64::from(self) + 1).ok()
    }
}

/// In what two states of a Function differ, of all that belongs to versions.
pub fn changed_fields(old: &Function, new: &Function) -> Vec<VersionField> {
    let (before, after) = (&old.configuration, &new.configuration);
    let differs = [
        (VersionField::Code, old.deployment.code_sha256 != new.deployment.code_sha256),
        (VersionField::EntryPoint, before.entry_point() != after.entry_point()),
        (VersionField::Runtime, before.runtime() != after.runtime()),
        (VersionField::Image, before.image() != after.image()),
        (VersionField::Description, before.description != after.description),
        (VersionField::TimeLimit, before.time_limit != after.time_limit),
        (VersionField::MemoryLimit, before.memory_limit != after.memory_limit),
        (VersionField::EnvironmentVariables, before.environment != after.environment),
        (VersionField::Secrets, before.secrets != after.secrets),
        (VersionField::Aws, before.aws != after.aws),
        (VersionField::RetryPolicy, old.retry_policy != new.retry_policy),
        (VersionField::ExecutionOptions, old.execution_options != new.execution_options),
        (VersionField::Timeouts, old.timeouts != new.timeouts),
        (VersionField::StoreResult, old.store_result != new.store_result),
        (VersionField::Events, old.events != new.events),
        (VersionField::DataSchema, old.data_schema != new.data_schema),
        (VersionField::ResultSchema, old.result_schema != new.result_schema),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect()
}

/// Which version of a Function is current, and which one is being tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Tells its versions from those of an earlier Function with its name. Absent for a Function that is older than
    /// versions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub series: Option<ObjectId>,
    /// The version that the Function is.
    pub current: VersionNote,
    /// The highest number so far: a version may be made without being switched to.
    pub newest: VersionNumber,
    /// The version that gets a part of the runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub canary: Option<Canary>,
    /// How the last canary ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_canary: Option<EndedCanary>,
}

impl History {
    /// That of a Function with one version, made now.
    pub fn new(series: Option<ObjectId>, now: Timestamp) -> Self {
        Self { series, current: VersionNote::first(now), newest: VersionNumber::MIN, canary: None, last_canary: None }
    }

    /// Ends the canary, if there is one.
    pub fn end_canary(&mut self, reason: CanaryEnd, now: Timestamp) {
        if let Some(canary) = self.canary.take() {
            self.last_canary = Some(EndedCanary { version: canary.version, ended_timestamp: now, reason });
        }
    }
}

/// A version that a part of the runs is given to, and the current version gets the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// Its number.
    pub version: VersionNumber,
    /// Which part.
    pub percent: CanaryPercent,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fail_when: Option<FailWhen>,
    /// When it began. Tells it from an earlier canary of the same version.
    pub started_timestamp: Timestamp,
    /// What Lambda holds of that version. Everything else, such as who may run the Function, is the current version's.
    pub configuration: Configuration,
    /// The version in Lambda.
    pub deployment: Deployment,
}

impl Canary {
    /// Whether it gets the runs of the chain that begins with this id. A retry stays where the chain is.
    pub fn gets(&self, first: ObjectId) -> bool {
        // FNV-1a, which spreads ids that were made in the same second.
        let hash = first
            .to_string()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        (hash >> 32) % 100 < u64::from(self.percent.get())
    }
}

/// The canary ends when this many of its last runs have failed. A run that is retried has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(description = "The canary ends when so many of its last runs have failed. A run that is retried has failed.")]
pub struct FailWhen {
    /// How many failed runs.
    pub failures: CanaryRuns,
    /// Of how many: of its last ones.
    pub of: CanaryRuns,
}

/// A canary that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(description = "A canary that has ended.")]
pub struct EndedCanary {
    /// The version that was tried.
    pub version: VersionNumber,
    /// When it ended.
    pub ended_timestamp: Timestamp,
    /// Why.
    pub reason: CanaryEnd,
}

/// Why a canary has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(description = "Why a canary has ended.")]
pub enum CanaryEnd {
    /// As many of its runs failed as `failWhen` says.
    Failed,
    /// A caller stopped it.
    Stopped,
    /// Another version became current, or another canary began.
    Replaced,
}

impl CanaryEnd {
    /// The reason in words, after a colon.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Failed => "too many of its runs failed",
            Self::Stopped => "it was stopped",
            Self::Replaced => "something else took its place",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_gets_about_its_part_of_the_chains_and_keeps_each_of_them() {
        let configuration = Configuration::new(
            super::super::EntryPoint::parse("index.handler").unwrap(),
            super::super::Runtime::new("nodejs20.x"),
        );
        let deployment = Deployment { version: "2".to_owned(), code_sha256: super::super::CodeSha256::of(b"code") };
        let canary = |percent| Canary {
            version: VersionNumber::new(2).unwrap(),
            percent: CanaryPercent::new(percent).unwrap(),
            fail_when: None,
            started_timestamp: Timestamp::EPOCH,
            configuration: configuration.clone(),
            deployment: deployment.clone(),
        };
        for percent in [1, 10, 50, 99] {
            let canary = canary(percent);
            let ids = || (0..10_000).map(|chance| ObjectId::new("2026-01-31T12:00:00Z".parse().unwrap(), chance));
            let gets = i64::try_from(ids().filter(|id| canary.gets(*id)).count()).unwrap();
            assert!((gets - percent * 100).abs() < 200, "{gets} of 10,000 at {percent} %");
            assert!(ids().all(|id| canary.gets(id) == canary.gets(id)));
        }
        // A chain that is in a small canary is in a larger one, too.
        let (small, large) = (canary(10), canary(20));
        let both = (0..1000).map(|chance| ObjectId::new(Timestamp::EPOCH, chance));
        assert!(both.filter(|id| small.gets(*id)).all(|id| large.gets(id)));
    }

    #[test]
    fn labels_are_short_and_printable() {
        assert!(VersionLabel::parse("4f2c1ab").is_ok());
        for text in [String::new(), "a".repeat(101), "a\nb".to_owned(), "\u{1b}[31m".to_owned()] {
            assert_eq!(VersionLabel::parse(text), Err(InvalidVersionLabel));
        }
    }
}
