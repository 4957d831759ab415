//! Clients that are made when they are first used.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, LazyLock},
};

use aws_config::SdkConfig;

type Make<C> = Box<dyn FnOnce() -> C + Send>;

/// A client of one AWS service, made when it is first used: with each comes the whole table of AWS's regions and endpoints,
/// and a handler that starts has use for one or two of seven. Clones share what is made.
pub(super) struct OnDemand<C>(Arc<LazyLock<C, Make<C>>>);

impl<C: 'static> OnDemand<C> {
    /// With this configuration and the SDK's `Client::new`.
    pub fn new(config: &SdkConfig, make: fn(&SdkConfig) -> C) -> Self {
        let config = config.clone();
        Self(Arc::new(LazyLock::new(Box::new(move || make(&config)))))
    }
}

impl<C> Deref for OnDemand<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

impl<C> Clone for OnDemand<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> fmt::Debug for OnDemand<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDemand").finish_non_exhaustive()
    }
}
