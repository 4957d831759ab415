//! The number of Tasks that run at once, over all dispatchers.

use serde_json::json;

use super::deployed::{Deployed, TASK_CONCURRENCY};
use crate::support::{
    project::write_function,
    stage::{ACTOR, Stage},
    wait::until,
};

pub fn hold_back_what_is_too_many(stack: &Deployed<'_>) {
    if !stack.emulator.is_own() {
        eprintln!("not checking how many Tasks run at once: the emulator may not reach this test");
        return;
    }
    let stage = Stage::open();
    let folder = stack.home().join("functions");
    let folder = write_function(&folder, "actor", ACTOR, &json!({ "environment": { "STAGE": stage.url() } }));
    stack.run(&["sync", "--path", folder.to_str().expect("a path")]).expect(0);
    let ids: Vec<_> = (0..TASK_CONCURRENCY + 3).map(|_| stack.queue("actor", &[])).collect();
    stage.arrived(TASK_CONCURRENCY);
    let running = |status: &str| ids.iter().filter(|id| stack.task(id)["status"] == status).count();
    assert_eq!((running("inProgress"), running("new")), (TASK_CONCURRENCY, 3), "three wait for a slot");

    let mut most = 0;
    until("all of them have run", || {
        most = most.max(stage.release_all());
        (stage.bodies().len() == ids.len()).then_some(())
    });
    for id in &ids {
        stage.release_all();
        assert_eq!(stack.ended(id)["status"], "complete");
    }
    assert_eq!(most, TASK_CONCURRENCY);
}
