//! A Task whose dispatcher died.

use serde_json::{Value, json};

use super::deployed::Deployed;
use crate::support::{
    project::write_function,
    stage::{ACTOR, Stage},
    wait::until,
};

/// A running Task whose dispatcher is killed.
pub struct Zombie {
    id: String,
    stage: Stage,
}

impl Zombie {
    /// `None` in an emulator that was not started here, whose processes must not be killed.
    pub fn make(stack: &Deployed<'_>) -> Option<Self> {
        if !stack.emulator.is_own() {
            eprintln!("no dispatcher is killed: the emulator was not started by this test");
            return None;
        }
        let stage = Stage::open();
        let configuration = json!({ "timeLimit": 3, "environment": { "STAGE": stage.url() } });
        let folder = write_function(&stack.home().join("functions"), "stuck", ACTOR, &configuration);
        stack.run(&["sync", "--path", folder.to_str().expect("a path")]).expect(0);
        let id = stack.queue("stuck", &[]);
        stage.arrived(1);
        assert_eq!(stack.task(&id)["status"], "inProgress");
        let killed = stack.emulator.kill_lambda(stack.output("DispatcherFunctionName"));
        assert!(killed > 0, "no dispatcher was running");
        Some(Self { id, stage })
    }

    /// Waits until a tick has found the Task, which ran once and does not run again. Returns it.
    pub fn once_cleaned(self, stack: &Deployed<'_>) -> Value {
        let task = until("the ticker has cleaned up", || {
            let task = stack.task(&self.id);
            (task["status"] != "inProgress").then_some(task)
        });
        assert_eq!(
            (&task["status"], &task["error"]["name"]),
            (&json!("failed"), &json!("zombieTaskCleaned")),
            "{task}"
        );
        let (bodies, released) = (self.stage.bodies().len(), self.stage.release_all());
        assert_eq!((bodies, released), (1, 1), "it ran once");
        task
    }
}
