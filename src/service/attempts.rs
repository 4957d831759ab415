//! The chain of a Task and its retries (contract §13).

use tasklane_model::{Attempt, Error, ObjectId, Page, PageWindow, Result};

use super::Service;

impl Service {
    /// Every Task of a Task's chain in one page, oldest first; `query` is echoed and otherwise ignored. 16 when there is no
    /// such Task.
    pub async fn task_attempts(&self, id: ObjectId, query: &str) -> Result<Page<Attempt>> {
        let chain = self.inner.store.tasks.chain(id).await?.ok_or_else(|| Error::unknown("task", id))?;
        let data: Vec<_> = chain
            .into_iter()
            .map(|record| Attempt::of(&record.task, record.run.as_ref().map(|run| run.started)))
            .collect();
        let total = data.len() as u64;
        let page = PageWindow { total: Some(total), limit: total, ..PageWindow::default() };
        Ok(Page { query: query.to_owned(), page, data })
    }
}
