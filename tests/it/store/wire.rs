//! The wire to the database: counts requests, and loses responses when told to.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use aws_sdk_dynamodb::config::{HttpClient, RuntimeComponents};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

/// The wire, shared by its observers.
#[derive(Clone)]
pub struct Wire(Arc<Inner>);

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

struct Inner {
    below: SharedHttpClient,
    state: Mutex<State>,
}

type OnCall = Box<dyn FnMut(&str) + Send>;

#[derive(Default)]
struct State {
    on_call: Option<OnCall>,
    calls: HashMap<String, usize>,
    units: f64,
    lose: HashMap<String, usize>,
}

impl Wire {
    pub fn new(below: SharedHttpClient) -> Self {
        Self(Arc::new(Inner { below, state: Mutex::default() }))
    }

    /// Loses the next `times` responses to this operation, which is carried out nevertheless.
    pub fn lose_answers(&self, operation: &str, times: usize) {
        self.state(|state| state.lose.insert(operation.to_owned(), times));
    }

    /// Calls a function at every request.
    pub fn on_call(&self, act: impl FnMut(&str) + Send + 'static) {
        self.state(|state| state.on_call = Some(Box::new(act)));
    }

    /// Resets the counts.
    pub fn forget(&self) {
        self.state(|state| *state = State::default());
    }

    /// How often this operation was called.
    pub fn calls(&self, operation: &str) -> usize {
        self.state(|state| state.calls.get(operation).copied().unwrap_or(0))
    }

    /// The write units that were consumed, of tables and indexes.
    pub fn write_units(&self) -> f64 {
        self.state(|state| state.units)
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.state.lock().unwrap())
    }

    /// Records a call and returns whether to lose its response.
    fn note(&self, operation: &str) -> bool {
        self.state(|state| {
            if let Some(act) = &mut state.on_call {
                act(operation);
            }
            *state.calls.entry(operation.to_owned()).or_default() += 1;
            match state.lose.get_mut(operation) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    true
                }
                _ => false,
            }
        })
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let below = self.0.below.http_connector(settings, components);
        SharedHttpConnector::new(Connector { wire: self.clone(), below })
    }
}

#[derive(Debug)]
struct Connector {
    wire: Wire,
    below: SharedHttpConnector,
}

impl HttpConnector for Connector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let operation = request.headers().get("x-amz-target").unwrap().rsplit('.').next().unwrap().to_owned();
        let writes = matches!(operation.as_str(), "PutItem" | "UpdateItem" | "DeleteItem" | "TransactWriteItems");
        if writes {
            ask_for_units(&mut request);
        }
        let (wire, below) = (self.wire.clone(), self.below.clone());
        HttpConnectorFuture::new(async move {
            let lost = wire.note(&operation);
            // As a network does, it lets other calls begin before this one is answered.
            tokio::task::yield_now().await;
            let mut response = below.call(request).await?;
            if writes {
                let units = consumed(&mut response).await;
                wire.state(|state| state.units += units);
            }
            if lost { Err(ConnectorError::timeout("the answer was lost".into())) } else { Ok(response) }
        })
    }
}

fn ask_for_units(request: &mut HttpRequest) {
    let mut body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
    body["ReturnConsumedCapacity"] = "INDEXES".into();
    let body = body.to_string();
    request.headers_mut().insert("content-length", body.len().to_string());
    *request.body_mut() = SdkBody::from(body);
}

async fn consumed(response: &mut HttpResponse) -> f64 {
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    let bytes = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    *response.body_mut() = SdkBody::from(bytes);
    match &answer["ConsumedCapacity"] {
        Value::Array(tables) => tables.iter().map(units).sum(),
        table => units(table),
    }
}

fn units(table: &Value) -> f64 {
    table["CapacityUnits"].as_f64().unwrap_or(0.0)
}
