//! Values that are made on first use.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, LazyLock},
};

type Make<T> = Box<dyn FnOnce() -> T + Send>;

/// A value that is made on first use. Each client of an AWS service brings the whole table of AWS's regions and
/// endpoints, and at its start a handler needs only one or two of seven clients. Clones share the value.
pub struct OnDemand<T>(Arc<LazyLock<T, Make<T>>>);

impl<T> OnDemand<T> {
    /// A value that `make` makes on first use.
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
