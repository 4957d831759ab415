//! The connection to a database with DynamoDB's limits: partitions that throttle, an index that lags, latencies.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_sdk_dynamodb::config::{HttpClient, RuntimeComponents};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{capacity::Capacity, figures::Figures, index::LaggingIndex};
use crate::{
    chance::Rng,
    dynamodb::{self, Answer},
    request::value,
    row::PREFIX,
};

/// How long a request takes to the database, and a response back, in milliseconds; and one in a hundred of them.
const WAY: (u64, u64) = (1, 2);
const SLOW_WAY: (u64, u64) = (5, 15);

/// The database that all processes share.
pub struct Database {
    client: SharedHttpClient,
    started: Instant,
    index_lag: (u64, u64),
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    capacity: Capacity,
    /// By table.
    lanes: BTreeMap<String, LaggingIndex>,
    figures: Figures,
    rng: Option<Rng>,
}

impl Database {
    /// The embedded database, behind DynamoDB's limits. An index lags by a time in milliseconds within `index_lag`.
    pub fn new(client: SharedHttpClient, index_lag: (u64, u64), seed: u64) -> Arc<Self> {
        let state = State { rng: Some(Rng::new(seed)), ..State::default() };
        Arc::new(Self { client, started: Instant::now(), index_lag, state: Mutex::new(state) })
    }

    /// Milliseconds since the start.
    pub fn elapsed(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Draws a number in a range.
    pub fn draw(&self, (from, to): (u64, u64)) -> u64 {
        self.state().rng.as_mut().map_or(from, |rng| rng.within(from..=to))
    }

    /// What has been seen so far.
    pub fn with<T>(&self, see: impl FnOnce(&mut Figures, &Capacity) -> T) -> T {
        let state = &mut *self.state();
        see(&mut state.figures, &state.capacity)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_slow(&self) -> bool {
        self.draw((1, 100)) == 1
    }
}

/// The HTTP client of one process's SDK.
pub struct Line {
    pub database: Arc<Database>,
    /// Which process it belongs to.
    pub process: String,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line of {}", self.process)
    }
}

impl HttpClient for Line {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let way = Way {
            connector: self.database.client.http_connector(settings, components),
            database: Arc::clone(&self.database),
            process: self.process.clone(),
        };
        SharedHttpConnector::new(Calls(Arc::new(way)))
    }
}

struct Calls(Arc<Way>);

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calls of {}", self.0.process)
    }
}

impl HttpConnector for Calls {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (operation, body) = dynamodb::read(&request);
        let way = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move { way.call(&operation, &body).await })
    }
}

struct Way {
    connector: SharedHttpConnector,
    database: Arc<Database>,
    process: String,
}

/// One write of a request.
struct Part<'a> {
    table: &'a str,
    pk: &'a str,
    sk: &'a str,
    /// The row, if the request says all of it.
    item: Option<&'a Value>,
    deletes: bool,
    body: &'a Value,
}

impl Part<'_> {
    fn row(&self) -> String {
        format!("{}/{}", self.pk, self.sk)
    }

    fn partition(&self) -> String {
        format!("{}/{}", self.table, self.pk)
    }
}

impl Way {
    async fn call(&self, operation: &str, body: &Value) -> Result<HttpResponse, ConnectorError> {
        self.database.with(|figures, _| figures.connects(&self.process));
        self.travel().await;
        let answer = match operation {
            "Query" if body["IndexName"] == "lane" => self.ask_lane(body),
            "Query" | "GetItem" | "BatchGetItem" => self.read(operation, body).await,
            _ => self.write(operation, body).await,
        };
        self.travel().await;
        self.database.with(|figures, _| figures.disconnects(&self.process));
        answer.into_response()
    }

    async fn travel(&self) {
        let way = if self.database.is_slow() { SLOW_WAY } else { WAY };
        tokio::time::sleep(Duration::from_millis(self.database.draw(way))).await;
    }

    fn ask_lane(&self, body: &Value) -> Answer {
        let (table, now) = (table_of(body), self.database.elapsed());
        let partition = format!("{table}.lane/{}", value(body, ":partition").unwrap_or_default());
        let state = &mut *self.database.state();
        if !state.capacity.admits_read(&partition, now) {
            return Answer::throttled();
        }
        let answer = state.lanes.entry(table.to_owned()).or_default().answer(body, now);
        // Eventually consistent: half a unit for each 4 KB.
        state.capacity.read(&partition, units(answer["Items"].to_string().len(), 4096) / 2.0, now);
        state.figures.looked(answer["Count"].as_u64().unwrap_or(0));
        Answer::of(&answer)
    }

    async fn read(&self, operation: &str, body: &Value) -> Answer {
        let now = self.database.elapsed();
        let partition = match operation {
            "Query" => format!("{}/{}", table_of(body), value(body, ":partition").unwrap_or_default()),
            _ => format!("{}/{}", table_of(body), body["Key"]["pk"]["S"].as_str().unwrap_or("several")),
        };
        if !self.database.state().capacity.admits_read(&partition, now) {
            return Answer::throttled();
        }
        let answer = self.send(operation, body).await;
        self.database.state().capacity.read(&partition, units(answer.body.len(), 4096), now);
        answer
    }

    async fn write(&self, operation: &str, body: &Value) -> Answer {
        let now = self.database.elapsed();
        let parts = parts_of(operation, body);
        let mut touched: Vec<String> = parts.iter().map(Part::partition).collect();
        {
            let state = &mut *self.database.state();
            for part in &parts {
                let index = state.lanes.entry(part.table.to_owned()).or_default();
                let lane = part.item.and_then(|item| item["lane"]["S"].as_str());
                let lanes = index.partition_of(&part.row()).into_iter().chain(lane);
                touched.extend(lanes.map(|lane| format!("{}.lane/{lane}", part.table)));
                let function = part.item.and_then(|item| item["function"]["S"].as_str());
                touched.extend(function.map(|function| format!("{}.function/{function}", part.table)));
            }
            if !state.capacity.admits(&touched, now) {
                return Answer::throttled();
            }
        }
        let answer = self.send(operation, body).await;
        let is_claim = value(body, ":set_status") == Some("inProgress");
        if is_claim {
            self.database.with(|figures, _| figures.claimed(answer.status == 200));
        }
        let answered = answer.json();
        let twice = if operation == "TransactWriteItems" { 2.0 } else { 1.0 };
        if answer.status != 200 {
            // A condition that is not met costs a write, too.
            for part in &parts {
                self.database.state().capacity.wrote(&part.partition(), twice, now);
            }
            return answer;
        }
        for part in &parts {
            let after = match (part.item, part.deletes) {
                (_, true) => None,
                (Some(item), false) => Some(item.clone()),
                (None, false) if !answered["Attributes"].is_null() => Some(answered["Attributes"].clone()),
                (None, false) => {
                    let key = json!({ "TableName": part.body["TableName"], "Key": part.body["Key"] });
                    Some(self.send("GetItem", &key).await.json()["Item"].clone())
                }
            };
            self.saw(part, after.as_ref(), twice, now);
        }
        answer
    }

    fn saw(&self, part: &Part<'_>, after: Option<&Value>, twice: f64, now: i64) {
        let arrives = now + i64::try_from(self.database.draw(self.database.index_lag)).unwrap_or(0);
        let state = &mut *self.database.state();
        let size = after.map_or(1.0, |item| units(item.to_string().len(), 1024));
        state.capacity.wrote(&part.partition(), size * twice, now);
        let index = state.lanes.entry(part.table.to_owned()).or_default();
        for lane in index.saw(&part.row(), after, arrives) {
            state.capacity.wrote(&format!("{}.lane/{lane}", part.table), 1.0, now);
        }
        if let Some(function) = part.item.and_then(|item| item["function"]["S"].as_str()) {
            state.capacity.wrote(&format!("{}.function/{function}", part.table), 1.0, now);
        }
        if part.table == "tasks"
            && let Some(item) = after
        {
            state.figures.saw_task(item, now);
        }
    }

    async fn send(&self, operation: &str, body: &Value) -> Answer {
        dynamodb::send(&self.connector, operation, body).await
    }
}

fn parts_of<'a>(operation: &str, body: &'a Value) -> Vec<Part<'a>> {
    let part = |body: &'a Value, deletes: bool| {
        let item = body.get("Item");
        let key = item.unwrap_or(&body["Key"]);
        let text = |name: &str| key[name]["S"].as_str().unwrap_or_default();
        Part { table: table_of(body), pk: text("pk"), sk: text("sk"), item, deletes, body }
    };
    match operation {
        "TransactWriteItems" => {
            let parts = body["TransactItems"].as_array().into_iter().flatten().filter_map(Value::as_object);
            parts.flatten().map(|(kind, body)| part(body, kind == "Delete")).collect()
        }
        "PutItem" | "UpdateItem" | "DeleteItem" => vec![part(body, operation == "DeleteItem")],
        // Tables are created before the clock starts.
        _ => Vec::new(),
    }
}

fn table_of(body: &Value) -> &str {
    let name = match body["TableName"].as_str() {
        Some(name) => name,
        None => body["RequestItems"].as_object().and_then(|tables| tables.keys().next()).map_or("", String::as_str),
    };
    name.strip_prefix(PREFIX).and_then(|name| name.strip_prefix('-')).unwrap_or(name)
}

/// How many units of `bytes` rows take whose JSON has this length, which is about what DynamoDB counts.
#[allow(clippy::cast_precision_loss)] // sizes of rows
fn units(length: usize, bytes: usize) -> f64 {
    length.div_ceil(bytes).max(1) as f64
}
