//! Functions: create, list, get, update, delete, enable, disable (contract §2).

use bytes::Bytes;

use super::Service;
use crate::model::{
    AffectedRecords, ConcurrencyLimit, EntryPoint, Environment, Error, Function, FunctionName, FunctionSummary,
    MemoryLimit, Page, PermissionMode, Priority, Result, RetryPolicy, Runtime, TimeLimit,
};

/// What a caller gives to create a Function.
#[derive(Clone, Debug)]
pub struct NewFunction {
    /// Its name.
    pub name: FunctionName,
    /// The zip.
    pub code: Bytes,
    /// What Lambda calls.
    pub entry_point: EntryPoint,
    /// What runs it.
    pub runtime: Runtime,
    /// Everything that has a default. Its own `code`, `entry_point` and `runtime` are ignored.
    pub options: FunctionChange,
}

/// A change of a Function: what is absent keeps its value.
#[derive(Clone, Debug, Default)]
pub struct FunctionChange {
    /// The zip.
    pub code: Option<Bytes>,
    /// At most 256 characters; `Some(None)` takes it away.
    pub description: Option<Option<String>>,
    /// What Lambda calls.
    pub entry_point: Option<EntryPoint>,
    /// What runs it.
    pub runtime: Option<Runtime>,
    /// How long one run may take.
    pub time_limit: Option<TimeLimit>,
    /// How much memory one run may take.
    pub memory_limit: Option<MemoryLimit>,
    /// The environment, whole.
    pub environment: Option<Environment>,
    /// The retry policy, whole.
    pub retry_policy: Option<RetryPolicy>,
    /// `executionOptions.permissionMode`.
    pub permission_mode: Option<PermissionMode>,
    /// `executionOptions.defaultPriority`.
    pub default_priority: Option<Priority>,
    /// `executionOptions.concurrencyLimit`; `Some(None)` takes it away.
    pub concurrency_limit: Option<Option<ConcurrencyLimit>>,
}

impl Service {
    /// Every Function in one page, by name; `query` is echoed and otherwise ignored (contract §2).
    pub async fn list_functions(&self, query: &str) -> Result<Page<FunctionSummary>> {
        let _ = query;
        Err(Error::internal("not built yet"))
    }

    /// Creates a Function and its Lambda function. 17 when the name is taken, 1401 for code that is no zip, 1402 for
    /// what Lambda would refuse, 15 for a name too long for the deployment's prefix.
    pub async fn create_function(&self, new: NewFunction) -> Result<Function> {
        let _ = new;
        Err(Error::internal("not built yet"))
    }

    /// One Function; 16 when there is none.
    pub async fn get_function(&self, name: &str) -> Result<Function> {
        let _ = name;
        Err(Error::internal("not built yet"))
    }

    /// Changes a Function, atomically for callers; 16 when there is none.
    pub async fn update_function(&self, name: &str, change: FunctionChange) -> Result<AffectedRecords> {
        let _ = (name, change);
        Err(Error::internal("not built yet"))
    }

    /// Deletes a Function; its Tasks, API Requests and logs stay readable. 16 when there is none.
    pub async fn delete_function(&self, name: &str) -> Result<AffectedRecords> {
        let _ = name;
        Err(Error::internal("not built yet"))
    }

    /// Enables or disables a Function; 16 when there is none.
    pub async fn set_function_enabled(&self, name: &str, enabled: bool) -> Result<AffectedRecords> {
        let _ = (name, enabled);
        Err(Error::internal("not built yet"))
    }
}
