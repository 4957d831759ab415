//! What is made when it is first used.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, LazyLock},
};

type Make<T> = Box<dyn FnOnce() -> T + Send>;

/// Made when it is first used: with each client of an AWS service comes the whole table of AWS's regions and endpoints, and
/// a handler that starts has use for one or two of seven. Clones share what is made.
pub struct OnDemand<T>(Arc<LazyLock<T, Make<T>>>);

impl<T> OnDemand<T> {
    /// What `make` makes.
    pub fn new(make: impl FnOnce() -> T + Send + 'static) -> Self {
        Self(Arc::new(LazyLock::new(Box::new(make))))
    }
}

impl<T: Send + 'static> From<T> for OnDemand<T> {
    fn from(made: T) -> Self {
        Self::new(move || made)
    }
}

impl<T> Deref for OnDemand<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for OnDemand<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for OnDemand<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDemand").finish_non_exhaustive()
    }
}
