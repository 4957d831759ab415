//! Functions in Python.

use serde_json::{Value, json};
use tasklane_model::{EntryPoint, FunctionSpec, Runtime};

use super::harness::{Deployed, World};

/// The expected result of a case; see `node`.
enum Ends {
    In(Value),
    Failing(&'static str, &'static str),
}
use Ends::{Failing, In};

/// A description, the files, the entry point, and the expected result.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, Ends);

async fn check(world: &World, name: &str, function: &Deployed, ends: &Ends) {
    let ran = world.run(function, json!({"name": "Ada"})).await;
    match ends {
        In(expected) => assert_eq!(ran.returned(), *expected, "{name}"),
        Failing(error, message) => {
            let failed = ran.failed();
            let found = world.shown(function, &failed.message).replace(ran.request_id(), "R");
            assert_eq!((failed.name.as_str(), found.as_str()), (*error, *message), "{name}");
        }
    }
}

fn handler(body: &str) -> String {
    format!(
        "import collections, dataclasses, datetime, decimal, enum, os, sys, time\ndef handler(event, context):\n    {body}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn results_have_the_json_that_lambda_gives_them() {
    let world = World::new();
    for (name, body, ends) in [
        ("value", "return {'hello': event['name']}", In(json!({"hello": "Ada"}))),
        ("nothing", "pass", In(json!(null))),
        ("tuple", "return (1, [2], {'a': None})", In(json!([1, [2], {"a": null}]))),
        ("keys", "return {1: 'a', True: 'b', None: 'c', 2.5: 'd'}", In(json!({"1": "b", "null": "c", "2.5": "d"}))),
        (
            "decimal",
            "return {'a': decimal.Decimal('1.10'), 'b': [decimal.Decimal(3)]}",
            In(json!({"a": 1.10, "b": [3]})),
        ),
        ("named tuple", "return collections.namedtuple('P', 'x y')(1, [2])", In(json!({"x": 1, "y": [2]}))),
        ("bytes within", "return {'a': 'é'.encode()}", In(json!({"a": "é"}))),
        ("ordered dict", "return collections.OrderedDict(a=1)", In(json!({"a": 1}))),
        ("int enum", "return enum.IntEnum('E', 'A B').B", In(json!(2))),
        ("text", "return 'é ☃ \\u0000decimal: \"x\"'", In(json!("é ☃ \u{0}decimal: \"x\""))),
        ("bytes are the response", "return b'[1]'", In(json!([1]))),
        (
            "set",
            "return {1}",
            Failing("Runtime.MarshalError", "Unable to marshal response: Object of type set is not JSON serializable"),
        ),
        (
            "time",
            "return datetime.datetime.now()",
            Failing(
                "Runtime.MarshalError",
                "Unable to marshal response: Object of type datetime is not JSON serializable",
            ),
        ),
        (
            "deep object",
            "return {'a': [object()]}",
            Failing(
                "Runtime.MarshalError",
                "Unable to marshal response: Object of type object is not JSON serializable",
            ),
        ),
        (
            "key",
            "return {(1, 2): 3}",
            Failing(
                "Runtime.MarshalError",
                "Unable to marshal response: keys must be str, int, float, bool or None, not tuple",
            ),
        ),
        (
            "circle",
            "a = []; a.append(a); return a",
            Failing("Runtime.MarshalError", "Unable to marshal response: Circular reference detected"),
        ),
        (
            "bytes that are no text",
            "return [b'\\xff']",
            Failing(
                "Runtime.MarshalError",
                "Unable to marshal response: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
            ),
        ),
    ] {
        check(&world, name, &world.python(&handler(body)).await, &ends).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raised_exceptions_have_lambdas_names_and_messages() {
    let world = World::new();
    for (name, body, ends) in [
        ("key", "return event['nope']", Failing("KeyError", "'nope'")),
        ("class", "raise type('ConnectionLost', (Exception,), {})('gone')", Failing("ConnectionLost", "gone")),
        ("no message", "raise ValueError", Failing("ValueError", "")),
        ("two arguments", "raise ValueError('a', 1)", Failing("ValueError", "('a', 1)")),
        ("é", "raise Exception('é ☃')", Failing("Exception", "é ☃")),
        ("assert", "assert False, 'so'", Failing("AssertionError", "so")),
        ("not an exception", "raise 'text'", Failing("TypeError", "exceptions must derive from BaseException")),
        (
            "exit",
            "sys.exit(3)",
            Failing("Runtime.ExitError", "RequestId: R Error: Runtime exited with error: exit status 3"),
        ),
        (
            "exit 0",
            "sys.exit()",
            Failing("Runtime.ExitError", "RequestId: R Error: Runtime exited without providing a reason"),
        ),
        (
            "os._exit",
            "os._exit(9)",
            Failing("Runtime.ExitError", "RequestId: R Error: Runtime exited with error: exit status 9"),
        ),
        (
            "signal",
            "os.kill(os.getpid(), 15); time.sleep(9)",
            Failing("Runtime.ExitError", "RequestId: R Error: Runtime exited with error: signal: terminated"),
        ),
        (
            "no file left to open",
            "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32)); all = [open('/dev/null') for _ in range(32)]",
            Failing("OSError", "[Errno 24] Too many open files: '/dev/null'"),
        ),
    ] {
        check(&world, name, &world.python(&handler(body)).await, &ends).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_are_found_where_lambda_finds_them() {
    let world = World::new();
    let code = "def handler(event, context):\n    return __name__\n";
    let cases: &[Case<'_>] = &[
        ("file", &[("index.py", code)], "index.handler", In(json!("index"))),
        ("package", &[("src/api.py", code), ("src/__init__.py", "")], "src.api.handler", In(json!("src.api"))),
        ("folder", &[("src/api.py", code)], "src/api.handler", In(json!("src.api"))),
        (
            "sibling import",
            &[("index.py", "import lib\ndef handler(e, c):\n    return lib.x"), ("lib.py", "x = 1")],
            "index.handler",
            In(json!(1)),
        ),
        (
            "files of names that AWS's client has imported before",
            &[
                (
                    "index.py",
                    "import logging, socket, traceback, threading\nlogging.error('x')\ndef handler(e, c):\n    return 1",
                ),
                ("logging.py", "raise RuntimeError('not this one')"),
                ("socket.py", "raise RuntimeError('not this one')"),
                ("threading.py", "raise RuntimeError('not this one')"),
                ("traceback.py", "raise RuntimeError('not this one')"),
            ],
            "index.handler",
            In(json!(1)),
        ),
        (
            "a class",
            &[("index.py", "class handler(dict):\n    def __init__(self, e, c):\n        super().__init__(a=1)")],
            "index.handler",
            In(json!({"a": 1})),
        ),
        (
            "no file",
            &[("other.py", code)],
            "index.handler",
            Failing("Runtime.ImportModuleError", "Unable to import module 'index': No module named 'index'"),
        ),
        (
            "no module",
            &[("index.py", "import nope_nope")],
            "index.handler",
            Failing("Runtime.ImportModuleError", "Unable to import module 'index': No module named 'nope_nope'"),
        ),
        (
            "no name",
            &[("index.py", "from os import nope")],
            "index.handler",
            Failing(
                "Runtime.ImportModuleError",
                "Unable to import module 'index': cannot import name 'nope' from 'os' (OS)",
            ),
        ),
        (
            "no handler",
            &[("index.py", "x = 1")],
            "index.handler",
            Failing("Runtime.HandlerNotFound", "Handler 'handler' missing on module 'index'"),
        ),
        (
            "no function",
            &[("index.py", "handler = 1")],
            "index.handler",
            Failing("TypeError", "'int' object is not callable"),
        ),
        (
            "no dot",
            &[("index.py", code)],
            "index",
            Failing(
                "Runtime.MalformedHandlerName",
                "Bad handler 'index': not enough values to unpack (expected 2, got 1)",
            ),
        ),
        (
            "built-in",
            &[("sys.py", code)],
            "sys.handler",
            Failing("Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
        ),
        (
            "syntax",
            &[("index.py", "def handler(:\n    pass\n")],
            "index.handler",
            Failing("Runtime.UserCodeSyntaxError", "Syntax error in module 'index': invalid syntax (index.py, line 1)"),
        ),
        (
            "raises when loaded",
            &[("index.py", "raise RuntimeError('early')")],
            "index.handler",
            Failing("RuntimeError", "early"),
        ),
        (
            "exits when loaded",
            &[("index.py", "import sys; sys.exit(7)")],
            "index.handler",
            Failing("Runtime.ExitError", "RequestId: R Error: Runtime exited with error: exit status 7"),
        ),
    ];
    for (name, files, entry_point, ends) in cases {
        let change = |spec: &mut FunctionSpec| {
            spec.configuration.set_entry_point(EntryPoint::parse(*entry_point).unwrap());
            spec.configuration.set_runtime(Runtime::new("python3.11"));
        };
        let function = world.deploy(files, change).await;
        let ran = world.run(&function, json!({})).await;
        match ends {
            In(expected) => assert_eq!(ran.returned(), *expected, "{name}"),
            Failing(error, message) => {
                let failed = ran.failed();
                let found = failed.message.replace(ran.request_id(), "R").replace(os_module().as_str(), "OS");
                assert_eq!((failed.name.as_str(), found.as_str()), (*error, *message), "{name}");
            }
        }
    }
}

/// The path of this machine's Python module `os`, which is part of a message.
fn os_module() -> String {
    let output = std::process::Command::new("python3").args(["-c", "import os; print(os.__file__)"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bootstrap_is_compiled_before_the_first_start() {
    let world = World::new();
    let code =
        "import os, sys\ndef handler(e, c):\n    return os.path.exists(sys.modules['tasklane_runtime'].__cached__)";
    if std::env::var_os(super::harness::OTHER_RUNTIME_DIR).is_none() {
        assert_eq!(world.run(&world.python(code).await, json!({})).await.returned(), json!(true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_and_logging_are_in_the_log() {
    let world = World::new();
    let function = world
        .python(
            "import logging, sys
logging.warning('loading')
log = logging.getLogger('mine')
log.setLevel(logging.INFO)
def handler(event, context):
    print('a', 1)
    print('no end', end='')
    print()
    log.info('i %s', 'x')
    logging.debug('not shown')
    logging.error('two\\nlines')
    print('err', file=sys.stderr)
    context.log('plain\\n')
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception('caught')
",
        )
        .await;
    let ran = world.run(&function, json!({})).await;
    let lines = ran.own_lines();
    assert_eq!(
        lines[..8],
        [
            "[WARNING]\tT\t\tloading",
            "a 1",
            "no end",
            "[INFO]\tT\tR\ti x",
            "[ERROR]\tT\tR\ttwo\nlines",
            "err",
            "plain",
            lines[7].as_str(),
        ]
    );
    let caught = world.shown(&function, &lines[7]);
    assert!(
        caught.starts_with(
            "[ERROR]\tT\tR\tcaught\nTraceback (most recent call last):\n  File \"TASK/index.py\", line 15, in handler\n"
        ),
        "{caught}"
    );
    assert!(caught.ends_with("ZeroDivisionError: division by zero"), "{caught}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_logged_with_their_traceback() {
    let world = World::new();
    let function =
        world.python("def inner():\n    raise LookupError('lost')\ndef handler(event, context):\n    inner()\n").await;
    let ran = world.run(&function, json!({})).await;
    let line = world.shown(&function, &ran.own_lines()[0]);
    let expected = "[ERROR] LookupError: lost
Traceback (most recent call last):
\u{a0}\u{a0}File \"TASK/index.py\", line 4, in handler
\u{a0}\u{a0}\u{a0}\u{a0}inner()
\u{a0}\u{a0}File \"TASK/index.py\", line 2, in inner
\u{a0}\u{a0}\u{a0}\u{a0}raise LookupError('lost')";
    assert_eq!(line, expected);
    let trace: Vec<_> = ran.failed().trace.iter().map(|line| world.shown(&function, line)).collect();
    assert_eq!(
        trace,
        [
            "  File \"TASK/index.py\", line 4, in handler\n    inner()\n",
            "  File \"TASK/index.py\", line 2, in inner\n    raise LookupError('lost')\n",
        ]
    );

    let function = world.python("def handler(:\n").await;
    let ran = world.run(&function, json!({})).await;
    let line = world.shown(&function, &ran.own_lines()[0]);
    assert_eq!(
        line,
        "[ERROR] Runtime.UserCodeSyntaxError: Syntax error in module 'index': invalid syntax (index.py, line 1)
Traceback (most recent call last):
\u{a0}\u{a0}File \"TASK/index.py\" Line 1
\u{a0}\u{a0}\u{a0}\u{a0}def handler(:"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_tells_about_the_function_and_the_request() {
    let world = World::new();
    let code = "import os
calls = 0
def handler(event, context):
    global calls
    calls += 1
    names = ['aws_request_id', 'log_group_name', 'function_name', 'function_version', 'memory_limit_in_mb', 'invoked_function_arn', 'client_context']
    told = {name: getattr(context, name) for name in names}
    left = context.get_remaining_time_in_millis()
    assert 9000 < left <= 10000 and isinstance(left, int), left
    assert '/[$LATEST]' in context.log_stream_name
    assert os.environ['_X_AMZN_TRACE_ID'].startswith('Root=1-')
    return {**told, 'identity': context.identity.cognito_identity_id, 'calls': calls}
";
    let function = world.python(code).await;
    for calls in 1..=2 {
        let ran = world.run(&function, json!({})).await;
        assert_eq!(
            ran.returned(),
            json!({
                "aws_request_id": ran.request_id(),
                "log_group_name": "/aws/lambda/test-f",
                "function_name": "test-f",
                "function_version": "$LATEST",
                "memory_limit_in_mb": "256",
                "invoked_function_arn": "arn:aws:lambda:us-east-1:000000000000:function:test-f",
                "client_context": null,
                "identity": null,
                "calls": calls,
            })
        );
    }
}
