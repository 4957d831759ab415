//! Work that continues after a response: a run whose caller has stopped waiting, versions to delete, slots to give
//! back.
//!
//! Lambda freezes a process once its runtime and all its extensions have asked for the next event. So this process is
//! an extension of itself: the response leaves at once, and the process stays awake until its work is done.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>

use std::{convert::Infallible, sync::Arc};

use tasklane_aws::{
    Stack,
    extension::{Extension, ExtensionError},
};
use tasklane_service::Service;
use tokio::sync::Notify;

/// The extension's name.
pub const NAME: &str = "after-answers";

/// Keeps the process awake after each response until its work is done and its slots are returned.
#[derive(Clone)]
pub struct AfterAnswers {
    answered: Arc<Notify>,
}

impl AfterAnswers {
    /// Starts. `registered` is the result of registering the extension with Lambda.
    pub fn start(registered: Result<Extension, ExtensionError>, stack: Arc<Stack>, service: Service) -> Self {
        let answered = Arc::new(Notify::new());
        let work = Work { answered: Arc::clone(&answered), stack, service };
        tokio::spawn(async move {
            match registered {
                Ok(extension) => {
                    let Err(error) = work.after_invocations(extension).await;
                    tracing::error!(%error, "the process no longer stays awake for work after responses");
                }
                // Emulators have no extensions, and never freeze processes.
                Err(error) => {
                    tracing::warn!(%error, "no extensions here: work that is frozen after a response continues with the next one");
                    loop {
                        work.after_answer().await;
                    }
                }
            }
        });
        Self { answered }
    }

    /// Tells it that a response is on its way.
    pub fn tell(&self) {
        self.answered.notify_one();
    }
}

struct Work {
    answered: Arc<Notify>,
    stack: Arc<Stack>,
    service: Service,
}

impl Work {
    async fn after_invocations(&self, mut extension: Extension) -> Result<Infallible, ExtensionError> {
        loop {
            extension.next().await?;
            self.after_answer().await;
        }
    }

    async fn after_answer(&self) {
        self.answered.notified().await;
        self.stack.drain(&self.service).await;
    }
}
