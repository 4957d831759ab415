//! The settings in `template.yaml` that wake dispatchers.

use serde_json::{Value, json};
use tasklane::aws::StackSettings;

use super::template;

fn dispatcher(template: &Value) -> &Value {
    &template["Resources"]["DispatcherFunction"]["Properties"]
}

#[test]
fn dispatchers_that_wake_one_another_are_allowed_to_loop() {
    // Otherwise Lambda stops a chain of wake-ups after about sixteen, as a long backlog or an outage with retries would
    // cause.
    assert_eq!(dispatcher(&template())["RecursiveLoop"], "Allow");
}

#[test]
fn the_number_of_dispatchers_is_a_parameter() {
    let template = template();
    let events = dispatcher(&template)["Events"]["Wakeups"]["Properties"].clone();
    assert_eq!(events["ScalingConfig"]["MaximumConcurrency"], json!({ "Ref": "Dispatchers" }));
    let parameter = &template["Parameters"]["Dispatchers"];
    // An event source mapping accepts 2 to 1000.
    assert_eq!((&parameter["MinValue"], &parameter["MaxValue"]), (&json!(2), &json!(1000)));
    let default = parameter["Default"].as_u64().unwrap();
    assert!((2..=1000).contains(&default), "{default}");
}

#[test]
fn a_dispatcher_of_the_templates_memory_holds_as_many_runs_as_the_parameters_say() {
    let template = template();
    let memory = dispatcher(&template)["MemorySize"].as_u64().unwrap().to_string();
    let variables = [
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &*memory),
        ("TASKLANE_PREFIX", "p"),
        ("TASKLANE_WAKEUP_QUEUE_URL", "https://sqs/q"),
        ("TASKLANE_EVENT_BUS", "bus"),
        ("TASKLANE_SECRETS_KEY", "key"),
        ("TASKLANE_EXECUTION_ROLE", "role"),
    ];
    let settings = StackSettings::read(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    });
    let runs = settings.unwrap().runs_per_dispatcher;
    let described = template["Parameters"]["TaskConcurrency"]["Description"].as_str().unwrap();
    assert!(described.contains(&format!("up to {runs} of them")), "{described}");
}

#[test]
fn direct_executions_have_their_own_parameter() {
    let template = template();
    let variables = &template["Globals"]["Function"]["Environment"]["Variables"];
    assert_eq!(variables["TASKLANE_DIRECT_CONCURRENCY"], json!({ "Ref": "DirectConcurrency" }));
    assert_eq!(template["Parameters"]["DirectConcurrency"]["Default"], 0, "as many as TaskConcurrency");
}
