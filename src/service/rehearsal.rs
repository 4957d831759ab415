//! What tests can do to a service that was started for them (contract §23).

use tasklane_model::{Advance, Advanced, Error, ErrorKind, Failing, Failures, FunctionName, Result};
use tasklane_ports::PortFuture;

use super::Service;

/// The clock and the failures of a service that was started for tests.
pub trait Rehearsal: Send + Sync + std::fmt::Debug {
    /// Sets the clock forward. Whatever becomes due on the way happens at its time, and has happened before this returns.
    fn advance(&self, by: Advance) -> PortFuture<'_, Result<Advanced>>;

    /// Lets the next runs of this Function fail, instead of those that were to fail until now.
    fn fail(&self, function: &FunctionName, failures: Failures);
}

impl Service {
    /// Sets the clock forward; 27 when runs or Tasks without end keep it from getting there. ENDPOINT_EXCEPTION in a service
    /// that is not for tests.
    pub async fn advance_clock(&self, by: Advance) -> Result<Advanced> {
        self.rehearsal()?.advance(by).await
    }

    /// Lets the next runs of a Function fail without running its code; 16 when there is no such Function.
    /// ENDPOINT_EXCEPTION in a service that is not for tests.
    pub async fn fail_runs(&self, function: FunctionName, failures: Failures) -> Result<Failing> {
        let rehearsal = self.rehearsal()?;
        if self.inner.functions.find(&function).await?.is_none() {
            return Err(Error::unknown("function", &function));
        }
        let times = failures.times;
        rehearsal.fail(&function, failures);
        Ok(Failing { function_name: function, times })
    }

    fn rehearsal(&self) -> Result<&dyn Rehearsal> {
        self.inner.settings.rehearsal.as_deref().ok_or_else(|| {
            let message = "This service is not for tests: only one that was started with `tasklane dev --test-clock` has \
                           a clock that can be set.";
            Error::new(ErrorKind::Endpoint, message)
        })
    }
}
