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
fn an_error_is_shown_once_even_if_the_function_fails_to_start() {
    let home = tempfile::tempdir().unwrap();
    let throws = "exports.handler = async () => { throw new Error('the only one'); };";
    let throws = write_function(home.path(), "throws", throws, &json!({}));
    let missing = write_function(home.path(), "missing", "require('the only one');", &json!({}));
    let python = write_function(home.path(), "python", "", &json!({ "runtime": "python3.11" }));
    std::fs::write(python.join("code/index.py"), "def handler(event, context): raise ValueError('the only one')")
        .unwrap();
    for folder in [throws, missing, python] {
        let ended = Ended::of(tasklane(home.path()).arg("run").arg(&folder)).expect(1);
        let headlines = ended.stderr.lines().filter(|line| line.contains("the only one") && line.contains("Error: "));
        // Python shows the source line that raises it too, which has no colon.
        assert_eq!(headlines.count(), 1, "{}", ended.stderr);
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
fn code_outside_the_folder_is_accepted_only_if_allowed() {
    let home = tempfile::tempdir().unwrap();
    let folder = write_function(home.path(), "reaching", "exports.handler = async () => 'in';", &json!({}));
    std::fs::rename(folder.join("code"), home.path().join("elsewhere")).unwrap();
    let config = folder.join("task-config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(r#""code""#, r#""../elsewhere""#)).unwrap();
    let link = home.path().join("linked");
    std::fs::create_dir(&link).unwrap();
    std::fs::write(link.join("task-config.json"), &text).unwrap();
    std::os::unix::fs::symlink(home.path().join("elsewhere"), link.join("code")).unwrap();
    for folder in [folder, link] {
        let refused = Ended::of(tasklane(home.path()).arg("run").arg(&folder)).expect(2);
        assert_eq!(refused.stdout, "");
        assert!(
            refused.stderr.contains("elsewhere") && refused.stderr.contains("--allow-outside"),
            "{}",
            refused.stderr
        );
        let taken = Ended::of(tasklane(home.path()).arg("run").arg(&folder).arg("--allow-outside")).expect(0);
        assert_eq!(taken.json(), "in");
    }
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
