//! What goes on after an answer: a run that its caller no longer waits for, versions to be retired, slots to be given back.
//!
//! Lambda freezes a process as soon as its runtime asks for the next event and every extension does too. So this
//! process is an extension of itself: the answer leaves at once, and the process stays awake until its work is done.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>

use std::sync::Arc;

use lambda_extension::{Error, Extension, LambdaEvent, NextEvent, service_fn};
use tasklane::{aws::Stack, service::Service};
use tokio::sync::Notify;

/// Has what goes on after each answer go on, and then gives back what the process need not keep.
#[derive(Clone)]
pub struct AfterAnswers {
    stack: Arc<Stack>,
    service: Service,
    answered: Arc<Notify>,
}

impl AfterAnswers {
    /// Tells Lambda of it, which has to be done before the first request is asked for.
    pub async fn register(stack: Arc<Stack>, service: Service) -> Self {
        let this = Self { stack, service, answered: Arc::default() };
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

    /// An answer is on its way.
    pub fn tell(&self) {
        self.answered.notify_one();
    }

    async fn next_answer(&self) {
        self.answered.notified().await;
        self.stack.drain(&self.service).await;
    }
}
