//! The Lambda function that EventBridge Scheduler calls each minute, for Tasks that become due, schedules, dead runs
//! and events that were not acknowledged.

// The futures of the whole service nest deeper than the compiler's default limit.
#![recursion_limit = "256"]

use std::sync::Arc;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use tasklane_aws::{Stack, StackSettings, config, logging, work_minute};
use tracing::{Instrument, error, info_span};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let settings = StackSettings::from_environment()?;
    logging::start(env!("CARGO_CRATE_NAME"), &settings.prefix);
    let stack = Arc::new(Stack::new(&config::sdk_config().await, settings));

    // The schedule's payload is ignored: it holds only the time, and the clock knows that.
    let handler = service_fn(|event: LambdaEvent<serde_json::Value>| {
        let context = &event.context;
        let span =
            info_span!("invocation", aws_request_id = context.request_id, trace = context.xray_trace_id.as_deref());
        let stack = Arc::clone(&stack);
        let work = async move {
            let done = work_minute(&stack).await;
            done.inspect_err(|error| error!(%error, "the tick failed")).map_err(Error::from)
        };
        work.instrument(span)
    });
    lambda_runtime::run(handler).await
}
