//! Work that continues when its caller stops waiting.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// Runs `work` where it is awaited, and in its own task only once nobody awaits it any more: spawning a task for each piece
/// of work, and waking its caller at the end, would often take longer than the work. `tracker` tracks it until it ends.
///
/// A panic propagates to the caller and ends the work. Must be called within a tokio runtime.
pub fn detach_on_drop<F>(tracker: &TaskTracker, work: F) -> DetachOnDrop<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let work = Some((Box::pin(work), tracker.token()));
    DetachOnDrop { work, tracker: tracker.clone(), runtime: Handle::current() }
}

/// See [`detach_on_drop`].
#[must_use = "it does nothing before it is awaited or dropped"]
pub struct DetachOnDrop<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    /// `None` once it has ended.
    work: Option<(Pin<Box<F>>, TaskTrackerToken)>,
    tracker: TaskTracker,
    runtime: Handle,
}

impl<F> Future for DetachOnDrop<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out while it is polled, so that work that panics does not continue.
        let Some((mut work, token)) = self.work.take() else { return Poll::Pending };
        match work.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(output),
            Poll::Pending => {
                self.work = Some((work, token));
                Poll::Pending
            }
        }
    }
}

impl<F> Drop for DetachOnDrop<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn drop(&mut self) {
        if let Some((work, _counted)) = self.work.take() {
            self.runtime.spawn(self.tracker.track_future(work));
        }
    }
}

impl<F> fmt::Debug for DetachOnDrop<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DetachOnDrop").field("is_done", &self.work.is_none()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{panic::AssertUnwindSafe, sync::Arc};

    use futures::FutureExt as _;
    use tokio::sync::{Notify, oneshot};

    use super::*;

    /// Work that waits for a notification, and a receiver that hears when it is done.
    fn work(go_on: &Arc<Notify>) -> (impl Future<Output = u8> + Send + 'static, oneshot::Receiver<()>) {
        let (done, is_done) = oneshot::channel();
        let go_on = Arc::clone(go_on);
        let work = async move {
            go_on.notified().await;
            let _ = done.send(());
            7
        };
        (work, is_done)
    }

    #[tokio::test]
    async fn a_waiting_caller_gets_the_result() {
        let (tracker, go_on) = (TaskTracker::new(), Arc::new(Notify::new()));
        go_on.notify_one();
        assert_eq!(detach_on_drop(&tracker, work(&go_on).0).await, 7);
        assert!(tracker.is_empty());
    }

    #[tokio::test]
    async fn work_continues_without_its_caller_even_if_it_has_not_begun() {
        for had_begun in [false, true] {
            let (tracker, go_on) = (TaskTracker::new(), Arc::new(Notify::new()));
            let (work, is_done) = work(&go_on);
            let mut waiting = detach_on_drop(&tracker, work);
            if had_begun {
                assert_eq!((&mut waiting).now_or_never(), None);
            }
            drop(waiting);
            assert_eq!(tracker.len(), 1, "it is tracked");
            go_on.notify_one();
            is_done.await.unwrap();
            tracker.close();
            tracker.wait().await;
        }
    }

    #[tokio::test]
    async fn a_panic_reaches_the_caller_and_ends_the_work() {
        let tracker = TaskTracker::new();
        let work = async { panic!("on purpose") };
        let mut waiting = detach_on_drop(&tracker, work);
        let panic = AssertUnwindSafe(&mut waiting).catch_unwind().await;
        let panic: Result<(), _> = panic;
        assert!(panic.is_err());
        drop(waiting);
        assert!(tracker.is_empty());
    }
}
