//! The table of Functions.

use aws_sdk_dynamodb::types::TransactWriteItem;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tasklane_model::{
    Configuration, Deployment, ExecutionOptions, Flow, Function, FunctionName, FunctionVersion, History, JsonSchema,
    Lane, RetryPolicy, TaskEvents, Timeouts, Timestamp, VersionNumber,
};

use super::{
    StoreError,
    calls::CallTokens,
    change::Condition,
    generation::{Generation, Generations},
    row::{NewRow, Row, json, number, time},
    table::Table,
    transaction::{Refusal, Transacted},
};

/// The partition of all Functions: there are hundreds, not millions, and lists are sorted by name.
const ALL: &str = "function";

/// What the partitions of versions begin with.
const VERSIONS: &str = "versions:";

/// The most versions of one Function that are listed.
pub const MOST_VERSIONS: usize = 100;

/// The first format with options of part II of the contract.
const EXTENDED_FORMAT: u32 = 2;

#[derive(Clone)]
pub struct Functions {
    pub(super) table: Table,
    pub(super) generations: Generations,
    pub(super) calls: CallTokens,
}

/// A value and its revision, which an update requires to be unchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned<T> {
    pub value: T,
    pub revision: Revision,
}

/// A version of a Function that is not its current one.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptVersion {
    /// The version.
    pub version: FunctionVersion,
    /// When another one took its place. Absent if it never was the current one.
    pub replaced: Option<Timestamp>,
}

/// Identifies one write of a row, also among writes of earlier rows with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision(u64);

impl Revision {
    /// The revision of a write.
    fn of_call(call: &str) -> Self {
        let hash = Sha256::digest(call);
        Self(hash[..8].iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }
}

impl Functions {
    pub async fn get(&self, name: &FunctionName) -> Result<Option<Versioned<Function>>, StoreError> {
        let row = self.table.get("read the function", ALL, name.as_str()).await?;
        row.map(|row| Ok(Versioned { value: read(&row)?, revision: Revision(row.number("revision")?) })).transpose()
    }

    /// The state of all of them. If it is the same as before, none has changed since, and none was added or removed. `None` if the
    /// deployment does not keep it.
    pub async fn generation(&self) -> Result<Option<Generation>, StoreError> {
        self.generations.now().await
    }

    /// All of them by name, strongly consistent.
    pub async fn list(&self) -> Result<Vec<Function>, StoreError> {
        self.table.all_of("list the functions", ALL).await?.iter().map(read).collect()
    }

    /// Adds one. `false` if the name is taken.
    pub async fn create(&self, function: &Function) -> Result<bool, StoreError> {
        self.write("add the function", function, Condition::absent()).await
    }

    /// Replaces one that is still at `expected`. `false` if it has changed or is gone.
    pub async fn update(&self, function: &Function, expected: Revision) -> Result<bool, StoreError> {
        let unchanged = Condition::new("#revision = :expected").with("expected", number(expected.0));
        self.write("update the function", function, unchanged).await
    }

    /// Removes one. `false` if it does not exist.
    pub async fn delete(&self, name: &FunctionName) -> Result<bool, StoreError> {
        const ACTION: &str = "delete the function";
        let removal = self.table.to_delete_existing(ACTION, ALL, name.as_str())?;
        match self.change(ACTION, vec![removal]).await? {
            Transacted::Done => Ok(true),
            Transacted::Refused(_) => Ok(false),
        }
    }

    /// [`Functions::update`], together with the version that the Function no longer is, or that it does not become.
    pub async fn update_and_keep(
        &self,
        function: &Function,
        expected: Revision,
        kept: &KeptVersion,
    ) -> Result<bool, StoreError> {
        const ACTION: &str = "update the function and keep a version";
        let (row, revision) = self.row_of(function);
        let unchanged = Condition::new("#revision = :expected").with("expected", number(expected.0));
        // The number of a version is drawn with the revision, so no other write can have used it.
        let parts = vec![
            self.table.to_put_when(ACTION, row, unchanged)?,
            self.table.to_put(ACTION, row_of_version(function, kept))?,
        ];
        is_written(self.change(ACTION, parts).await?, revision)
    }

    /// The versions that the Function was before, and those that were made without being switched to, newest first.
    pub async fn versions(&self, function: &Function) -> Result<Vec<KeptVersion>, StoreError> {
        let rows = self.table.all_of("list the versions", &versions_of(function)).await?;
        rows.iter().rev().map(read_version).collect()
    }

    /// One of these.
    pub async fn version(&self, function: &Function, number: VersionNumber) -> Result<Option<KeptVersion>, StoreError> {
        let row = self.table.get("read the version", &versions_of(function), &version_key(number)).await?;
        row.as_ref().map(read_version).transpose()
    }

    /// Forgets some of them.
    pub async fn forget_versions(&self, function: &Function, numbers: &[VersionNumber]) -> Result<(), StoreError> {
        const ACTION: &str = "forget a version";
        for number in numbers {
            let key = version_key(*number);
            self.table.delete_when(ACTION, &versions_of(function), &key, Condition::default()).await?;
        }
        Ok(())
    }

    async fn write(&self, action: &'static str, function: &Function, condition: Condition) -> Result<bool, StoreError> {
        let (row, revision) = self.row_of(function);
        let part = self.table.to_put_when(action, row, condition)?;
        is_written(self.change(action, vec![part]).await?, revision)
    }

    /// Changes one Function, and thereby the generation.
    async fn change(&self, action: &'static str, mut parts: Vec<TransactWriteItem>) -> Result<Transacted, StoreError> {
        parts.extend(self.generations.next(action)?);
        self.table.transact(action, parts).await
    }

    /// The row of a Function in a new revision.
    fn row_of(&self, function: &Function) -> (NewRow, Revision) {
        let revision = Revision::of_call(&self.calls.next());
        let mut row = NewRow::new(ALL, &function.name);
        if function.retry_policy.is_extended()
            || function.store_result.is_some()
            || !function.timeouts.is_empty()
            || !function.events.is_empty()
            || function.flow.is_some()
            || function.data_schema.is_some()
            || function.result_schema.is_some()
            || function.history.canary.is_some()
            || function.configuration.image().is_some()
        {
            // An older process would not know these rules, and would forget them with its next update.
            row = row.in_format(EXTENDED_FORMAT);
        }
        row.set("record", json(&Record::from(function)));
        row.set("revision", number(revision.0));
        (row, revision)
    }
}

/// Whether this revision was written by a transaction that begins with the Function, or by an earlier attempt at it.
fn is_written(transacted: Transacted, revision: Revision) -> Result<bool, StoreError> {
    let refusals = match transacted {
        Transacted::Done => return Ok(true),
        Transacted::Refused(refusals) => refusals,
    };
    match refusals.into_iter().next().flatten() {
        Some(Refusal { row: Some(row) }) => Ok(row.number::<u64>("revision")? == revision.0),
        Some(Refusal { row: None }) | None => Ok(false),
    }
}

/// The versions of a Function that was deleted, if they are still there, are not those of a later one with its name.
fn versions_of(function: &Function) -> String {
    let series = function.history.series.map_or_else(String::new, |series| series.to_string());
    format!("{VERSIONS}{}:{series}", function.name)
}

/// In order of the numbers.
fn version_key(number: VersionNumber) -> String {
    format!("{:010}", number.get())
}

fn row_of_version(function: &Function, kept: &KeptVersion) -> NewRow {
    let mut row = NewRow::new(versions_of(function), version_key(kept.version.note.number));
    if kept.version.configuration.image().is_some() {
        row = row.in_format(EXTENDED_FORMAT);
    }
    row.set("record", json(&kept.version));
    row.set_some("replaced", kept.replaced.map(time));
    row
}

fn read_version(row: &Row) -> Result<KeptVersion, StoreError> {
    Ok(KeptVersion { version: row.secret_json("record")?, replaced: row.optional_time("replaced")? })
}

pub(super) fn read(row: &Row) -> Result<Function, StoreError> {
    let name = FunctionName::parse(row.text("sk")?).map_err(|error| row.corrupt(error))?;
    // Read in two parts, because serde would copy all fields of a flattened value again.
    let configuration: Configuration = row.secret_json("record")?;
    let rest: Rest = row.secret_json("record")?;
    Ok(Function {
        name,
        configuration,
        retry_policy: rest.retry_policy,
        execution_options: rest.execution_options,
        timeouts: rest.timeouts,
        enabled: rest.enabled,
        update_timestamp: rest.update_timestamp,
        deployment: rest.deployment,
        lane: rest.lane,
        store_result: rest.store_result,
        events: rest.events,
        flow: rest.flow,
        data_schema: rest.data_schema,
        result_schema: rest.result_schema,
        // Older than versions: what it is now is the first one.
        history: rest.history.unwrap_or_else(|| History::new(None, rest.update_timestamp)),
        is_inspected: false,
    })
}

/// The stored form of a Function.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(flatten)]
    configuration: &'a Configuration,
    #[serde(flatten)]
    rest: Rest,
}

/// The stored parts of a Function besides its configuration.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rest {
    retry_policy: RetryPolicy,
    execution_options: ExecutionOptions,
    #[serde(default, skip_serializing_if = "Timeouts::is_empty")]
    timeouts: Timeouts,
    enabled: bool,
    update_timestamp: Timestamp,
    deployment: Deployment,
    lane: Lane,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    store_result: Option<bool>,
    #[serde(default, skip_serializing_if = "TaskEvents::is_empty")]
    events: TaskEvents,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    flow: Option<Flow>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    data_schema: Option<JsonSchema>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    result_schema: Option<JsonSchema>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    history: Option<History>,
}

impl<'a> From<&'a Function> for Record<'a> {
    fn from(function: &'a Function) -> Self {
        let Function {
            name: _,
            configuration,
            retry_policy,
            execution_options,
            timeouts,
            enabled,
            update_timestamp,
            deployment,
            lane,
            store_result,
            events,
            flow,
            data_schema,
            result_schema,
            history,
            is_inspected: _,
        } = function;
        let rest = Rest {
            retry_policy: retry_policy.clone(),
            execution_options: execution_options.clone(),
            timeouts: *timeouts,
            enabled: *enabled,
            update_timestamp: *update_timestamp,
            deployment: deployment.clone(),
            lane: *lane,
            store_result: *store_result,
            events: *events,
            flow: flow.clone(),
            data_schema: data_schema.clone(),
            result_schema: result_schema.clone(),
            // One that is no older than its Function's last change has nothing to tell.
            history: (*history != History::new(None, *update_timestamp)).then(|| history.clone()),
        };
        Self { configuration, rest }
    }
}
