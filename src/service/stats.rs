//! How runs ended over time (contract §23).

use tasklane_model::{
    Error, ErrorKind, Page, PageWindow, Result, RunStats, StatsRange,
    stats::{MOST_RECORDS, MOST_STEPS},
};
use tasklane_ports::{PortError, PortFuture};

use super::Service;

/// Remembers how runs ended. A process has one if it sees all of them.
pub trait RunHistory: Send + Sync + std::fmt::Debug {
    /// What is remembered of this range, by step and Function; at most `most` records and one.
    fn read(&self, range: StatsRange, most: usize) -> PortFuture<'_, std::result::Result<Vec<RunStats>, PortError>>;
}

impl Service {
    /// How runs ended, by step and Function, the earliest first. ENDPOINT_EXCEPTION where no process sees all runs; 26 for
    /// more than an answer can hold.
    pub async fn stats(&self, range: StatsRange, query: &str) -> Result<Page<RunStats>> {
        let Some(history) = &self.inner.settings.history else {
            let message = "This service runs on many machines, and keeps no statistics. CloudWatch has its metrics.";
            return Err(Error::new(ErrorKind::Endpoint, message));
        };
        let steps = range.to.since(range.from).as_millis().div_ceil(range.step.as_millis().max(1));
        if range.from >= range.to || steps > u128::from(MOST_STEPS) {
            let message = format!(
                "'from' must be before 'to', with at most {MOST_STEPS} steps between them: use a longer 'step'."
            );
            return Err(Error::new(ErrorKind::IllegalArgument, message));
        }
        let data = history.read(range, MOST_RECORDS).await.map_err(Error::internal)?;
        if data.len() > MOST_RECORDS {
            let message = format!(
                "There would be more than {MOST_RECORDS} records: use a longer 'step', a shorter range, or 'perFunction=false'."
            );
            return Err(Error::new(ErrorKind::IllegalArgument, message));
        }
        let total = data.len() as u64;
        let page = PageWindow { total: Some(total), limit: total, ..PageWindow::default() };
        Ok(Page { query: query.to_owned(), page, data })
    }
}
