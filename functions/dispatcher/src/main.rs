//! The Lambda function behind the wake-up queue: claims due Tasks and runs their Functions, many at once, until no Task
//! is due.

// The futures of the whole service nest deeper than the compiler's default limit.
#![recursion_limit = "256"]

use std::sync::Arc;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use tasklane_aws::{BatchAnswer, Stack, StackSettings, WakeupBatch, config, logging};
use tasklane_dispatch::{Dispatcher, LONGEST_DRAIN, Shift, work_shift};
use tasklane_model::Timestamp;
use tracing::{Instrument, error, info_span};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let settings = StackSettings::from_environment()?;
    logging::start(env!("CARGO_CRATE_NAME"), &settings.prefix);
    let stack = Arc::new(Stack::new(&config::sdk_config().await, settings));
    let dispatcher = stack.dispatcher();

    let handler = service_fn(|event: LambdaEvent<WakeupBatch>| {
        let context = &event.context;
        let span =
            info_span!("invocation", aws_request_id = context.request_id, trace = context.xray_trace_id.as_deref());
        let ends = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
        let (stack, dispatcher) = (Arc::clone(&stack), dispatcher.clone());
        let work = async move {
            let ends = Timestamp::saturating_from_millis(ends);
            Ok::<_, Error>(answer(&stack, &dispatcher, &event.payload, ends).await)
        };
        work.instrument(span)
    });
    lambda_runtime::run(handler).await
}

async fn answer(stack: &Stack, dispatcher: &Dispatcher, batch: &WakeupBatch, ends: Timestamp) -> BatchAnswer {
    if !batch.wakes() {
        return batch.done();
    }
    let shift = Shift { woken_for: batch.tasks(), ends, longest_drain: LONGEST_DRAIN };
    match work_shift(dispatcher, stack.slots(), &stack.ports, shift).await {
        Ok(()) => batch.done(),
        Err(error) => {
            error!(%error, "could not claim any Task; SQS will deliver the wake-ups again");
            batch.failed()
        }
    }
}
