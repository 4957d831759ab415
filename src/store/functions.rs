//! The table of Functions.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tasklane_model::{
    Configuration, Deployment, ExecutionOptions, Flow, Function, FunctionName, Lane, RetryPolicy, TaskEvents, Timeouts,
    Timestamp,
};

use super::{
    StoreError,
    calls::CallTokens,
    change::Condition,
    row::{NewRow, Row, json, number},
    table::{Table, Written},
};

/// The partition of all Functions: there are hundreds, not millions, and lists are sorted by name.
const ALL: &str = "function";

/// The first format with options of part II of the contract.
const EXTENDED_FORMAT: u32 = 2;

#[derive(Clone)]
pub struct Functions {
    pub(super) table: Table,
    pub(super) calls: CallTokens,
}

/// A value and its revision, which an update requires to be unchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned<T> {
    pub value: T,
    pub revision: Revision,
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
        self.table.remove("delete the function", ALL, name.as_str()).await
    }

    async fn write(&self, action: &'static str, function: &Function, condition: Condition) -> Result<bool, StoreError> {
        let revision = Revision::of_call(&self.calls.next());
        let mut row = NewRow::new(ALL, &function.name);
        if function.retry_policy.is_extended()
            || function.store_result.is_some()
            || !function.timeouts.is_empty()
            || !function.events.is_empty()
            || function.flow.is_some()
        {
            // An older process would not know these rules, and would forget them with its next update.
            row = row.in_format(EXTENDED_FORMAT);
        }
        row.set("record", json(&Record::from(function)));
        row.set("revision", number(revision.0));
        match self.table.put(action, row, condition).await? {
            Written::Done(_) => Ok(true),
            Written::Refused(Some(row)) => Ok(row.number::<u64>("revision")? == revision.0),
            Written::Refused(None) => Ok(false),
        }
    }
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
        };
        Self { configuration, rest }
    }
}
