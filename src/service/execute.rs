//! Direct execution: a Task that runs at once, past the queue, while its caller waits (contract §4).

use serde::Serialize;

use super::Service;
use crate::model::{Caller, Error, Json, Result, Task};

/// A finished Task and what its Function returned.
#[derive(Clone, Debug, Serialize)]
pub struct Executed {
    /// The Task, complete.
    #[serde(flatten)]
    pub task: Task,
    /// The returned JSON; it is not stored.
    pub result: Json,
}

impl Service {
    /// Runs a Function and answers what it returned. 104 and 10 by its permission mode (contract §6), 27 when it is
    /// disabled, 1403, 1404, 1405, and 1406 when the code threw.
    pub async fn execute(&self, caller: &Caller, function: &str, data: Option<Json>) -> Result<Executed> {
        let _ = (caller, function, data);
        Err(Error::internal("not built yet"))
    }
}
