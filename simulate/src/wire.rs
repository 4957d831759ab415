//! The connection from a process to the database: calls fail, responses are lost or late, and the journal sees every
//! write.

use std::{
    fmt,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use aws_sdk_dynamodb::config::{HttpClient, RuntimeComponents};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use serde_json::{Value, json};
use tasklane_model::ObjectId;
use tasklane_ports::Clock as _;

use crate::{
    check,
    dynamodb::{self, Answer},
    journal::{Asked, FunctionState},
    life::Life,
    live::scope_and_part,
    plan::FlowPlan,
    request::{sets_status, value},
    row::PREFIX,
};

/// The HTTP client of one process's SDK.
pub struct Wire {
    pub database: SharedHttpClient,
    pub life: Arc<Life>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wire of {}", self.life.id)
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let database = self.database.http_connector(settings, components);
        SharedHttpConnector::new(Calls(Arc::new(Way { database, life: Arc::clone(&self.life) })))
    }
}

struct Calls(Arc<Way>);

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calls of {}", self.0.life.id)
    }
}

impl HttpConnector for Calls {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (operation, body) = dynamodb::read(&request);
        let way = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move { way.call(&operation, body).await })
    }
}

struct Way {
    database: SharedHttpConnector,
    life: Arc<Life>,
}

impl Way {
    async fn call(self: Arc<Self>, operation: &str, mut body: Value) -> Result<HttpResponse, ConnectorError> {
        let (life, world) = (&self.life, &self.life.world);
        if world.seams.claims_once() && self.has_asked(operation, &body) {
            return Answer::throttled().into_response();
        }
        self.note_claim(operation, &body);
        life.may_die("before a call of the store").await;
        self.travel().await;
        // A request that is on its way when its process dies may still arrive.
        if !life.is_alive() && world.draw(|rng| rng.odds(500)) {
            std::future::pending::<()>().await;
        }
        if world.befalls(|faults| faults.store_fails) {
            life.trouble(Duration::ZERO);
            world.note(Some(life.id), None, format!("{operation} fails"));
            return Answer::throttled().into_response();
        }
        world.seams.rewrite_request(operation, &mut body, life.now().as_millis());
        if is_page(operation, &body) && world.befalls(|faults| faults.store_answer_lost) {
            return Err(self.arrive_late(body).await);
        }
        let mut answer = self.deliver(operation, &body).await;
        life.may_die("after a call of the store").await;
        if world.befalls(|faults| faults.store_answer_lost) {
            life.trouble(Duration::ZERO);
            world.note(Some(life.id), None, format!("the response to {operation} is lost"));
            self.travel().await;
            return Err(ConnectorError::timeout("the response was lost".into()));
        }
        if world.befalls(|faults| faults.store_repeats) {
            world.note(Some(life.id), None, format!("{operation} is sent again"));
            self.travel().await;
            life.pass().await;
            answer = self.deliver(operation, &body).await;
        }
        world.seams.rewrite_answer(operation, &body, &mut answer.body);
        self.travel().await;
        life.may_die("after a response of the store").await;
        answer.into_response()
    }

    /// Lets a page of the register of runs arrive after its sender has given up, when it may have written a later one.
    async fn arrive_late(self: &Arc<Self>, body: Value) -> ConnectorError {
        let (life, world) = (&self.life, &self.life.world);
        life.trouble(Duration::ZERO);
        world.note(Some(life.id), None, "a page of the register arrives late");
        let late = Duration::from_millis(world.draw(|rng| rng.within(100..=4000)));
        let this = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(late).await;
            this.deliver("PutItem", &body).await;
        });
        self.travel().await;
        ConnectorError::timeout("the response was lost".into())
    }

    async fn travel(&self) {
        let world = &self.life.world;
        if world.befalls(|faults| faults.store_slow) {
            let takes = Duration::from_millis(world.draw(|rng| rng.within(500..=4000)));
            self.life.trouble(takes);
            tokio::time::sleep(takes).await;
        } else if world.plan.faults.store_latency > 0 {
            let millis = world.draw(|rng| rng.below(world.plan.faults.store_latency + 1));
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }

    async fn deliver(&self, operation: &str, body: &Value) -> Answer {
        let world = &self.life.world;
        if operation == "TransactWriteItems" && world.seams.splits_transactions() {
            return self.deliver_in_parts(body).await;
        }
        if operation == "Query" && body["IndexName"].is_string() {
            return self.ask_index(body).await;
        }
        let answer = self.send(operation, body).await;
        if answer.status == 200 {
            self.observe(operation, body, &answer).await;
        }
        answer
    }

    /// Sends the parts of a transaction one after another.
    async fn deliver_in_parts(&self, body: &Value) -> Answer {
        for part in body["TransactItems"].as_array().into_iter().flatten() {
            for (kind, part) in part.as_object().into_iter().flatten() {
                let operation = if kind == "Put" { "PutItem" } else { "UpdateItem" };
                let mut single = part.clone();
                if operation == "UpdateItem" {
                    single["ReturnValues"] = json!("ALL_NEW");
                }
                let answer = self.send(operation, &single).await;
                if answer.status != 200 {
                    return answer;
                }
                self.observe(operation, &single, &answer).await;
                self.life.may_die("between the parts of a transaction").await;
            }
        }
        Answer { status: 200, body: b"{}".to_vec() }
    }

    /// Indexes lag behind the rows.
    async fn ask_index(&self, body: &Value) -> Answer {
        let world = &self.life.world;
        // Without the rest of the body, because the SDK writes maps in any order.
        let values = &body["ExpressionAttributeValues"];
        let key = [
            &body["TableName"],
            &values[":partition"],
            &values[":from"],
            &values[":to"],
            &values[":prefix"],
            &values[":below"],
            &body["Limit"],
            &body["ExclusiveStartKey"]["sk"],
        ];
        let (now, key) = (world.elapsed(), format!("{key:?}"));
        let lag = i64::try_from(world.plan.index_lag.as_millis()).unwrap_or(0);
        let partition = body["ExpressionAttributeValues"][":partition"]["S"].as_str().unwrap_or_default();
        let old = world.index_answers.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let (seq, answer) = match old {
            Some((at, seq, body)) if now - at <= lag && world.befalls(|faults| faults.stale_index) => {
                (seq, Answer { status: 200, body })
            }
            _ => {
                let mut answer = self.send("Query", body).await;
                let mut seq = world.journal().seq;
                if world.plan.faults.stale_index > 0 && !world.is_calm() {
                    seq = self.hide_what_is_fresh(&mut answer).unwrap_or(seq);
                }
                if answer.status == 200 && world.plan.faults.stale_index > 0 {
                    let answers = &mut *world.index_answers.lock().unwrap_or_else(PoisonError::into_inner);
                    answers.insert(key, (now, seq, answer.body.clone()));
                }
                (seq, answer)
            }
        };
        // The query of a dispatcher, not of a ticker that only checks whether any Task is due.
        let is_look = body["Limit"] == 16;
        if partition.starts_with("ready") && is_look {
            self.life.looked.store(world.elapsed(), Ordering::SeqCst);
        }
        if partition.starts_with("ready#") && is_look {
            self.life.heads.lock().unwrap_or_else(PoisonError::into_inner).insert(partition.to_owned(), seq);
        }
        answer
    }

    /// Removes rows that were written a moment ago from an index's response. Returns the number of the last write up to
    /// which the response shows everything.
    fn hide_what_is_fresh(&self, answer: &mut Answer) -> Option<u64> {
        let world = &self.life.world;
        let mut whole: Value = serde_json::from_slice(&answer.body).ok()?;
        let hides = i64::try_from(world.plan.index_hides.as_millis()).unwrap_or(0);
        let (now, mut first) = (world.elapsed(), None);
        whole["Items"].as_array_mut()?.retain(|item| {
            let id = item["sk"]["S"].as_str().and_then(|id| id.parse().ok());
            let journal = world.journal();
            let written = id.and_then(|id: ObjectId| journal.rows.get(&id)).and_then(|versions| versions.last());
            let fresh = written.filter(|version| version.at + hides > now).map(|version| version.seq);
            first = first.into_iter().chain(fresh).min();
            fresh.is_none()
        });
        whole["Count"] = json!(whole["Items"].as_array()?.len());
        answer.body = whole.to_string().into_bytes();
        first.map(|seq| seq - 1)
    }

    async fn send(&self, operation: &str, body: &Value) -> Answer {
        dynamodb::send(&self.database, operation, body).await
    }

    async fn observe(&self, operation: &str, body: &Value, answer: &Answer) {
        let tables = |name: &str| format!("{PREFIX}-{name}");
        let table = body["TableName"].as_str().unwrap_or_default();
        if operation == "TransactWriteItems" {
            let parts = body["TransactItems"].as_array().into_iter().flatten().filter_map(Value::as_object);
            // Records created rows before the rows that name them, because they were written together.
            let mut keys: Vec<_> = parts
                .flatten()
                .filter(|(_, part)| part["TableName"] == tables("tasks").as_str() && is_task(part))
                .collect();
            keys.sort_by_key(|(kind, _)| *kind != "Put");
            for (kind, part) in keys {
                let key = match kind.as_str() {
                    "Put" => json!({ "pk": part["Item"]["pk"], "sk": part["Item"]["sk"] }),
                    _ => part["Key"].clone(),
                };
                let get = json!({ "TableName": part["TableName"], "Key": key, "ConsistentRead": true });
                let found = self.send("GetItem", &get).await;
                self.saw_task(&found.json()["Item"]);
            }
            let parts = body["TransactItems"].as_array().into_iter().flatten().map(|part| &part["Put"]);
            let is_function =
                |part: &&Value| part["TableName"] == tables("functions").as_str() && part["Item"]["record"].is_object();
            for part in parts.filter(is_function) {
                // A repeated transaction changes nothing, so the row may have been changed since.
                let key = json!({ "pk": part["Item"]["pk"], "sk": part["Item"]["sk"] });
                let get = json!({ "TableName": part["TableName"], "Key": key, "ConsistentRead": true });
                let found = self.send("GetItem", &get).await;
                self.saw_function(&found.json()["Item"]);
            }
            let parts = body["TransactItems"].as_array().into_iter().flatten();
            for item in parts.map(|part| &part["Put"]["Item"]).filter(|item| item["holders"].is_object()) {
                self.saw_holders(item);
            }
        } else if table == tables("tasks") && !is_task(body) {
            if operation == "PutItem" {
                self.life.world.journal().saw_companion(&body["Item"]);
                check::flow::saw_gate(&self.life.world, self.life.id, &body["Item"]);
            }
        } else if table == tables("tasks") {
            match operation {
                "PutItem" => self.saw_task(&body["Item"]),
                "UpdateItem" => {
                    self.saw_task(&answer.json()["Attributes"]);
                }
                "DeleteItem" => {
                    if let Some(id) = body["Key"]["sk"]["S"].as_str().and_then(|id| id.parse().ok()) {
                        self.life.world.withdrawn(self.life.id, id);
                    }
                }
                _ => {}
            }
        } else if let Some(page) = check::register::page_of(&body["Item"]).filter(|_| is_page(operation, body)) {
            check::register::saw_page(&self.life.world, &page, body["Item"]["runs"]["S"].as_str());
        } else if let Some(page) = check::register::page_of(&body["Key"]).filter(|_| operation == "DeleteItem") {
            check::register::saw_page(&self.life.world, &page, None);
        } else if operation == "PutItem" && body["Item"]["holders"].is_object() {
            self.saw_holders(&body["Item"]);
        } else if operation == "PutItem" {
            check::bulks::saw_progress(&self.life.world, self.life.id, &body["Item"]);
            check::versions::saw_end_of_run(&self.life.world, &body["Item"]);
        }
    }

    /// Records a Function, or a version that is not its current one.
    fn saw_function(&self, item: &Value) {
        let world = &self.life.world;
        let text = |name: &str| item[name]["S"].as_str().unwrap_or_default();
        let record: Value = serde_json::from_str(text("record")).unwrap_or_default();
        let version = match text("pk").strip_prefix("versions:").and_then(|rest| rest.split_once(':')) {
            Some((function, series)) => check::versions::kept(function, series, &record),
            None => {
                let state = Some(function_state(&record));
                world.journal().saw_function(world.elapsed(), self.life.id, text("sk"), state);
                check::versions::current(text("sk"), &record)
            }
        };
        check::versions::saw(world, version);
    }

    /// Records a row of the ledger, or the register of long shifts.
    fn saw_holders(&self, item: &Value) {
        let (pk, holders) = (item["pk"]["S"].as_str().unwrap_or_default(), item["holders"]["S"].as_str());
        let holders = holders.unwrap_or_default();
        let world = &self.life.world;
        let block = item["block"]["S"].as_str().map(|block| format!(" of {block}")).unwrap_or_default();
        world.note(Some(self.life.id), None, format!("{pk}: {holders}{block}"));
        match scope_and_part(pk) {
            None => world.live().saw_shifts(holders),
            Some(row) => {
                let (limit, skew) = (check::limit_of(world, row.0), check::most_skew(world));
                world.live().saw_ledger(row, holders, limit, world.elapsed(), skew);
            }
        }
    }

    /// Whether this is a claim that the process has sent before.
    fn has_asked(&self, operation: &str, body: &Value) -> bool {
        claimed_by(operation, body).is_some_and(|task| {
            self.life.world.journal().asked.iter().any(|asked| asked.by == self.life.id && asked.task == task)
        })
    }

    /// Records a claim when it is sent, in order with the others.
    fn note_claim(&self, operation: &str, body: &Value) {
        if let Some(task) = claimed_by(operation, body) {
            let heads = self.life.heads.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let at = self.life.world.elapsed();
            let lane = value(body, ":lane").unwrap_or_default().to_owned();
            let key = value(body, ":key").unwrap_or_default().to_owned();
            let looked = self.life.looked.load(Ordering::SeqCst);
            self.life.world.journal().asked.push(Asked { at, by: self.life.id, task, lane, key, looked, heads });
        }
    }

    fn saw_task(&self, item: &Value) {
        let (life, world) = (&self.life, &self.life.world);
        let item = &world.journal().with_data(item);
        let heads = life.heads.lock().unwrap_or_else(PoisonError::into_inner).clone();
        world.journal().saw_row(world.elapsed(), life.now().as_millis(), life.id, item, &heads);
        if let Some(id) = item["sk"]["S"].as_str().and_then(|id| id.parse().ok()) {
            check::register::saw_task(world, id);
            check::marks::saw_task(world, id);
            check::flow::saw_task(world, id);
        }
        check::saw_row(world);
    }
}

/// The Task that this claims, if it is a claim.
fn claimed_by(operation: &str, body: &Value) -> Option<ObjectId> {
    let is_claim = operation == "UpdateItem" && sets_status(body, "inProgress");
    body["Key"]["sk"]["S"].as_str().filter(|_| is_claim)?.parse().ok()
}

fn is_page(operation: &str, body: &Value) -> bool {
    operation == "PutItem" && check::register::page_of(&body["Item"]).is_some()
}

/// Whether the row is a Task and not a Task's data or result.
fn is_task(body: &Value) -> bool {
    let pk = body["Item"]["pk"]["S"].as_str().or_else(|| body["Key"]["pk"]["S"].as_str());
    pk.is_some_and(|pk| pk.starts_with(|c: char| c.is_ascii_digit()))
}

fn function_state(record: &Value) -> FunctionState {
    let limit = record["executionOptions"]["concurrencyLimit"].as_u64();
    let small = |value: &Value| value.as_u64().and_then(|number| u16::try_from(number).ok());
    let flow = &record["flow"];
    let seconds = flow["rate"]["seconds"].as_u64().and_then(|seconds| u32::try_from(seconds).ok());
    let flow = flow
        .is_object()
        .then(|| FlowPlan { concurrent: small(&flow["concurrent"]), rate: small(&flow["rate"]["count"]).zip(seconds) });
    let limit = limit.and_then(|limit| u16::try_from(limit).ok());
    let (series, version, canary) = check::versions::of_record(record);
    FunctionState { enabled: record["enabled"] == true, limit, flow, series, version, canary }
}
