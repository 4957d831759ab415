//! An operator's work, with only AWS credentials.

use serde_json::{Value, json};

use super::deployed::Deployed;
use crate::support::{project::repository, wait::until};

pub fn makes_the_first_administrator(stack: &Deployed<'_>) {
    let lines = stack.run(&["admin", "bootstrap", "--stack", &stack.name]).expect(0).stdout;
    assert!(lines.starts_with(&format!("API_HOST={}\n", stack.output("Url"))), "{lines}");
    stack.keep_credentials(&lines);
    assert_eq!(stack.json(&["list"]), json!([]), "an empty service answers its administrator");
    stack.run(&["admin", "bootstrap", "--stack", "another"]).expect(2);
}

/// The ticker runs once a minute; until its first run, doctor reports it as missing.
pub fn finds_nothing_wrong(stack: &Deployed<'_>) {
    follow_advice_about_tables(stack);
    let all_is_well = |by: &str| {
        until("the doctor finds nothing wrong", || {
            let found = stack.run(&["doctor", "--stack", by]);
            let noted = |line: &str| {
                // A stack as it is deployed has no protection of its tables. When a runtime ends depends on the date.
                line.starts_with("-      protection of the tables from deletion:")
                    || line.starts_with("-      Function ") && line.contains("security updates")
            };
            let wrong: Vec<_> = found.stdout.lines().filter(|line| !line.starts_with("ok ") && !noted(line)).collect();
            assert!(
                wrong.iter().all(|line| line.starts_with("WRONG  the ticker:")),
                "{}{}",
                found.stdout,
                found.stderr
            );
            assert!(found.code < 2, "doctor could not check: {}", found.stderr);
            (found.code == 0).then_some(found.stdout)
        })
    };
    let found = all_is_well(&stack.name);
    for looked_at in [
        "handler",
        "concurrency",
        "storage for code",
        "table",
        "backups",
        "expiry",
        "protection",
        "the key",
        "the wake-up queue",
        "the event bus",
        "the rules",
        "log lines",
        "the ticker",
        "Function hello-js",
        "the gateway",
        "clock",
        "the version",
    ] {
        assert!(found.contains(looked_at), "doctor did not check {looked_at}:\n{found}");
    }
    assert_eq!(all_is_well(&stack.prefix), found, "a stack is found by its prefix too");
}

/// MiniStack's CloudFormation leaves two settings of tables out. The doctor finds that, and its advice helps.
fn follow_advice_about_tables(stack: &Deployed<'_>) {
    let found = stack.run(&["doctor", "--stack", &stack.name]).stdout;
    let update = |advised: &str, operation: &str, setting: Value| {
        let Some(line) = found.lines().find(|line| line.starts_with("WRONG") && line.contains(advised)) else { return };
        for table in ["api-requests", "control", "credentials", "functions", "schedules", "tasks"] {
            let name = format!("{}-{table}", stack.prefix);
            if line.contains(&format!("{name},")) || line.contains(&format!("{name} ")) {
                let mut arguments = setting.clone();
                arguments["TableName"] = json!(name);
                stack.aws("dynamodb", operation, &arguments);
            }
        }
    };
    let recovery = json!({ "PointInTimeRecoverySpecification": { "PointInTimeRecoveryEnabled": true } });
    update("update-continuous-backups", "update_continuous_backups", recovery);
    let expiry = json!({ "TimeToLiveSpecification": { "Enabled": true, "AttributeName": "expires" } });
    update("update-time-to-live", "update_time_to_live", expiry);
}

/// Doctor's advice repairs the Function.
pub fn mends_what_the_doctor_finds(stack: &Deployed<'_>) {
    let lambda = |function: &str| format!("{}-{function}", stack.prefix);
    stack.aws("lambda", "delete_alias", &json!({ "FunctionName": lambda("hello-js"), "Name": "live" }));
    stack.aws("lambda", "delete_function", &json!({ "FunctionName": lambda("hello-py") }));
    let found = stack.run(&["doctor", "--stack", &stack.name]).expect(1).stdout;
    let wrong: Vec<_> = found.lines().filter(|line| line.starts_with("WRONG")).collect();
    assert_eq!(wrong.len(), 2, "{found}");
    for (line, function) in wrong.iter().zip(["hello-js", "hello-py"]) {
        assert!(line.contains(&format!("Function {function}:")) && line.contains("--force"), "{line}");
        let folder = repository().join("examples").join(function);
        stack.run(&["sync", "--force", "--path", folder.to_str().expect("a path")]).expect(0);
    }
    stack.run(&["doctor", "--stack", &stack.name]).expect(0);
    assert_eq!(stack.json(&["execute", "hello-py"])["result"]["message"], "Hello, world!");
}

/// Neither users' mistakes nor killed processes are errors of a handler.
pub fn reads_of_no_error(stack: &Deployed<'_>) {
    for handler in ["api", "dispatcher", "ticker"] {
        let group = format!("/aws/lambda/handler-{}-{handler}", stack.prefix);
        let lines = |term: &str| {
            let found =
                stack.aws("logs", "filter_log_events", &json!({ "logGroupName": group, "filterPattern": term }));
            let events = found["events"].as_array().expect("a list").clone();
            events.into_iter().map(|event| event["message"].as_str().expect("a line").to_owned()).collect::<Vec<_>>()
        };
        assert!(!lines("REPORT").is_empty(), "{group} has no lines");
        // MiniStack's search ignores case, and INFO lines contain names of errors.
        let errors = lines("ERROR").into_iter().filter(|line| line.contains(r#""level":"ERROR""#));
        let trouble: Vec<_> = errors.chain(lines("panicked")).collect();
        assert!(trouble.is_empty(), "{group} contains {trouble:#?}");
    }
}

/// The tables and the key stay, and so do the logs of Functions.
pub fn takes_all_away(stack: &Deployed<'_>) {
    let listed = stack.json(&["list"]);
    let names = listed.as_array().expect("a list").iter().map(|function| function["name"].as_str().expect("a name"));
    for name in names {
        stack.run(&["delete", name]).expect(0);
    }
    assert_eq!(stack.json(&["list"]), json!([]));
    let handlers = ["api", "dispatcher", "ticker"].map(|handler| format!("handler-{}-{handler}", stack.prefix));
    let left = stack.left();
    assert_eq!(left["functions"], json!(handlers), "deleting a Function deletes its Lambda function");
    // MiniStack creates no alarms on expressions, so this is `Alarms=basic`.
    for alarm in ["dead-letters", "key"] {
        let name = json!(format!("{}-{alarm}", stack.prefix));
        assert!(left["alarms"].as_array().expect("a list").contains(&name), "{name} is not among {}", left["alarms"]);
    }

    stack.delete();
    let key = stack.aws("kms", "describe_key", &json!({ "KeyId": stack.output("SecretsKeyArn") }));
    assert_eq!(key["KeyMetadata"]["KeyState"], "Enabled", "nothing that it sealed could be opened");
    let mut left = stack.left();
    let table = |name: &str| format!("{}-{name}", stack.prefix);
    let tables = ["api-requests", "control", "credentials", "functions", "schedules", "tasks"].map(table);
    assert_eq!(left["tables"].take(), json!(tables));
    for group in left["logs"].take().as_array().expect("a list") {
        let kept = format!("/aws/lambda/{}-", stack.prefix);
        assert!(group.as_str().expect("a name").starts_with(&kept), "{group} is left");
    }
    for (kind, names) in left.as_object().expect("kinds") {
        assert!(*names == Value::Null || *names == json!([]), "{kind} are left: {names}");
    }
}
