//! Which run's log each line belongs to.

use serde_json::{Value, json};
use tasklane_model::{FunctionSpec, Runtime};

use super::harness::{Deployed, Ran, World, environment};

/// Many times the size of a pipe.
const MUCH: usize = 240_000;

/// Two runs of one process: the first one writes a lot, the second one nothing.
async fn runs_in_turn(world: &World, function: &Deployed, event: Value) -> (Ran, Ran) {
    let first = world.run(function, event).await;
    let second = world.run(function, json!({})).await;
    assert_eq!(second.returned()["runs"], 2, "one process made both runs");
    (first, second)
}

/// The REPORT line is the last one, and all lines are Lambda's own.
#[track_caller]
fn assert_silent(ran: &Ran) {
    assert_eq!(ran.own_lines(), Vec::<String>::new());
    assert!(ran.log.last().unwrap().starts_with("REPORT "), "{:?}", ran.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_output_of_a_node_function_is_in_its_runs_log() {
    let world = World::new();
    let code = "let runs = 0;
exports.handler = async ({ how, n }) => {
    runs += 1;
    if (!how) return { runs };
    const text = 'alice '.repeat(n);
    switch (how) {
        case 'log': console.log(text); break;
        case 'error': console.error(text); break;
        case 'stdout': process.stdout.write(text + '\\n'); break;
        case 'stderr': process.stderr.write(text + '\\n'); break;
        case 'mixed': for (let i = 0; i < n; i += 10) { console.log('alice '.repeat(5)); process.stdout.write('alice '.repeat(5) + '\\n'); } break;
        case 'throw': throw new Error(text);
    }
    return { runs };
}";
    for runtime in ["nodejs20.x", "nodejs24.x"] {
        for how in ["log", "error", "stdout", "stderr", "mixed", "throw"] {
            let function =
                world.deploy(&[("index.js", code)], |spec| spec.configuration.set_runtime(Runtime::new(runtime))).await;
            let (first, second) = runs_in_turn(&world, &function, json!({"how": how, "n": MUCH})).await;
            let seen = first.own_lines().iter().map(|line| line.matches("alice").count()).sum::<usize>();
            // The log may end within a word.
            let expected = if how == "throw" { 2 * MUCH } else { MUCH };
            assert!((expected - 20..=expected).contains(&seen), "{runtime} {how}: {seen}");
            assert!(first.log.last().unwrap().starts_with("REPORT "), "{runtime} {how}");
            assert_silent(&second);
            world.lambda.engine.pool.end_idle(|_| true).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_node_are_in_order_for_all_ways_of_writing() {
    let world = World::new();
    let code = "const { spawnSync } = require('child_process');
exports.handler = async () => {
    for (let i = 0; i < 3000; i += 3) {
        console.log(`line ${i} ${'.'.repeat(100)}`);
        process.stdout.write(`line ${i + 1} ${'.'.repeat(100)}\\n`);
        process.stderr.write(`line ${i + 2} ${'.'.repeat(100)}\\n`);
        // A child that is Node too makes the pipe non-blocking for all writers.
        if (i === 1500) spawnSync(process.execPath, ['-e', 'process.stdout.write(\"\")'], { stdio: 'inherit' });
    }
}";
    let ran = world.run(&world.node(code).await, json!({})).await;
    ran.returned();
    let number = |line: &String| line.split("line ").nth(1)?.split(' ').next()?.parse::<usize>().ok();
    let numbers: Vec<_> = ran.own_lines().iter().filter_map(number).collect();
    assert_eq!(numbers, (0..3000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_output_of_a_python_function_is_in_its_runs_log() {
    let world = World::new();
    let code = "import logging, os, sys
runs = 0
def handler(event, context):
    global runs
    runs += 1
    how = event.get('how')
    text = 'alice ' * event.get('n', 0)
    if how == 'print': print(text)
    elif how == 'stderr': print(text, file=sys.stderr)
    elif how == 'logging': logging.error(text)
    elif how == 'buffer': sys.stdout.buffer.write(text.encode() + b'\\n')
    elif how == 'raise': raise ValueError(text)
    return {'runs': runs}
";
    for how in ["print", "stderr", "logging", "buffer", "raise"] {
        let function = world.python(code).await;
        let (first, second) = runs_in_turn(&world, &function, json!({"how": how, "n": MUCH})).await;
        let seen = first.own_lines().iter().map(|line| line.matches("alice").count()).sum::<usize>();
        assert!((MUCH - 20..=MUCH).contains(&seen), "{how}: {seen}");
        assert_silent(&second);
        world.lambda.engine.pool.end_idle(|_| true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_logs_too_much_succeeds_and_its_log_says_what_is_missing() {
    let world = World::with(|config| config.run_log_bytes = 100_000);
    let code = "import sys
def handler(event, context):
    for number in range(event.get('lines', 0)):
        print(number, 'x' * 990)
    return 'done'
";
    let function = world.python(code).await;
    let ran = world.run(&function, json!({"lines": 1000})).await;
    assert_eq!(ran.returned(), json!("done"));
    let mut lines = ran.own_lines();
    assert_eq!(lines.pop().unwrap(), "… 1.0 MB left out: a run may log 0.1 MB");
    assert!((80..=100).contains(&lines.len()), "{}", lines.len());
    for (number, line) in lines.iter().enumerate() {
        assert!(line.starts_with(&format!("{number} x")), "the first lines, none left out: {line}");
    }
    let platform: Vec<_> = ran.log[ran.log.len() - 2..].iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(platform, ["END", "REPORT"]);
    let next = world.run(&function, json!({"lines": 2})).await;
    assert_eq!(next.own_lines().len(), 2, "each run has a quota of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn node_logs_json_at_the_configured_level() {
    let world = World::new();
    let code = "console.info('loading');
exports.handler = async (event) => {
    console.log('hi', { a: 1 }); console.debug('not shown'); console.warn({ b: [2] }); console.error('of', new RangeError('far'));
    console.error(new TypeError('odd'));
    console.log(1n); console.log('two\\nlines');
    throw new RangeError('thrown');
}";
    for runtime in ["nodejs20.x", "nodejs24.x"] {
        let json_logs = environment(&[("AWS_LAMBDA_LOG_FORMAT", "JSON"), ("AWS_LAMBDA_LOG_LEVEL", "info")]);
        let change = |spec: &mut FunctionSpec| {
            spec.configuration.environment = json_logs;
            spec.configuration.set_runtime(Runtime::new(runtime));
        };
        let function = world.deploy(&[("index.js", code)], change).await;
        let ran = world.run(&function, json!({})).await;
        let entries: Vec<Value> = ran.own_lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: Vec<_> = entries.iter().map(|entry| (entry["level"].as_str().unwrap(), &entry["message"])).collect();
        assert_eq!(
            told[..4],
            [
                ("INFO", &json!("loading")),
                ("INFO", &json!("hi { a: 1 }")),
                ("WARN", &json!({"b": [2]})),
                ("ERROR", &json!(entries[3]["message"]))
            ]
        );
        // As AWS's two clients do it.
        let none = (runtime == "nodejs24.x").then(|| json!("-"));
        assert_eq!(entries[0].get("requestId"), none.as_ref());
        assert!(entries[1..].iter().all(|entry| entry["requestId"] == "R"), "{entries:?}");
        assert!(entries.iter().all(|entry| entry["timestamp"].as_str().unwrap().ends_with('Z')));
        assert_eq!((&entries[3]["errorType"], &entries[3]["errorMessage"]), (&json!("RangeError"), &json!("far")));
        assert!(entries[3]["stackTrace"][0] == "RangeError: far");
        assert_eq!(entries[4]["message"]["errorType"], "TypeError");
        assert_eq!((&entries[5]["message"], &entries[6]["message"]), (&json!("1n"), &json!("two\nlines")));
        let last = entries.last().unwrap();
        assert_eq!((&last["level"], &last["message"]["errorMessage"]), (&json!("ERROR"), &json!("thrown")));
        assert_eq!(ran.failed().name, "RangeError");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_level_applies_to_text_lines_too() {
    let world = World::new();
    let code =
        "exports.handler = async () => { console.debug('d'); console.log('i'); console.warn('w'); console.error('e') }";
    let function = world
        .deploy(&[("index.js", code)], |spec| {
            spec.configuration.environment = environment(&[("AWS_LAMBDA_LOG_LEVEL", "WARN")])
        })
        .await;
    assert_eq!(world.run(&function, json!({})).await.own_lines(), ["T\tR\tWARN\tw", "T\tR\tERROR\te"]);
    let code = "import logging
def handler(event, context):
    logging.debug('d'); logging.info('i'); logging.warning('w')
";
    let change = |spec: &mut FunctionSpec| {
        spec.configuration.set_runtime(Runtime::new("python3.11"));
        spec.configuration.environment = environment(&[("AWS_LAMBDA_LOG_LEVEL", "INFO")]);
    };
    let function = world.deploy(&[("index.py", code)], change).await;
    assert_eq!(world.run(&function, json!({})).await.own_lines(), ["[INFO]\tT\tR\ti", "[WARNING]\tT\tR\tw"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn python_logs_json_at_the_configured_level() {
    let world = World::new();
    let code = "import logging
log = logging.getLogger('mine')
def handler(event, context):
    log.debug('not shown')
    log.info('hi %s', 'é', extra={'order': 7})
    log.warning({'a': [1]})
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception('caught')
    print('plain')
    raise KeyError('k')
";
    let change = |spec: &mut FunctionSpec| {
        spec.configuration.set_runtime(Runtime::new("python3.11"));
        spec.configuration.environment =
            environment(&[("AWS_LAMBDA_LOG_FORMAT", "JSON"), ("AWS_LAMBDA_LOG_LEVEL", "INFO")]);
    };
    let function = world.deploy(&[("index.py", code)], change).await;
    let ran = world.run(&function, json!({})).await;
    let lines = ran.own_lines();
    assert_eq!(lines[3], "plain");
    let entry = |at: usize| serde_json::from_str::<Value>(&lines[at]).unwrap_or_else(|_| panic!("{}", lines[at]));
    let (hi, dict, caught, raised) = (entry(0), entry(1), entry(2), entry(4));
    assert_eq!(hi["timestamp"].as_str().unwrap().len(), "2026-01-31T08:15:30Z".len());
    assert_eq!(
        (&hi["level"], &hi["message"], &hi["logger"], &hi["requestId"], &hi["order"]),
        (&json!("INFO"), &json!("hi é"), &json!("mine"), &json!("R"), &json!(7))
    );
    assert_eq!(hi.get("errorType"), None);
    assert_eq!((&dict["level"], &dict["message"]), (&json!("WARNING"), &json!({"a": [1]})));
    assert_eq!(
        (&caught["message"], &caught["errorType"], &caught["errorMessage"]),
        (&json!("caught"), &json!("ZeroDivisionError"), &json!("division by zero"))
    );
    assert!(caught["location"].as_str().unwrap().ends_with("index.py:handler:10"), "{caught}");
    assert!(caught["stackTrace"][0].as_str().unwrap().contains("1 / 0"), "{caught}");
    assert_eq!(
        (&raised["level"], &raised["errorType"], &raised["errorMessage"]),
        (&json!("ERROR"), &json!("KeyError"), &json!("'k'"))
    );
}
