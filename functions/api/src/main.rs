//! The Lambda function behind API Gateway: the router that the local server uses, too.

// The futures of the whole service nest deeper than the compiler's default limit.
#![recursion_limit = "256"]

mod after;

use std::sync::Arc;

use after::AfterAnswers;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use tasklane_aws::{
    Stack, StackSettings, config,
    extension::ExtensionsApi,
    gateway::{self, GatewayEvent},
    logging,
};
use tracing::{Instrument, info_span};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let settings = StackSettings::from_environment()?;
    logging::start(env!("CARGO_CRATE_NAME"), &settings.prefix);
    let lambda = ExtensionsApi::connect().await;
    let register = async { lambda?.register(after::NAME).await };
    let make = async {
        let stack = Arc::new(Stack::new(&config::sdk_config().await, settings));
        let service = stack.service();
        let router = stack.router(service.clone());
        (stack, service, router)
    };
    // The extension is registered while the router is made.
    let (registered, (stack, service, router)) = tokio::join!(register, make);
    let after = AfterAnswers::start(registered, stack, service);

    let handler = service_fn(|event: LambdaEvent<GatewayEvent>| {
        let context = &event.context;
        let span =
            info_span!("invocation", aws_request_id = context.request_id, trace = context.xray_trace_id.as_deref());
        let (router, after) = (router.clone(), after.clone());
        let work = async move {
            let answer = gateway::answer(router, event.payload).await;
            after.tell();
            answer.map_err(Error::from)
        };
        work.instrument(span)
    });
    lambda_runtime::run(handler).await
}
