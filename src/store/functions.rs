//! Functions.

use crate::model::{Function, FunctionName};

use super::StoreError;

/// The table of Functions.
#[derive(Clone)]
pub struct Functions {}

/// A value as it was read, with what an update must find unchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// Its revision.
    pub revision: Revision,
}

/// Counts the writes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision(u64);

impl Functions {
    /// Reads one, strongly consistent.
    pub async fn get(&self, name: &FunctionName) -> Result<Option<Versioned<Function>>, StoreError> {
        todo!()
    }

    /// All of them by name, strongly consistent.
    pub async fn list(&self) -> Result<Vec<Function>, StoreError> {
        todo!()
    }

    /// Adds one. `false`: the name is taken.
    pub async fn create(&self, function: &Function) -> Result<bool, StoreError> {
        todo!()
    }

    /// Replaces one that is still at `expected`. `false`: it is not, or gone.
    pub async fn update(&self, function: &Function, expected: Revision) -> Result<bool, StoreError> {
        todo!()
    }

    /// Removes one. `false`: there is none.
    pub async fn delete(&self, name: &FunctionName) -> Result<bool, StoreError> {
        todo!()
    }
}
