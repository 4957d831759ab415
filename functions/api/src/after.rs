//! What goes on after an answer: a run that its caller no longer waits for, versions to be retired, slots to be given back.
//!
//! Lambda freezes a process as soon as its runtime asks for the next event and every extension does too. So this
//! process is an extension of itself: the answer leaves at once, and the process stays awake until its work is done.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>

use std::{convert::Infallible, sync::Arc};

use tasklane::{
    aws::{
        Stack,
        extension::{Extension, ExtensionError},
    },
    service::Service,
};
use tokio::sync::Notify;

/// The extension's name.
pub const NAME: &str = "after-answers";

/// Has what goes on after each answer go on, and then gives back what the process need not keep.
#[derive(Clone)]
pub struct AfterAnswers {
    answered: Arc<Notify>,
}

impl AfterAnswers {
    /// Begins. `registered`: what Lambda said to the extension.
    pub fn start(registered: Result<Extension, ExtensionError>, stack: Arc<Stack>, service: Service) -> Self {
        let answered = Arc::new(Notify::new());
        let work = Work { answered: Arc::clone(&answered), stack, service };
        tokio::spawn(async move {
            match registered {
                Ok(extension) => {
                    let Err(error) = work.after_invocations(extension).await;
                    tracing::error!(%error, "work after answers is no longer waited for");
                }
                // Emulators run without extensions, and nothing freezes there either.
                Err(error) => {
                    tracing::warn!(%error, "there are no extensions here: what is frozen after an answer goes on with the next");
                    loop {
                        work.after_answer().await;
                    }
                }
            }
        });
        Self { answered }
    }

    /// An answer is on its way.
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
