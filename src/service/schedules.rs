//! Schedules: create, list, delete (contract §3).

use serde_json::Value;

use super::Service;
use crate::{
    model::{AffectedRecords, Caller, Error, NewSchedule, ObjectId, Page, Result, Schedule},
    rql::Query,
};

impl Service {
    /// A page of Schedules.
    pub async fn list_schedules(&self, query: &Query) -> Result<Page<Value>> {
        let _ = query;
        Err(Error::internal("not built yet"))
    }

    /// Creates a Schedule; 16 when its Function does not exist.
    pub async fn create_schedule(&self, caller: &Caller, new: NewSchedule) -> Result<Schedule> {
        let _ = (caller, new);
        Err(Error::internal("not built yet"))
    }

    /// Deletes a Schedule; 16 when there is none.
    pub async fn delete_schedule(&self, id: ObjectId) -> Result<AffectedRecords> {
        let _ = id;
        Err(Error::internal("not built yet"))
    }
}
