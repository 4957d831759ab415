//! What goes on after an answer: a run that its caller no longer waits for, versions to be retired, slots to be given back.
//!
//! Lambda freezes a process as soon as its runtime asks for the next event and every extension does too. So this
//! process is an extension of itself: the answer leaves at once, and the process stays awake until its work is done.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>

use std::sync::Arc;

use lambda_extension::{Error, Extension, LambdaEvent, NextEvent, service_fn};
use tasklane::{aws::Stack, service::Service};
use tokio::sync::{Notify, SetOnce};

/// Has what goes on after each answer go on, and then gives back what the process need not keep.
#[derive(Clone, Default)]
pub struct AfterAnswers {
    answered: Arc<Notify>,
    /// What works on, once it is made.
    works: Arc<SetOnce<(Arc<Stack>, Service)>>,
}

impl AfterAnswers {
    /// Tells Lambda of it, which has to be done before the first request is asked for.
    pub async fn register() -> Self {
        let this = Self::default();
        let processor = {
            let this = this.clone();
            service_fn(move |event: LambdaEvent| {
                let this = this.clone();
                async move {
                    if let NextEvent::Invoke(_) = event.next {
                        this.next_answer().await;
                    }
                    Ok::<(), Error>(())
                }
            })
        };
        let extension = Extension::new().with_extension_name("after-answers").with_events(&["INVOKE"]);
        match extension.with_events_processor(processor).register().await {
            Ok(registered) => {
                tokio::spawn(async move {
                    if let Err(error) = registered.run().await {
                        tracing::error!(%error, "work after answers is no longer waited for");
                    }
                });
            }
            // Emulators run without extensions, and nothing freezes there either.
            Err(error) => {
                tracing::warn!(%error, "there are no extensions here: what is frozen after an answer goes on with the next");
                let this = this.clone();
                tokio::spawn(async move {
                    loop {
                        this.next_answer().await;
                    }
                });
            }
        }
        this
    }

    /// Says what works. Said once; a second time would change nothing.
    pub fn of(&self, stack: Arc<Stack>, service: Service) {
        let _ = self.works.set((stack, service));
    }

    /// An answer is on its way.
    pub fn tell(&self) {
        self.answered.notify_one();
    }

    async fn next_answer(&self) {
        self.answered.notified().await;
        let (stack, service) = self.works.wait().await;
        stack.drain(service).await;
    }
}
