//! `tasklane run`: a Function once, without a service.

use serde_json::{Value, json};

use crate::support::{
    command::{Ended, run, tasklane},
    project::{repository, write_function},
};

#[test]
fn the_first_command_of_readme_greets_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let example = repository().join("examples/hello-js");
    let args = ["run", example.to_str().unwrap(), "--data", r#"{"name":"Ada"}"#];
    let ended = run(home.path(), args).expect(0);
    assert!(ended.json().to_string().contains("Ada"), "{}", ended.stdout);
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, Vec::<std::path::PathBuf>::new());
}

#[test]
fn the_result_goes_to_stdout_and_log_lines_to_stderr() {
    let home = tempfile::tempdir().unwrap();
    let source = "exports.handler = async event => { console.log('a log line'); return { got: event.data }; };";
    let folder = write_function(home.path(), "talker", source, &json!({}));
    let data = json!({ "text": "é 🚀 \"quoted\"", "list": [1, null] });
    let ended = Ended::of(tasklane(home.path()).arg("run").arg(&folder).arg("--data").arg(data.to_string())).expect(0);
    assert_eq!(ended.json(), json!({ "got": data }));
    assert!(ended.stderr.contains("a log line"), "{}", ended.stderr);
}

#[test]
fn a_thrown_error_goes_to_stderr_with_its_stack() {
    let home = tempfile::tempdir().unwrap();
    let source = "
        class NoRoute extends Error { constructor(m) { super(m); this.name = 'NO_ROUTE'; } }
        exports.handler = async () => { throw new NoRoute('the “message”'); };";
    let folder = write_function(home.path(), "thrower", source, &json!({}));
    let ended = Ended::of(tasklane(home.path()).arg("run").arg(folder)).expect(1);
    assert_eq!(ended.stdout, "");
    for part in ["NO_ROUTE", "the “message”", "index.js:3"] {
        assert!(ended.stderr.contains(part), "no '{part}' in:\n{}", ended.stderr);
    }
}

#[test]
fn several_events_are_passed_to_the_same_process_in_order() {
    let home = tempfile::tempdir().unwrap();
    let source = "let calls = 0; exports.handler = async event => ({ calls: (calls += 1), event });";
    let folder = write_function(home.path(), "counter", source, &json!({}));
    let ended = Ended::of(tasklane(home.path()).arg("run").arg(folder).args(["--event", "1", "--event", "[2]"]));
    let ended = ended.expect(0);
    let results: Vec<Value> =
        serde_json::Deserializer::from_str(&ended.stdout).into_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(results, [json!({ "calls": 1, "event": 1 }), json!({ "calls": 2, "event": [2] })]);
}

#[test]
fn if_a_function_cannot_run_the_error_says_why() {
    let home = tempfile::tempdir().unwrap();
    let ended = run(home.path(), ["run", "nowhere"]).expect(2);
    assert!(ended.stderr.contains("nowhere"), "{}", ended.stderr);

    let folder = write_function(home.path(), "old", "", &json!({ "runtime": "cobol1.x" }));
    let ended = Ended::of(tasklane(home.path()).arg("run").arg(&folder)).expect(2);
    assert!(ended.stderr.contains("task-config.json") && ended.stderr.contains("runtime"), "{}", ended.stderr);

    let ended = Ended::of(tasklane(home.path()).arg("run").arg(folder).args(["--data", "{"])).expect(2);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}
