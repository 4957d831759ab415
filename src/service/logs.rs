//! The log lines of Functions: by Task, by API Request, by Function.

use std::time::Duration;

use serde::Serialize;
use tasklane_model::{Error, ErrorKind, FunctionName, ObjectId, PageWindow, Result, TaskStatus, Timestamp, shorten};
use tasklane_ports::{LogLine, LogPage, PortError, RunLogQuery};
use tasklane_rql::{FunctionLogBounds, RunLogBounds, Window};
use utoipa::ToSchema;

use super::Service;

/// The answer of a logs endpoint: `{page: {offset, limit}, data: [{message, timestamp}]}`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LogsAnswer {
    /// The position of this page.
    pub page: PageWindow,
    /// The lines, oldest first.
    pub data: Vec<LogLine>,
}

/// The largest size of a page that exceeds its limit, in bytes: on AWS a response can have at most 6 MB.
const LONGEST_PAGE: usize = 4 << 20;

/// How long after the end of a run its last lines may have their time stamp.
const STRAGGLERS: Duration = Duration::from_secs(60);

impl Service {
    /// The log lines of a Task's run; 16 when there is no such Task, 27 before it ran, 1408 when no line is found yet.
    pub async fn task_logs(&self, id: ObjectId, bounds: &RunLogBounds) -> Result<LogsAnswer> {
        let record = self.inner.store.tasks.get(id).await?.ok_or_else(|| Error::unknown("task", id))?;
        let task = record.task;
        let to = match task.status {
            TaskStatus::New | TaskStatus::Canceled => {
                let message = format!("The task is {}: it has not run, so it has no logs.", task.status);
                return Err(Error::new(ErrorKind::IllegalState, message));
            }
            TaskStatus::InProgress => self.inner.ports.clock.now(),
            TaskStatus::Complete | TaskStatus::Failed | TaskStatus::Retried => task.status_changed_timestamp,
        };
        let started = record.run.map_or(task.creation_timestamp, |run| run.started);
        let request_id = record.request_id.as_deref();
        let lines = self.run_logs(&task.function_name, id, request_id, started, to, bounds).await?;
        answer(lines, bounds, ErrorKind::NoTaskLogsFound)
    }

    /// The log lines of an API Request's run; 16 when there is no such record, 1413 when no line is found yet.
    pub async fn api_request_logs(&self, id: ObjectId, bounds: &RunLogBounds) -> Result<LogsAnswer> {
        let found = self.inner.store.api_requests.get(id).await?;
        let request = found.ok_or_else(|| Error::unknown("API request", id))?;
        let ended = request.timestamp.saturating_add(Duration::from_secs_f64(request.duration.clamp(0.0, 900.0)));
        let request_id = request.request_id.as_deref();
        let lines = self.run_logs(&request.function_name, id, request_id, request.timestamp, ended, bounds).await?;
        answer(lines, bounds, ErrorKind::NoApiRequestLogsFound)
    }

    /// The log lines of all runs of a Function between two moments (deprecated endpoint). 16 when there is no such
    /// Function.
    pub async fn function_logs(&self, name: &str, bounds: &FunctionLogBounds) -> Result<Vec<LogLine>> {
        let unknown = || Error::unknown("function", shorten(name));
        let name = FunctionName::parse(name).map_err(|_| unknown())?;
        self.inner.functions.find(&name).await?.ok_or_else(unknown)?;
        let read = |page| self.inner.ports.logs.of_function(&name, bounds.from, bounds.to, page);
        whole_moment(bounds.window, Some(bounds.from), read).await.map_err(Error::internal)
    }

    async fn run_logs(
        &self,
        function: &FunctionName,
        correlation: ObjectId,
        request_id: Option<&str>,
        started: Timestamp,
        ended: Timestamp,
        bounds: &RunLogBounds,
    ) -> Result<Vec<LogLine>> {
        let query = RunLogQuery {
            function,
            correlation,
            request_id,
            from: started,
            since: bounds.from,
            to: ended.saturating_add(STRAGGLERS),
            page: log_page(bounds.window),
        };
        let read = |page| self.inner.ports.logs.of_run(RunLogQuery { page, ..query.clone() });
        whole_moment(bounds.window, bounds.from, read).await.map_err(Error::internal)
    }
}

/// Reads a page of lines that are not older than `from`.
///
/// A client may continue from the moment of the last line that it saw, without an offset. A burst may log more lines within
/// one millisecond than fit a page. Such a page contains all lines of that millisecond and a full page after them;
/// otherwise the client would get the same page forever.
async fn whole_moment<F>(
    window: Window,
    from: Option<Timestamp>,
    read: impl Fn(LogPage) -> F,
) -> Result<Vec<LogLine>, PortError>
where
    F: Future<Output = Result<Vec<LogLine>, PortError>>,
{
    let mut page = log_page(window);
    let mut lines = read(page).await?;
    let Some(from) = from.filter(|_| page.offset == 0 && page.limit > 0) else { return Ok(lines) };
    let limit = page.limit;
    let is_older = |line: &LogLine| line.timestamp <= from;
    let size = |lines: &[LogLine]| lines.iter().map(|line| line.message.len()).sum::<usize>();
    while lines.len() == page.limit && lines.iter().all(is_older) && size(&lines) < LONGEST_PAGE {
        page.limit = page.limit.saturating_mul(4);
        lines = read(page).await?;
    }
    if page.limit > limit {
        let of_moment = lines.iter().take_while(|line| is_older(line)).count();
        lines.truncate(of_moment.saturating_add(limit));
        let mut bytes = 0_usize;
        let fits = lines.iter().take_while(|line| {
            bytes += line.message.len();
            bytes <= LONGEST_PAGE
        });
        let fits = fits.count().max(limit);
        lines.truncate(fits);
    }
    Ok(lines)
}

/// The page of these lines; the error `none` when the whole log of a run is empty.
fn answer(data: Vec<LogLine>, bounds: &RunLogBounds, none: ErrorKind) -> Result<LogsAnswer> {
    if data.is_empty() && bounds.window.offset == 0 && bounds.from.is_none() {
        return Err(Error::new(none, "No log lines were found yet; they may arrive a moment after the run."));
    }
    let Window { limit, offset } = bounds.window;
    Ok(LogsAnswer { page: PageWindow { offset, limit, ..PageWindow::default() }, data })
}

fn log_page(window: Window) -> LogPage {
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    LogPage { offset: size(window.offset), limit: size(window.limit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(millis: i64, message: String) -> LogLine {
        LogLine { timestamp: Timestamp::from_millis(millis).unwrap(), message }
    }

    /// The times of the lines on a page of this log, from time `from` on.
    async fn page(log: &[LogLine], from: Option<i64>, offset: u64, limit: u64) -> Vec<i64> {
        let from = from.map(|millis| Timestamp::from_millis(millis).unwrap());
        let since: Vec<_> = log.iter().filter(|line| from.is_none_or(|from| line.timestamp >= from)).cloned().collect();
        let read = |page: LogPage| {
            let lines = since.iter().skip(page.offset).take(page.limit).cloned().collect();
            std::future::ready(Ok(lines))
        };
        let lines = whole_moment(Window { offset, limit }, from, read).await.unwrap();
        lines.iter().map(|line| line.timestamp.as_millis()).collect()
    }

    #[tokio::test]
    async fn a_page_has_all_lines_of_its_first_moment_and_a_full_page_after_them() {
        let log: Vec<_> = [1, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6, 7, 8, 9].map(|at| line(at, "x".to_owned())).into();
        let moment = vec![5; 11];
        assert_eq!(page(&log, Some(5), 0, 2).await, [moment.as_slice(), &[6, 7]].concat());
        assert_eq!(page(&log[..12], Some(5), 0, 2).await, moment, "the log ends with the moment");
        // A page that goes beyond the moment has the usual length.
        assert_eq!(page(&log, Some(6), 0, 2).await, [6, 7]);
        assert_eq!(page(&log, Some(5), 0, 12).await, [moment.as_slice(), &[6]].concat());
        // Without a start time, or with an offset, the client makes progress by itself.
        assert_eq!(page(&log, None, 0, 2).await, [1, 5]);
        assert_eq!(page(&log, Some(5), 3, 2).await, [5, 5]);
        assert_eq!(page(&log, Some(5), 0, 0).await, [0; 0]);
    }

    #[tokio::test]
    async fn a_page_with_a_whole_moment_is_cut_at_the_longest_page() {
        let text = "x".repeat(LONGEST_PAGE / 8);
        let log: Vec<_> = (0..40).map(|_| line(5, text.clone())).collect();
        assert_eq!(page(&log, Some(5), 0, 2).await.len(), 8);
        assert_eq!(page(&log, Some(5), 0, 3).await.len(), 8);
        assert_eq!(page(&log, Some(5), 0, 16).await.len(), 16, "as many lines as were asked for");
    }
}
