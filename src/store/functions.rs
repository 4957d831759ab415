//! Functions.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::{
    Deployment, EntryPoint, Environment, ExecutionOptions, Function, FunctionName, Lane, MemoryLimit, RetryPolicy,
    Runtime, TimeLimit, Timestamp,
};

use super::{
    StoreError,
    calls::CallTokens,
    change::Condition,
    row::{NewRow, Row, json, number},
    table::{Table, Written},
};

/// The partition of every Function: there are hundreds, not millions, and lists of them are by name.
const ALL: &str = "function";

/// The table of Functions.
#[derive(Clone)]
pub struct Functions {
    pub(super) table: Table,
    pub(super) calls: CallTokens,
}

/// A value as it was read, with what an update must find unchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// Its revision.
    pub revision: Revision,
}

/// Tells one write of a row from every other, also of a row of the same key that was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision(u64);

impl Revision {
    /// The revision that a call makes.
    fn of_call(call: &str) -> Self {
        let hash = Sha256::digest(call);
        Self(hash[..8].iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }
}

impl Functions {
    /// Reads one, strongly consistent.
    pub async fn get(&self, name: &FunctionName) -> Result<Option<Versioned<Function>>, StoreError> {
        let row = self.table.get("read the function", ALL, name.as_str()).await?;
        row.map(|row| Ok(Versioned { value: read(&row)?, revision: Revision(row.number("revision")?) })).transpose()
    }

    /// All of them by name, strongly consistent.
    pub async fn list(&self) -> Result<Vec<Function>, StoreError> {
        self.table.all_of("list the functions", ALL).await?.iter().map(read).collect()
    }

    /// Adds one. `false`: the name is taken.
    pub async fn create(&self, function: &Function) -> Result<bool, StoreError> {
        self.write("add the function", function, Condition::absent()).await
    }

    /// Replaces one that is still at `expected`. `false`: it is not, or gone.
    pub async fn update(&self, function: &Function, expected: Revision) -> Result<bool, StoreError> {
        let unchanged = Condition::new("#revision = :expected").with("expected", number(expected.0));
        self.write("update the function", function, unchanged).await
    }

    /// Removes one. `false`: there is none.
    pub async fn delete(&self, name: &FunctionName) -> Result<bool, StoreError> {
        self.table.remove("delete the function", ALL, name.as_str()).await
    }

    async fn write(&self, action: &'static str, function: &Function, condition: Condition) -> Result<bool, StoreError> {
        let revision = Revision::of_call(&self.calls.next());
        let mut row = NewRow::new(ALL, &function.name);
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
    let record: Record = row.secret_json("record")?;
    let name = FunctionName::parse(row.text("sk")?).map_err(|error| row.corrupt(error))?;
    record.into_function(name).map_err(|why| row.corrupt(why))
}

/// A Function as it is stored. The environment holds the user's secrets, so this has no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    description: Option<String>,
    entry_point: EntryPoint,
    runtime: Runtime,
    time_limit: TimeLimit,
    memory_limit: MemoryLimit,
    environment: BTreeMap<String, String>,
    retry_policy: RetryPolicy,
    execution_options: ExecutionOptions,
    enabled: bool,
    update_timestamp: Timestamp,
    deployment: Deployment,
    lane: Lane,
}

impl From<&Function> for Record {
    fn from(function: &Function) -> Self {
        Self {
            description: function.description.clone(),
            entry_point: function.entry_point.clone(),
            runtime: function.runtime.clone(),
            time_limit: function.time_limit,
            memory_limit: function.memory_limit,
            environment: function.environment.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            retry_policy: function.retry_policy.clone(),
            execution_options: function.execution_options.clone(),
            enabled: function.enabled,
            update_timestamp: function.update_timestamp,
            deployment: function.deployment.clone(),
            lane: function.lane,
        }
    }
}

impl Record {
    fn into_function(self, name: FunctionName) -> Result<Function, impl fmt::Display> {
        Environment::parse(self.environment).map(|environment| Function {
            name,
            description: self.description,
            entry_point: self.entry_point,
            runtime: self.runtime,
            time_limit: self.time_limit,
            memory_limit: self.memory_limit,
            environment,
            retry_policy: self.retry_policy,
            execution_options: self.execution_options,
            enabled: self.enabled,
            update_timestamp: self.update_timestamp,
            deployment: self.deployment,
            lane: self.lane,
        })
    }
}
