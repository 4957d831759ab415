//! Callers that repeat the creation of a Task under one idempotency key: at once, later, and in other processes.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tasklane_model::{
    BodyDigest, Caller, FunctionName, IdempotencyKey, Identity, Json, NewTask, OnComplete, Once, Permissions, Tags,
    TaskOptions, UserId,
};

use crate::{chance::Rng, process::Processes, world::World};

/// Numbers from here on, so that they differ from those of other Tasks.
const FIRST: u64 = 1_000_000;

/// Makes such calls until the plan's time is over, in every third seed.
pub async fn run(world: Arc<World>, processes: Arc<Processes>) {
    if world.plan.is_quiet || world.plan.seed % 3 != 1 {
        return;
    }
    // A stream of its own, so that other callers do the same with and without these.
    let mut rng = Rng::new(world.plan.seed.wrapping_mul(137).wrapping_add(11));
    for number in FIRST.. {
        tokio::time::sleep(Duration::from_millis(rng.within(500..=6000))).await;
        if world.load_is_over() {
            return;
        }
        let functions = &world.plan.functions;
        let index = usize::try_from(rng.below(functions.len() as u64)).unwrap_or(0);
        let call = Repeated { number, function: functions[index].name.clone(), follows: functions[0].name.clone() };
        for _ in 0..rng.within(2..=5) {
            let later = if rng.odds(500) { rng.below(30) } else { rng.below(20_000) };
            let (world, processes, call) = (Arc::clone(&world), Arc::clone(&processes), call.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(later)).await;
                call.make(&world, &processes).await;
            });
        }
    }
}

/// A call that is made several times.
#[derive(Clone)]
struct Repeated {
    number: u64,
    function: String,
    /// The Function that follows.
    follows: String,
}

impl Repeated {
    async fn make(&self, world: &World, processes: &Processes) {
        let Some(process) = processes.any() else { return };
        let (new, once) = (self.new_task(), self.once());
        match process.service.create_task_once(&caller(), new, Some(&once)).await {
            Ok(made) => {
                let how = if made.is_replay { "again" } else { "for the first time" };
                let what = format!("is returned for the key {} {how}", self.number);
                world.note(None, Some(made.record.id), what);
                let mut journal = world.journal();
                journal.keyed.entry(self.number).or_default().insert(made.record.id);
                journal.acknowledged.push(made.record);
            }
            Err(error) => world.note(None, None, format!("could not create a task once: {error}")),
        }
    }

    fn new_task(&self) -> NewTask {
        #[allow(clippy::expect_used)] // a constant of the simulation
        let function_name = FunctionName::parse(&self.function).expect("a function's name");
        NewTask {
            function_name,
            data: Some(Json::from(json!({ "key": self.number, "padding": self.padding() }))),
            start_timestamp: None,
            priority: None,
            tags: Tags::try_from(vec![tag(self.number)]).unwrap_or_default(),
            options: TaskOptions {
                store_result: Some(true),
                on_complete: self.on_complete(),
                ..TaskOptions::default()
            },
        }
    }

    /// Half of the Tasks are followed by one of the Function that never changes.
    fn on_complete(&self) -> Option<OnComplete> {
        #[allow(clippy::expect_used)] // a constant of the simulation
        let function_name = FunctionName::parse(&self.follows).expect("a function's name");
        is_followed(self.number)
            .then(|| OnComplete { function_name, data: Some(Json::from(json!({ "of": self.number }))) })
    }

    /// Every second Task has so much data that it is in a row of its own.
    fn padding(&self) -> String {
        if self.number.is_multiple_of(2) { "x".repeat(4096) } else { String::new() }
    }

    fn once(&self) -> Once {
        #[allow(clippy::expect_used)] // a constant of the simulation
        let key = IdempotencyKey::parse(self.number.to_string()).expect("a key");
        Once { key, body: BodyDigest::of(&json!({ "number": self.number }).to_string()) }
    }
}

/// Whether a Task follows the one of this key.
pub fn is_followed(number: u64) -> bool {
    number % 4 < 2
}

/// The beginning of the tags of these Tasks, as they are stored.
pub const TAGS: &str = "[\"key";

/// The tag of the only Task of this key.
pub fn tag(number: u64) -> String {
    format!("key{number}")
}

fn caller() -> Caller {
    #[allow(clippy::expect_used)] // a constant of the simulation
    let user_id = UserId::parse("ada").expect("a user's id");
    Caller::User(Identity { user_id, application_id: None, permissions: Permissions::default() }.into())
}
