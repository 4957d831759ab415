//! Limits the slots that callers without a credential may hold: never all of them.

use std::sync::Arc;

use tasklane_model::{Caller, Error, ErrorKind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::settings::AnonymousConcurrency;

/// The runs of callers without a credential.
pub(super) struct AnonymousRuns {
    api: Option<Arc<Semaphore>>,
    direct: Option<Arc<Semaphore>>,
}

/// Held for as long as a run takes.
pub(super) type Admission = Option<OwnedSemaphorePermit>;

impl AnonymousRuns {
    pub(super) fn new(limits: Option<AnonymousConcurrency>) -> Self {
        let semaphore = |permits: u16| Arc::new(Semaphore::new(usize::from(permits)));
        Self { api: limits.map(|limits| semaphore(limits.api)), direct: limits.map(|limits| semaphore(limits.direct)) }
    }

    /// For a call of an API Function (1412).
    pub(super) fn admit_to_api(&self, caller: &Caller) -> Result<Admission> {
        admit(&self.api, caller, ErrorKind::ConcurrentApiFunctionLimit)
    }

    /// For a direct execution (1403).
    pub(super) fn admit_to_execution(&self, caller: &Caller) -> Result<Admission> {
        admit(&self.direct, caller, ErrorKind::ConcurrentExecutionLimit)
    }
}

fn admit(runs: &Option<Arc<Semaphore>>, caller: &Caller, full: ErrorKind) -> Result<Admission> {
    match runs {
        Some(runs) if caller.identity().is_none() => Arc::clone(runs).try_acquire_owned().map(Some).map_err(|_| {
            let message = "The limit of concurrent runs for callers who are not logged in is reached. Try again later.";
            Error::new(full, message)
        }),
        Some(_) | None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tasklane_model::{Identity, Permissions, UserId};

    #[test]
    fn callers_without_a_credential_hold_at_most_half_of_the_slots() {
        let runs = AnonymousRuns::new(Some(AnonymousConcurrency::half_of(20, 5)));
        let api: Vec<_> = (0..10).map(|_| runs.admit_to_api(&Caller::Nobody).unwrap()).collect();
        assert_eq!(runs.admit_to_api(&Caller::Nobody).unwrap_err().kind(), ErrorKind::ConcurrentApiFunctionLimit);
        let direct: Vec<_> = (0..2).map(|_| runs.admit_to_execution(&Caller::Nobody).unwrap()).collect();
        assert_eq!(runs.admit_to_execution(&Caller::Nobody).unwrap_err().kind(), ErrorKind::ConcurrentExecutionLimit);
        let ada = Caller::User(
            Identity { user_id: UserId::parse("ada").unwrap(), application_id: None, permissions: Permissions::none() }
                .into(),
        );
        assert!(runs.admit_to_api(&ada).is_ok() && runs.admit_to_execution(&ada).is_ok());
        drop((api, direct));
        assert!(runs.admit_to_api(&Caller::Nobody).is_ok() && runs.admit_to_execution(&Caller::Nobody).is_ok());
        assert_eq!(AnonymousConcurrency::half_of(1, 1), AnonymousConcurrency { api: 1, direct: 1 });
    }
}
