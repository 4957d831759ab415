//! Slots: what limits how many Tasks run at once, without a counter per Task.

use std::fmt;

use crate::model::{FunctionName, Timestamp};

use super::{RunnerId, StoreError};

/// Who holds how many slots of each scope.
#[derive(Clone)]
pub struct SlotLedger {}

/// What a limit is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotScope {
    /// All running Tasks of the deployment.
    Tasks,
    /// The running Tasks of one Function.
    Function(FunctionName),
}

impl fmt::Display for SlotScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tasks => f.write_str("tasks"),
            Self::Function(name) => write!(f, "function:{name}"),
        }
    }
}

impl SlotLedger {
    /// Sets what `holder` holds of the scope's slots until `expires`: `wanted`, or what the others leave of `limit`
    /// when that is less. 0 releases. Answers what the holder now holds.
    ///
    /// Exact whoever races: the slots of unexpired holders never exceed the limit that the last writer gave.
    pub async fn lease(
        &self,
        scope: &SlotScope,
        holder: &RunnerId,
        wanted: u16,
        limit: u16,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<u16, StoreError> {
        todo!()
    }

    /// How many slots of the scope are held by anybody.
    pub async fn held(&self, scope: &SlotScope, now: Timestamp) -> Result<u16, StoreError> {
        todo!()
    }
}
