//! Sequential AWS calls, and write units, counted.

use std::{fmt, sync::Arc, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    config::{HttpClient, RuntimeComponents},
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector},
    orchestrator::HttpRequest,
};
use hot_paths::engine::Api;
use serde_json::Value;
use tasklane::{
    local::database,
    model::{Caller, Method},
    runtime::lock::Lock,
    service::ApiCall,
};

use crate::{
    context::Context,
    figure::Figure,
    row::{Result, Target},
};

pub async fn take(context: &Context) -> anyhow::Result<Result> {
    let record = Record::default();
    let below = database::memory_connector(None, None);
    let client = Client::from_conf(
        database::client_config(SharedHttpClient::new(Wire { below, record: record.clone() })).build(),
    );
    let folder = context.scratch()?;
    // As in the API's Lambda function: other processes lease slots, too, and the record is written before the response.
    let api = Api::start(client, folder.path()).await?;
    let mut result = Result::default();
    for _ in 0..2 {
        record.take();
        api.service.execute(&Caller::Nobody, "hello", None).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    }
    let direct = record.take();
    api.service.drain().await;
    record.take();
    let call = ApiCall {
        method: Method::Get,
        raw_path: "/".to_owned(),
        raw_query: None,
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::new(),
        protocol: http::Version::HTTP_11,
        address: None,
    };
    api.service.call_api_function(&Caller::Nobody, "hello", call).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    let called = record.take();
    let shown = |recorded: &Recorded| recorded.calls.join(", ");
    context.say(&format!("   direct: {} + Invoke; api: {} + Invoke", shown(&direct), shown(&called)));
    // The Invoke is one more sequential call.
    let count = |recorded: &Recorded| Figure::count("calls", f64::from(recorded.answered_in_turn + 1));
    result.line(
        "AWS calls one after the other before the answer, warm: direct execution",
        count(&direct),
        None,
        Target::AtMost(3.0),
    );
    result.line(
        "AWS calls one after the other before the answer, warm: API Function",
        count(&called),
        None,
        Target::Shown,
    );
    result.note(format!(
        "Direct execution: {} and the Invoke; the Function is read while the Task is written. API Function: the Invoke, after which the answer is known, and then {}, for which \
         a Lambda function has to wait before it is frozen.",
        shown(&direct),
        shown(&called)
    ));
    for (what, units, most) in [("immediate", 8.0, 8.0), ("delayed or retried", 11.0, 11.0), ("direct", 5.0, 5.0)] {
        let what = format!("write units of a Task's life: {what}");
        result.line(&what, Figure::count("units", units), None, Target::AtMost(most));
    }
    result.note(
        "Write units are those of [access-patterns.md](access-patterns.md), which a test recounts from ConsumedCapacity. At \
         $0.625 for a million on-demand write units in us-east-1, a million immediate Tasks cost $5.00 of writes, delayed \
         ones $6.88, direct executions $3.13; Step Functions Standard costs $25 for a million state transitions, and the \
         smallest execution makes two or more.",
    );
    Ok(result)
}

/// The time of a response, as over a network: calls that are made meanwhile run in parallel.
const ANSWER_AFTER: Duration = Duration::from_millis(5);

/// The calls, in order.
#[derive(Clone, Default)]
struct Record(Arc<Lock<Recorded>>);

#[derive(Clone, Default)]
struct Recorded {
    calls: Vec<String>,
    /// The length of the longest sequence of calls in which each began after the response to the one before it.
    answered_in_turn: u32,
}

impl Record {
    fn take(&self) -> Recorded {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Recorded> {
        self.0.lock()
    }
}

/// The SDK's HTTP client, with a recorder.
struct Wire {
    below: SharedHttpClient,
    record: Record,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let below = self.below.http_connector(settings, components);
        SharedHttpConnector::new(Recorder { below, record: self.record.clone() })
    }
}

struct Recorder {
    below: SharedHttpConnector,
    record: Record,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

impl HttpConnector for Recorder {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = request.headers().get("x-amz-target").and_then(|target| target.rsplit('.').next());
        let body: Value = request.body().bytes().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        let table = body["TableName"].as_str().unwrap_or_default().trim_start_matches("bench-");
        let call = format!("{} {table}", operation.unwrap_or_default());
        let turn = {
            let mut recorded = self.record.lock();
            recorded.calls.push(call);
            recorded.answered_in_turn + 1
        };
        let (answer, record) = (self.below.call(request), self.record.clone());
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            tokio::time::sleep(ANSWER_AFTER).await;
            let mut recorded = record.lock();
            recorded.answered_in_turn = recorded.answered_in_turn.max(turn);
            answer
        })
    }
}
