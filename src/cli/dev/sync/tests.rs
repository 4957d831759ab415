//! Syncs folders with a service in memory.

use std::{
    fs,
    sync::{Mutex, atomic::Ordering},
};

use serde_json::{Value, json};
use tasklane_testing::World;

use super::*;

/// A folder with Functions, and what was said about it.
struct Project {
    dir: tempfile::TempDir,
    world: World,
}

// Each test has a thread of its own, and so has its runtime.
thread_local! {
    static SAID: Mutex<Vec<String>> = const { Mutex::new(Vec::new()) };
}

fn say(line: &str) {
    SAID.with(|said| said.lock().unwrap().push(line.to_owned()));
}

impl Project {
    async fn new(names: &[&str]) -> Self {
        let project = Self { dir: tempfile::tempdir().unwrap(), world: World::at_rest(1).await };
        names.iter().for_each(|name| project.write(name, name, json!({})));
        project
    }

    /// `<folder>/task-config.json` and `<folder>/code/index.js`.
    fn write(&self, folder: &str, name: &str, more: Value) {
        let mut config =
            json!({ "name": name, "path": "code", "entryPoint": "index.handler", "runtime": "nodejs22.x" });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fs::create_dir_all(self.dir.path().join(folder).join("code")).unwrap();
        fs::write(self.dir.path().join(folder).join("task-config.json"), config.to_string()).unwrap();
        fs::write(self.code(folder), "exports.handler = async () => 1").unwrap();
    }

    fn code(&self, folder: &str) -> PathBuf {
        self.dir.path().join(folder).join("code/index.js")
    }

    fn start(&self, change: impl FnOnce(&mut Options)) -> Syncing {
        let mut options = Options {
            paths: vec![self.dir.path().to_owned()],
            allow_outside: false,
            exact: false,
            prune: false,
            env_file: EnvFile::default(),
            memory: self.dir.path().join(".synced.json"),
            host: "http://localhost:4000".to_owned(),
        };
        change(&mut options);
        let support = Arc::new(|_| -> PortFuture<'static, _> { Box::pin(async { Arc::new(Support::Bootstrap) }) });
        let here = Here { images: Arc::default(), support };
        Syncing { say, ..Syncing::new(self.world.service.clone(), options, here, CancellationToken::new()) }
    }

    /// Considers the changes, waits for all jobs, and returns what was said.
    async fn sync(&self, syncing: &mut Syncing, changes: &Changes) -> Vec<String> {
        syncing.consider(changes).await;
        while let Some(ended) = syncing.jobs.join_next().await {
            syncing.ended(ended);
        }
        let folder = format!("{}/", self.dir.path().display());
        let mut said = SAID.with(|said| std::mem::take(&mut *said.lock().unwrap()));
        said.iter_mut().for_each(|line| *line = line.replace(&folder, ""));
        said.sort_unstable();
        said
    }

    async fn all(&self, syncing: &mut Syncing) -> Vec<String> {
        self.sync(syncing, &Changes::everything()).await
    }

    /// Waits until the time stamps of the code are old enough to be trusted.
    fn settle(&self, folder: &str) {
        let code = self.code(folder);
        while tasklane_task_config::Listing::of(code.parent().unwrap()).unwrap().fingerprint().is_none() {
            std::thread::yield_now();
        }
    }
}

fn packed(syncing: &Syncing) -> usize {
    syncing.packed.swap(0, Ordering::Relaxed)
}

#[tokio::test]
async fn a_save_packs_only_the_function_that_holds_the_changed_path() {
    let project = Project::new(&["a", "b", "c"]).await;
    let mut syncing = project.start(|_| {});
    let created = ["a", "b", "c"].map(|name| format!("{name}: created from {name}/task-config.json"));
    assert_eq!(project.all(&mut syncing).await, created);
    assert_eq!(packed(&syncing), 3);

    fs::write(project.code("b"), "exports.handler = async () => 2").unwrap();
    let changes = Changes::of(&[&project.code("b").canonicalize().unwrap()]);
    assert_eq!(project.sync(&mut syncing, &changes).await, ["b: updated (code) from b/task-config.json"]);
    assert_eq!(packed(&syncing), 1);

    // A changed configuration needs no package, if the code is known.
    project.settle("a");
    assert_eq!(project.all(&mut syncing).await, [""; 0]);
    packed(&syncing);
    let text = fs::read_to_string(project.dir.path().join("a/task-config.json")).unwrap();
    fs::write(project.dir.path().join("a/task-config.json"), text.replace('{', r#"{"timeLimit":9,"#)).unwrap();
    assert_eq!(project.sync(&mut syncing, &Changes::of(&[])).await, ["a: updated (timeLimit) from a/task-config.json"]);
    assert_eq!(packed(&syncing), 0);
}

#[tokio::test]
async fn a_start_with_nothing_changed_reads_no_code() {
    let project = Project::new(&["a", "b"]).await;
    ["a", "b"].iter().for_each(|name| project.settle(name));
    project.all(&mut project.start(|_| {})).await;
    let mut again = project.start(|_| {});
    assert_eq!(project.all(&mut again).await, ["a: unchanged", "b: unchanged"]);
    assert_eq!(packed(&again), 0);

    // The service lost one: its package is made again.
    project.world.service.delete_function("a").await.unwrap();
    let mut again = project.start(|_| {});
    assert_eq!(project.all(&mut again).await, ["a: created from a/task-config.json", "b: unchanged"]);
    assert_eq!(packed(&again), 1);
}

#[tokio::test]
async fn what_the_file_no_longer_names_is_kept_and_said_or_reset() {
    let project = Project::new(&[]).await;
    let more = json!({ "executionPermission": "public", "timeLimit": 5, "environment": { "KEY": "s3cret" } });
    project.write("a", "a", more);
    let mut syncing = project.start(|_| {});
    project.all(&mut syncing).await;
    project.write("a", "a", json!({ "timeLimit": 6 }));
    assert_eq!(
        project.all(&mut syncing).await,
        [
            "a: kept, not in the file: environment.KEY, executionPermission public (`tasklane sync --exact` resets them)",
            "a: updated (timeLimit) from a/task-config.json",
        ]
    );
    let mut exact = project.start(|options| options.exact = true);
    assert_eq!(
        project.all(&mut exact).await,
        ["a: updated (environment, executionPermission) from a/task-config.json"]
    );
    let function = project.world.service.get_function("a").await.unwrap();
    assert_eq!(function.execution_options.permission_mode, tasklane_model::PermissionMode::PermissionRequired);
    assert!(function.configuration.environment.is_empty());
    assert_eq!(project.all(&mut project.start(|options| options.exact = true)).await, ["a: unchanged"]);
}

#[tokio::test]
async fn two_files_with_one_name_are_an_error_that_names_both() {
    let project = Project::new(&[]).await;
    project.write("a", "same", json!({}));
    project.write("b", "same", json!({}));
    assert_eq!(
        project.all(&mut project.start(|_| {})).await,
        [
            "error: could not sync b/task-config.json: a/task-config.json has the same name 'same'",
            "same: created from a/task-config.json",
        ]
    );
}

#[tokio::test]
async fn a_function_whose_file_is_gone_stays_unless_pruned() {
    let project = Project::new(&["a", "b"]).await;
    project.write("c", "old", json!({}));
    let mut syncing = project.start(|_| {});
    project.all(&mut syncing).await;
    fs::remove_dir_all(project.dir.path().join("a")).unwrap();
    project.write("c", "new", json!({}));
    let stays = |name: &str| {
        format!(
            "{name}: no file describes it any more, and it stays deployed; `tasklane delete {name}` deletes it, and so does \
             `dev --prune`"
        )
    };
    let renamed = "new: created from c/task-config.json".to_owned();
    assert_eq!(project.all(&mut syncing).await, [stays("a"), renamed, stays("old")]);
    assert_eq!(project.all(&mut syncing).await, [""; 0], "said once");

    // A broken file may still describe its Function.
    fs::write(project.dir.path().join("b/task-config.json"), "{").unwrap();
    let said = project.all(&mut project.start(|options| options.prune = true)).await;
    assert_eq!(
        said[..3],
        ["a: deleted, because no file describes it any more", &said[1], "new: unchanged"].map(str::to_owned)
    );
    assert!(said[1].ends_with("(the deployed version is unchanged)"), "{said:?}");
    assert_eq!(said[3], "old: deleted, because no file describes it any more");
    let left = project.world.service.list_functions("").await.unwrap();
    assert_eq!(left.data.iter().map(|function| function.name.as_str()).collect::<Vec<_>>(), ["b", "new"]);
    assert_eq!(project.all(&mut project.start(|_| {})).await.len(), 2, "nothing more to say about them");
}

#[tokio::test]
async fn secrets_are_left_out_and_named() {
    let project = Project::new(&["a"]).await;
    fs::write(project.dir.path().join("a/code/.env"), "KEY=s3cret").unwrap();
    assert_eq!(
        project.all(&mut project.start(|_| {})).await,
        [
            "a: created from a/task-config.json",
            "a: left out of the package: .env (`!NAME` in .tasklaneignore takes a file in)",
        ]
    );
}

#[tokio::test]
async fn a_function_that_cannot_run_here_is_deployed_with_a_warning() {
    let project = Project::new(&[]).await;
    project.write("a", "a", json!({ "runtime": "java21" }));
    let mut syncing = project.start(|_| {});
    syncing.here.support = Arc::new(|program: Program| {
        assert_eq!(program.runtime().unwrap().as_str(), "java21");
        Box::pin(async { Arc::new(Support::Missing("there is no Java".to_owned())) })
    });
    assert_eq!(
        project.all(&mut syncing).await,
        ["a: created from a/task-config.json", "a: warning: java21 cannot run here: there is no Java"]
    );
}

#[tokio::test]
async fn a_folder_without_functions_is_said() {
    let project = Project::new(&[]).await;
    let said = project.all(&mut project.start(|_| {})).await;
    assert!(matches!(&said[..], [line] if line.starts_with("no task-config.json below ")), "{said:?}");
}

#[tokio::test]
async fn a_stop_ends_a_job_that_packs() {
    let project = Project::new(&["a"]).await;
    let mut syncing = project.start(|_| {});
    syncing.stop.cancel();
    assert_eq!(project.all(&mut syncing).await, [""; 0]);
    assert!(project.world.service.list_functions("").await.unwrap().data.is_empty());
}

#[tokio::test]
async fn schedules_of_the_file_are_created_changed_and_removed_and_a_pause_survives() {
    let project = Project::new(&[]).await;
    let nightly = json!({ "name": "nightly", "cron": "30 2 * * *" });
    project.write("a", "a", json!({ "schedules": [nightly, { "name": "poll", "interval": 3600, "data": 1 }] }));
    let mut syncing = project.start(|_| {});
    assert_eq!(project.all(&mut syncing).await, ["a: created from a/task-config.json"]);
    let name = FunctionName::parse("a").unwrap();
    let schedules = async || project.world.service.schedules_of(&name).await.unwrap();
    let names = |schedules: &[tasklane_model::Schedule]| {
        let mut names: Vec<_> = schedules.iter().map(|schedule| schedule.name.as_ref().unwrap().to_string()).collect();
        names.sort();
        names
    };
    let made = schedules().await;
    assert_eq!(names(&made), ["nightly", "poll"]);
    let before = made.iter().find(|schedule| schedule.name.as_ref().unwrap().as_str() == "nightly").unwrap();
    project.world.service.enable_schedule(before.id, false).await.unwrap();
    let by_hand: tasklane_model::NewSchedule = tasklane_model::NewSchedule {
        name: Some(tasklane_model::ScheduleName::parse("by hand").unwrap()),
        ..tasklane_model::NewSchedule::of(name.clone(), before.recurrence.clone())
    };
    project.world.service.create_schedule(&tasklane_model::Caller::Nobody, by_hand).await.unwrap();
    assert_eq!(project.all(&mut project.start(|_| {})).await, ["a: unchanged"]);

    project.write("a", "a", json!({ "schedules": [{ "name": "nightly", "cron": "30 3 * * *" }] }));
    let updated = project.world.service.get_function("a").await.unwrap().update_timestamp;
    assert_eq!(project.all(&mut syncing).await, ["a: updated (schedules) from a/task-config.json"]);
    assert_eq!(
        project.world.service.get_function("a").await.unwrap().update_timestamp,
        updated,
        "only its schedules differ"
    );
    let left = schedules().await;
    assert_eq!(names(&left), ["by hand", "nightly"]);
    let after = left.iter().find(|schedule| schedule.id == before.id).unwrap();
    assert_ne!(after.recurrence, before.recurrence);
    assert!(!after.enabled, "it stays paused");

    // Not named, they are left alone.
    project.write("a", "a", json!({}));
    project.all(&mut syncing).await;
    assert_eq!(schedules().await.len(), 2);
    fs::remove_dir_all(project.dir.path().join("a")).unwrap();
    project.all(&mut project.start(|options| options.prune = true)).await;
    assert_eq!(names(&schedules().await), ["by hand"]);
}
