//! The vocabulary of the service: Function, Task, Schedule, API Request, Caller, and the rules that their values follow.
//!
//! The types cannot hold an invalid value: values are parsed at the edge and trusted afterwards. Nothing in this module
//! does I/O, reads a clock or draws a random number.

#![warn(missing_docs)]

pub mod account;
pub mod api_request;
pub mod attempt;
pub mod aws_options;
pub mod bulk;
mod byte_size;
pub mod caller;
pub mod caller_name;
pub mod causes;
pub mod code_sha256;
pub mod configuration;
pub mod cron;
pub mod debounce;
pub mod environment;
pub mod error;
pub mod events;
pub mod failure;
pub mod flow;
pub mod follow;
pub mod function;
pub mod gate;
pub mod id;
mod image;
pub mod interval;
pub mod json;
pub mod json_schema;
pub mod lambda;
pub mod limits;
pub mod occurrences;
pub mod once;
pub mod options;
pub mod overview;
pub mod page;
pub mod permission;
pub mod rehearsal;
pub mod retry;
pub mod role;
pub mod runtime;
pub mod schedule;
pub mod schedule_change;
pub mod secret;
pub mod secret_reference;
pub mod shorten;
pub mod stats;
pub mod task;
mod text;
pub mod time;
pub mod time_zone;
pub mod timeouts;
pub mod upload;
pub mod version;
pub mod why;

pub use account::{Account, AccountText, EmailAddress, LoginAttempts, Password};
pub use api_request::{ApiRequest, ApiRequestError, ApiRequestErrorKind, Method};
pub use attempt::Attempt;
pub use aws_options::{
    Architecture, AwsOptions, LayerArn, Layers, LogRetentionDays, RoleArn, SecurityGroupIds, SnapStart, SubnetIds,
    TracingMode, Vpc,
};
pub use bulk::{Bulk, BulkAction, BulkCreated, BulkOrder, BulkSelection, BulkStatus, NewBulk, SkipReason, Skipped};
pub use byte_size::ByteSize;
pub use caller::{Application, Caller, Identity, Lineage, User};
pub use caller_name::{ApplicationId, UserId};
pub use causes::with_causes;
pub use code_sha256::CodeSha256;
pub use configuration::{Configuration, EntryPoint, Program};
pub use cron::Cron;
pub use debounce::{Debounce, DebounceKey, DebounceMode};
pub use environment::{Environment, InvalidEnvironment};
pub use error::{Error, ErrorKind, Result};
pub use events::{TaskEventKind, TaskEvents, UnknownTaskEvent};
pub use failure::Failure;
pub use flow::{Flow, FlowKey, FlowKeyState, FlowPath, FlowRate};
pub use follow::OnComplete;
pub use function::{Deployment, Function, FunctionName, FunctionSummary, Lane};
pub use gate::Gate;
pub use id::ObjectId;
pub use image::ImageReference;
pub use interval::Interval;
pub use json::Json;
pub use json_schema::{CompiledSchema, InvalidSchema, JsonSchema, Misfit};
pub use lambda::{FunctionError, FunctionSpec, Invocation, InvokeError, InvokeRequest, Outcome};
pub use limits::{
    Advance, CanaryPercent, CanaryRuns, ConcurrencyLimit, DebounceSeconds, EphemeralStorage, FailTimes,
    FlowConcurrency, MaxRetries, MemoryLimit, MostDebounceSeconds, PerSecond, Priority, QueuedTimeout, RateCount,
    RateSeconds, RetrySeconds, TimeLimit, UploadSize, VersionNumber,
};
pub use occurrences::Recurrence;
pub use once::{BodyDigest, IdempotencyKey, Made, Once, OnceScope};
pub use options::{ExecutionOptions, FunctionOptions, PermissionMode};
pub use overview::{FunctionLoad, Overview, SlotUse};
pub use page::{AffectedRecords, Page, PageWindow};
pub use permission::{Permission, Permissions, UnknownPermission};
pub use rehearsal::{Advanced, Failing, Failures};
pub use retry::{Backoff, ErrorNames, RetryPolicy, RetryPolicyChange, RetryStrategy, RetryStrategyFields};
pub use role::{Role, RoleName, RolePermissions};
pub use runtime::{Runtime, RuntimeFamily};
pub use schedule::{CatchUp, ManagedBy, NewSchedule, Overlap, Schedule, ScheduleName};
pub use schedule_change::{RecurrenceFields, ScheduleChange};
pub use secret::Secret;
pub use secret_reference::{SecretPlace, SecretReference, Secrets};
pub use shorten::shorten;
pub use stats::{Lateness, RunStats, StatsRange};
pub use task::{NewTask, Tags, Task, TaskError, TaskErrorKind, TaskOptions, TaskOrigin, TaskStatus};
pub use time::Timestamp;
pub use time_zone::TimeZone;
pub use timeouts::Timeouts;
pub use upload::{Upload, UploadId};
pub use version::{
    Canary, CanaryEnd, EndedCanary, FailWhen, FunctionVersion, History, VersionField, VersionLabel, VersionNote,
    changed_fields,
};
pub use why::{Full, Reason, Why};
