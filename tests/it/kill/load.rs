//! The clients, which send requests until the service is killed.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::{
    dev::{Answer, Asker, Dev},
    random::Random,
    wait::until,
};

use super::ledger::{Known, Ledger, Sent};

/// The number of clients.
const CLIENTS: usize = 6;

/// The maximum number of Schedules. Their Tasks come in addition to the others.
const SCHEDULES: usize = 5;

/// The delay of Tasks that are created only to be canceled.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// All clients of one process of the service.
pub struct Load<'a> {
    asker: Asker,
    ledger: &'a Ledger,
    killed: &'a AtomicBool,
    target: usize,
    random: Random,
}

/// The service was killed before it responded. Contains the client's error.
struct CutOff(String);

impl<'a> Load<'a> {
    /// Clients that stop creating Tasks once `target` were acknowledged in total.
    pub fn new(dev: &Dev, ledger: &'a Ledger, killed: &'a AtomicBool, target: usize, random: Random) -> Self {
        Self { asker: dev.asker(), ledger, killed, target, random }
    }

    /// Sends requests until the service is gone or the target is reached.
    pub fn run(mut self) {
        let randoms: Vec<_> = (0..CLIENTS).map(|_| self.random.fork()).collect();
        let clients = randoms.into_iter().enumerate().map(|(client, random)| self.client(client, random));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(futures::future::join_all(clients));
    }

    /// Sends requests until the target is reached.
    pub fn run_to_target(self) {
        let (ledger, target) = (self.ledger, self.target);
        self.run();
        until("the load is done", || (ledger.acknowledged() >= target).then_some(()));
    }

    async fn client(&self, client: usize, mut random: Random) {
        while self.ledger.acknowledged() < self.target {
            // Only one client enables and disables Functions, so that their last state is known.
            let asked = match random.below(100) {
                0..5 if client == 0 => self.switch(&mut random).await,
                5..8 if client == 0 => self.schedule(&mut random).await,
                0..78 => self.create(&mut random).await,
                78..84 => self.cancel(&mut random).await,
                _ => self.execute(&mut random).await,
            };
            if let Err(CutOff(why)) = asked {
                let killed = self.killed.load(Ordering::SeqCst);
                assert!(killed, "the service stopped answering before it was killed: {why}");
                return;
            }
        }
    }

    async fn create(&self, random: &mut Random) -> Result<(), CutOff> {
        let function = *random.pick(&["worker", "worker", "worker", "retried", "switched"]);
        let failures = match function {
            "retried" => random.below(5),
            "worker" => u64::from(random.percent(10)),
            _ => 0,
        };
        let sent = self.sent(function, failures, random);
        let mut body = json!({ "functionName": function, "data": sent.data() });
        if random.percent(15) {
            body["startTimestamp"] = (Timestamp::now() + Duration::from_millis(random.below(3000))).to_string().into();
        }
        if random.percent(30) {
            body["priority"] = random.below(5).into();
        }
        let answer = self.ask("POST", "/tasks/v1/", Some(&body)).await?;
        self.ledger.created(&answer.ok(), &sent);
        Ok(())
    }

    /// Creates a Task that is due tomorrow, and cancels it.
    async fn cancel(&self, random: &mut Random) -> Result<(), CutOff> {
        let sent = Sent { far: true, ..self.sent("worker", 0, random) };
        let start = (Timestamp::now() + FAR).to_string();
        let body = json!({ "functionName": "worker", "data": sent.data(), "startTimestamp": start });
        let task = self.ask("POST", "/tasks/v1/", Some(&body)).await?.ok();
        self.ledger.created(&task, &sent);
        let id = task["id"].as_str().unwrap();
        self.ledger.book().maybe_canceled.insert(id.to_owned());
        self.ask("POST", &format!("/tasks/v1/{id}/cancel"), None).await?.ok();
        self.ledger.book().canceled.insert(id.to_owned());
        Ok(())
    }

    async fn execute(&self, random: &mut Random) -> Result<(), CutOff> {
        let sent = self.sent("worker", u64::from(random.percent(20)), random);
        let body = json!({ "data": sent.data() });
        let answer = self.ask("POST", "/tasks/v1/functions/worker/execute", Some(&body)).await?;
        let text = |value: &Value| value.as_str().expect("an id").to_owned();
        let mut book = self.ledger.book();
        match (answer.status, answer.body["code"].as_u64()) {
            (200, None) => {
                assert_eq!(answer.body["result"], json!({ "n": sent.n }));
                book.executed.insert(text(&answer.body["id"]), sent);
            }
            (400, Some(1406)) => {
                assert_eq!(answer.body["runtimeError"]["name"], "TOLD", "{}", answer.body);
                book.threw.insert(text(&answer.body["taskId"]), sent);
            }
            (400, Some(1403)) => {
                book.refused.insert(sent.n);
            }
            _ => panic!("the response to a direct execution is {answer:?}"),
        }
        Ok(())
    }

    async fn switch(&self, random: &mut Random) -> Result<(), CutOff> {
        let on = random.percent(60);
        let path = format!("/tasks/v1/functions/switched/{}", if on { "enable" } else { "disable" });
        self.ledger.book().switched = Some(Known::Unknown);
        self.ask("POST", &path, None).await?.ok();
        self.ledger.book().switched = Some(Known::Is(on));
        Ok(())
    }

    async fn schedule(&self, random: &mut Random) -> Result<(), CutOff> {
        let there: Vec<_> = {
            let book = self.ledger.book();
            let there = book.schedules.iter().filter(|(_, (_, known))| *known == Known::Is(true));
            there.map(|(id, _)| id.clone()).collect()
        };
        if there.len() < SCHEDULES {
            let sent = self.ledger.next("scheduled", 0);
            let body = json!({ "interval": 1, "functionName": "scheduled", "data": sent.data() });
            let schedule = self.ask("POST", "/tasks/v1/schedules", Some(&body)).await?.ok();
            let id = schedule["id"].as_str().unwrap().to_owned();
            self.ledger.book().schedules.insert(id, (sent.n, Known::Is(true)));
        } else {
            let id = random.pick(&there);
            let know = |known| self.ledger.book().schedules.get_mut(id).unwrap().1 = known;
            know(Known::Unknown);
            self.ask("DELETE", &format!("/tasks/v1/schedules/{id}"), None).await?.ok();
            know(Known::Is(false));
        }
        Ok(())
    }

    fn sent(&self, function: &str, failures: u64, random: &mut Random) -> Sent {
        let takes = if random.percent(5) { random.below(300) } else { random.below(15) };
        Sent { takes, ..self.ledger.next(function, failures) }
    }

    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, CutOff> {
        let answer = self.asker.ask(method, path, body).await;
        // Once it is dead, another process may get its port.
        if self.killed.load(Ordering::SeqCst) && answer.as_ref().is_ok_and(|answer| answer.status == 401) {
            return Err(CutOff("its port is somebody else's".to_owned()));
        }
        answer.map_err(|error| CutOff(format!("{method} {path}: {error:?}")))
    }
}
