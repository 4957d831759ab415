//! How the runs of canaries ended (contract §18), one small row for each run.

use std::{sync::Arc, time::Duration};

use tasklane_model::{Canary, Function, ObjectId};
use tasklane_ports::Clock;

use super::{
    StoreError,
    change::Condition,
    lanes::timed,
    row::{EXPIRES, NewRow, number},
    table::{Partition, Table},
};

/// How long the end of a run matters.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The ends of the runs of canaries that end by themselves.
#[derive(Clone)]
pub struct Canaries {
    pub(super) control: Table,
    pub(super) clock: Arc<dyn Clock>,
}

impl Canaries {
    /// Notes how a run of this canary ended, once for each id.
    pub async fn note(
        &self,
        function: &Function,
        canary: &Canary,
        id: ObjectId,
        failed: bool,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut row = NewRow::new(partition(function, canary), timed(now, id));
        row.set("failed", number(u8::from(failed)));
        row.set(EXPIRES, number(now.saturating_add(REMEMBERED).as_secs()));
        self.control.put("note how a run of the canary ended", row, Condition::default()).await.map(|_| ())
    }

    /// How many of the last runs of this canary failed, of at most `of`.
    pub async fn failures(&self, function: &Function, canary: &Canary, of: u16) -> Result<u16, StoreError> {
        const ACTION: &str = "count the failures of the canary";
        let partition = partition(function, canary);
        let query = self
            .control
            .query(&Partition { index: None, key: "pk", value: &partition })
            .key_condition_expression("#partition = :partition")
            .scan_index_forward(false)
            .limit(i32::from(of));
        // A thousand rows of 150 bytes are less than one page.
        let page = self.control.page(ACTION, &query).await?;
        let mut failures = 0;
        for item in page.items.unwrap_or_default() {
            failures += self.control.row(item)?.number::<u16>("failed")?;
        }
        Ok(failures)
    }
}

/// A later canary, also of the same version, starts with no runs.
fn partition(function: &Function, canary: &Canary) -> String {
    let (number, started) = (canary.version, canary.started_timestamp.as_millis());
    let series = function.history.series.map_or_else(String::new, |series| series.to_string());
    format!("canary:{}:{series}:{number}:{started}", function.name)
}
