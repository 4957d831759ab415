//! Functions in JavaScript.

use serde_json::{Value, json};
use tasklane_model::{EntryPoint, Runtime};

use super::harness::{Deployed, World};

/// The expected result of a case.
enum Ends {
    In(Value),
    /// An error with this name and message. `TASK` stands for the Function's folder, `RUNTIME` for the bootstrap's, `R`
    /// for the request id.
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
    assert!(ran.log.iter().any(|line| line.starts_with("REPORT ")), "{name}: {:?}", ran.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_can_answer_in_all_of_lambdas_ways() {
    let world = World::new();
    for (name, code, ends) in [
        ("async", "exports.handler = async (event) => ({ hello: event.name })", In(json!({"hello": "Ada"}))),
        ("promise", "exports.handler = () => new Promise((r) => setTimeout(r, 5, [1, null]))", In(json!([1, null]))),
        ("thenable", "exports.handler = () => ({ then: (ok) => ok('done') })", In(json!("done"))),
        (
            "callback",
            "exports.handler = (e, c, done) => setTimeout(() => done(null, e), 5)",
            In(json!({"name": "Ada"})),
        ),
        ("nothing", "exports.handler = async () => {}", In(json!(null))),
        ("a returned value without a promise is ignored", "exports.handler = () => 5", In(json!(null))),
        ("context.succeed", "exports.handler = (e, c) => c.succeed('ok')", In(json!("ok"))),
        ("context.done", "exports.handler = (e, c) => c.done(null, 'ok')", In(json!("ok"))),
        ("the first answer counts", "exports.handler = async (e, c) => { c.succeed(1); return 2 }", In(json!(1))),
        ("context.fail", "exports.handler = (e, c) => c.fail(new RangeError('far'))", Failing("RangeError", "far")),
        ("context.fail without reason", "exports.handler = (e, c) => c.fail()", Failing("string", "handled")),
        ("callback error", "exports.handler = (e, c, done) => done(new TypeError('odd'))", Failing("TypeError", "odd")),
        ("callback text", "exports.handler = (e, c, done) => done('no')", Failing("string", "no")),
        (
            "dates and nested values",
            "exports.handler = async () => ({ at: new Date(0), no: undefined, list: [undefined] })",
            In(json!({"at": "1970-01-01T00:00:00.000Z", "list": [null]})),
        ),
    ] {
        check(&world, name, &world.node(code).await, &ends).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thrown_values_have_lambdas_names_and_messages() {
    let world = World::new();
    for (name, code, ends) in [
        ("error", "exports.handler = async () => { throw new Error('boom') }", Failing("Error", "boom")),
        ("sync", "exports.handler = () => { throw new SyntaxError('late') }", Failing("SyntaxError", "late")),
        (
            "named",
            "class A extends Error { name = 'ConnectionError' }; exports.handler = async () => { throw new A('x') }",
            Failing("ConnectionError", "x"),
        ),
        (
            "class without a name",
            "class A extends Error {}; exports.handler = async () => { throw new A('x') }",
            Failing("Error", "x"),
        ),
        (
            "name of a prototype",
            "class A extends Error {}; A.prototype.name = 'A'; exports.handler = async () => { throw new A('x') }",
            Failing("A", "x"),
        ),
        ("text", "exports.handler = async () => { throw 'boom' }", Failing("string", "boom")),
        ("number", "exports.handler = async () => { throw 42 }", Failing("number", "42")),
        ("object", "exports.handler = async () => { throw { code: 1 } }", Failing("object", "[object Object]")),
        ("null", "exports.handler = async () => { throw null }", Failing("string", "handled")),
        ("undefined past a promise is no error", "exports.handler = () => { throw undefined }", In(json!(null))),
        (
            "looks like an error",
            "exports.handler = async () => { throw { name: 'N', message: 'm', stack: 's' } }",
            Failing("N", "m"),
        ),
        (
            "an error that cannot be read",
            "exports.handler = async () => { throw new Proxy({}, { get() { throw 1 } }) }",
            Failing("number", "1"),
        ),
        ("DEL", "exports.handler = async () => { throw new Error('a\\x7Fb') }", Failing("Error", "a%7Fb")),
        ("é", "exports.handler = async () => { throw new Error('é ☃') }", Failing("Error", "é ☃")),
        ("bigint", "exports.handler = async () => 1n", Failing("Error", "Unable to stringify response body")),
        (
            "circle",
            "exports.handler = async () => { const a = {}; a.a = a; return a }",
            Failing("Error", "Unable to stringify response body"),
        ),
        (
            "circle by callback",
            "exports.handler = (e, c, done) => { const a = {}; a.a = a; done(null, a) }",
            Failing("Error", "Unable to stringify response body"),
        ),
        ("function", "exports.handler = async () => () => 1", Failing("TypeError", "Wrong arguments")),
        (
            "lost promise",
            "exports.handler = async () => { Promise.reject(new Error('lost')); await new Promise((r) => setTimeout(r, 500)) }",
            Failing("Runtime.UnhandledPromiseRejection", "Error: lost"),
        ),
        (
            "lost promise without an error",
            "exports.handler = async () => { Promise.reject('why'); await new Promise((r) => setTimeout(r, 500)) }",
            Failing("Runtime.UnhandledPromiseRejection", "why"),
        ),
        (
            "uncaught",
            "exports.handler = () => new Promise(() => setTimeout(() => { throw new EvalError('late') }, 5))",
            Failing("EvalError", "late"),
        ),
        (
            "exit",
            "exports.handler = async () => process.exit(3)",
            Failing("Runtime.ExitError", "RequestId: R Error: Runtime exited with error: exit status 3"),
        ),
        (
            "exit 0",
            "exports.handler = async () => process.exit(0)",
            Failing("Runtime.ExitError", "RequestId: R Error: Runtime exited without providing a reason"),
        ),
        (
            "signal",
            "exports.handler = async () => process.kill(process.pid, 'SIGSEGV')",
            Failing("Runtime.ExitError", "RequestId: R Error: Runtime exited with error: signal: segmentation fault"),
        ),
        ("nothing left to do", "exports.handler = () => new Promise(() => {})", In(json!(null))),
    ] {
        check(&world, name, &world.node(code).await, &ends).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_are_found_where_lambda_finds_them() {
    let world = World::new();
    let esm = "export const handler = async () => 'esm'";
    let cjs = "exports.handler = async () => 'cjs'";
    let cases: &[Case<'_>] = &[
        ("folder", &[("src/api/index.js", cjs)], "src/api/index.handler", In(json!("cjs"))),
        ("nested export", &[("a.js", "exports.v1 = { get: async () => 'get' }")], "a.v1.get", In(json!("get"))),
        (
            "a dot in the file's name",
            &[("a.b.js", cjs)],
            "a.b.handler",
            Failing("Runtime.ImportModuleError", "Error: Cannot find module 'a'\nRequire stack:\n- RUNTIME/index.mjs"),
        ),
        (".mjs", &[("index.mjs", esm)], "index.handler", In(json!("esm"))),
        (".cjs", &[("index.cjs", cjs)], "index.handler", In(json!("cjs"))),
        (".js before .mjs", &[("index.js", cjs), ("index.mjs", esm)], "index.handler", In(json!("cjs"))),
        (
            "type module",
            &[("index.js", esm), ("package.json", r#"{"type":"module"}"#)],
            "index.handler",
            In(json!("esm")),
        ),
        (
            "type module above",
            &[("src/index.js", esm), ("package.json", r#"{"type":"module"}"#)],
            "src/index.handler",
            In(json!("esm")),
        ),
        (
            "type commonjs below",
            &[("src/index.js", cjs), ("src/package.json", "{}"), ("package.json", r#"{"type":"module"}"#)],
            "src/index.handler",
            In(json!("cjs")),
        ),
        (
            "top-level await",
            &[("index.mjs", "const x = await Promise.resolve(7); export const handler = async () => x")],
            "index.handler",
            In(json!(7)),
        ),
        ("default export", &[("index.mjs", "export default async () => 'd'")], "index.default", In(json!("d"))),
        (
            "a package",
            &[
                ("index.js", "exports.handler = async () => require('dep')"),
                ("node_modules/dep/index.js", "module.exports = 'dep'"),
            ],
            "index.handler",
            In(json!("dep")),
        ),
        ("a package as handler", &[("node_modules/dep/index.js", cjs), ("x", "")], "dep.handler", In(json!("cjs"))),
        (
            "require of json",
            &[("index.js", "exports.handler = async () => require('./data.json')"), ("data.json", "[1]")],
            "index.handler",
            In(json!([1])),
        ),
        (
            "no file",
            &[("other.js", cjs)],
            "index.handler",
            Failing(
                "Runtime.ImportModuleError",
                "Error: Cannot find module 'index'\nRequire stack:\n- RUNTIME/index.mjs",
            ),
        ),
        (
            "no module",
            &[("index.js", "require('nope')")],
            "index.handler",
            Failing(
                "Runtime.ImportModuleError",
                "Error: Cannot find module 'nope'\nRequire stack:\n- TASK/index.js\n- RUNTIME/index.mjs",
            ),
        ),
        (
            "no module for an import",
            &[("index.mjs", "import 'nope'; export const handler = 1")],
            "index.handler",
            Failing("Error", "Cannot find package 'nope' imported from TASK/index.mjs"),
        ),
        (
            "no export",
            &[("index.js", cjs)],
            "index.nope",
            Failing("Runtime.HandlerNotFound", "index.nope is undefined or not exported"),
        ),
        (
            "no export of a module",
            &[("index.mjs", esm)],
            "index.nope",
            Failing("Runtime.HandlerNotFound", "index.nope is undefined or not exported"),
        ),
        (
            "no function",
            &[("index.js", "exports.handler = 'text'")],
            "index.handler",
            Failing("Runtime.HandlerNotFound", "index.handler is not a function"),
        ),
        ("no dot", &[("index.js", cjs)], "index", Failing("Runtime.MalformedHandlerName", "Bad handler")),
        (
            "up",
            &[("index.js", cjs)],
            "../index.handler",
            Failing(
                "Runtime.MalformedHandlerName",
                "'../index.handler' is not a valid handler name. Use absolute paths when specifying root directories in handler names.",
            ),
        ),
        (
            "syntax",
            &[("index.js", "exports.handler = async () => {{\n")],
            "index.handler",
            Failing("Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected end of input"),
        ),
        (
            "syntax of a module",
            &[("index.mjs", "export const handler = ;")],
            "index.handler",
            Failing("Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected token ';'"),
        ),
        (
            "a module as a script",
            &[("index.js", esm)],
            "index.handler",
            Failing("Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected token 'export'"),
        ),
        (
            "throws when loaded",
            &[("index.js", "throw new RangeError('early')")],
            "index.handler",
            Failing("RangeError", "early"),
        ),
        (
            "exits when loaded",
            &[("index.js", "process.exit(7)")],
            "index.handler",
            Failing("Runtime.ExitError", "RequestId: R Error: Runtime exited with error: exit status 7"),
        ),
        (
            "loses a promise when loaded",
            &[("index.js", "Promise.reject(new Error('lost')); exports.handler = () => {}")],
            "index.handler",
            Failing("Runtime.UnhandledPromiseRejection", "Error: lost"),
        ),
    ];
    for (name, files, entry_point, ends) in cases {
        let function = world
            .deploy(files, |spec| spec.configuration.set_entry_point(EntryPoint::parse(*entry_point).unwrap()))
            .await;
        check(&world, name, &function, ends).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_have_time_request_and_level() {
    let world = World::new();
    let function = world
        .node(
            "exports.handler = async () => {
                console.log('a %s', 'b', { c: 1 }); console.info('i'); console.warn('two\\nlines'); console.error(new Error('e').message);
                console.debug([1]); console.trace('t'); console.log();
                process.stdout.write('raw\\n'); process.stderr.write('err\\n'); process.stdout.write('no end');
            }",
        )
        .await;
    let ran = world.run(&function, json!({})).await;
    assert_eq!(
        ran.own_lines(),
        [
            "T\tR\tINFO\ta b { c: 1 }",
            "T\tR\tINFO\ti",
            "T\tR\tWARN\ttwo\nlines",
            "T\tR\tERROR\te",
            "T\tR\tDEBUG\t[ 1 ]",
            "T\tR\tTRACE\tt",
            "T\tR\tINFO\tundefined",
            "raw",
            "err",
            "no end",
        ]
    );
    let (first, last) = (ran.log.first().unwrap(), ran.log.last().unwrap());
    assert_eq!(*first, format!("START RequestId: {} Version: $LATEST", ran.request_id()));
    assert_eq!(ran.log[ran.log.len() - 2], format!("END RequestId: {}", ran.request_id()));
    assert!(last.contains("\tMemory Size: 256 MB\t") && last.contains("\tInit Duration: "), "{last}");
    let warm = world.run(&function, json!({})).await;
    assert!(!warm.log.last().unwrap().contains("Init Duration"), "{:?}", warm.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_logged_with_their_fields_and_stack() {
    let world = World::new();
    let code = "class E extends Error { name = 'E' }
exports.handler = async () => { throw Object.assign(new E('m'), { code: 'C', detail: { n: 1 }, cause: new Error('inner') }) }";
    let function = world.node(code).await;
    let ran = world.run(&function, json!({})).await;
    let line = ran.own_lines().pop().unwrap();
    let json = line.strip_prefix("T\tR\tERROR\tInvoke Error \t").unwrap_or_else(|| panic!("{line}"));
    let logged: Value = serde_json::from_str(json).unwrap();
    assert_eq!(logged["errorType"], "E");
    assert_eq!(logged["errorMessage"], "m");
    assert_eq!((&logged["code"], &logged["detail"]), (&json!("C"), &json!({"n": 1})));
    assert_eq!(logged["cause"]["errorMessage"], "inner");
    let stack = logged["stack"].as_array().unwrap();
    assert_eq!(stack[0], "E: m");
    assert!(world.shown(&function, stack[1].as_str().unwrap()).contains("TASK/index.js:2:"), "{stack:?}");
    assert_eq!(ran.failed().trace, stack.iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_before_a_request_are_logged_without_its_id() {
    let world = World::new();
    let function = world.node("console.log('loading'); require('nope')").await;
    let ran = world.run(&function, json!({})).await;
    // Twice, because Lambda initialises again within the run.
    assert_eq!(ran.own_lines().iter().filter(|line| *line == "T\tundefined\tINFO\tloading").count(), 2);
    let errors: Vec<_> = ran
        .own_lines()
        .into_iter()
        .filter(|line| line.starts_with("T\tundefined\tERROR\tUncaught Exception \t{"))
        .collect();
    assert_eq!(errors.len(), 2, "{:?}", ran.log);
    assert!(errors[0].contains(r#""errorType":"Runtime.ImportModuleError""#), "{errors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_tells_about_the_function_and_the_request() {
    let world = World::new();
    let code = "exports.handler = async (e, c) => ({ ...c, left: c.getRemainingTimeInMillis(), wait: c.callbackWaitsForEmptyEventLoop, trace: process.env._X_AMZN_TRACE_ID })";
    let function = world.node(code).await;
    let ran = world.run(&function, json!({})).await;
    let mut context = ran.returned();
    let left = context["left"].as_i64().unwrap();
    assert!((9_000..=10_000).contains(&left), "{left}");
    assert!(context["trace"].as_str().unwrap().starts_with("Root=1-"), "{context}");
    let stream = context["logStreamName"].as_str().unwrap();
    assert!(stream.contains("/[$LATEST]"), "{stream}");
    let object = context.as_object_mut().unwrap();
    ["left", "trace", "logStreamName"].iter().for_each(|field| drop(object.remove(*field)));
    assert_eq!(
        context,
        json!({
            "awsRequestId": ran.request_id(),
            "callbackWaitsForEmptyEventLoop": true,
            "functionName": "test-f",
            "functionVersion": "$LATEST",
            "invokedFunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:test-f",
            "logGroupName": "/aws/lambda/test-f",
            "memoryLimitInMB": "256",
            "wait": true,
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_waits_for_an_empty_event_loop_unless_told_not_to() {
    let world = World::new();
    let code = "exports.handler = (event, context, callback) => {
        context.callbackWaitsForEmptyEventLoop = event.wait;
        setTimeout(() => console.log('timer'), 400);
        callback(null, 'called');
    }";
    let function = world.node(code).await;
    let waits = world.run(&function, json!({"wait": true})).await;
    assert_eq!((waits.returned(), waits.own_lines()), (json!("called"), vec!["T\tR\tINFO\ttimer".to_owned()]));
    let hurries = world.run(&function, json!({"wait": false})).await;
    assert_eq!((hurries.returned(), hurries.own_lines()), (json!("called"), vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_stands_even_if_the_process_exits_immediately() {
    let world = World::new();
    let code = "exports.handler = (event, context, callback) => {
        context.callbackWaitsForEmptyEventLoop = false;
        callback(null, 'x'.repeat(1e6));
        process.exit(1);
    }";
    let function = world.node(code).await;
    for _ in 0..2 {
        assert_eq!(world.run(&function, json!({})).await.returned().as_str().unwrap().len(), 1_000_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_node_24_on_the_returned_value_counts_and_there_are_no_callbacks() {
    // npm aws-lambda-ric 4.0.2: `function/callback-deprecation`, `runtime/buffered-invoke-processor`.
    let world = World::new();
    for (name, code, ends) in [
        ("value", "exports.handler = () => 5", In(json!(5))),
        ("promise", "exports.handler = async (e) => e.name", In(json!("Ada"))),
        ("error", "exports.handler = () => { throw new RangeError('r') }", Failing("RangeError", "r")),
        (
            "bigint",
            "exports.handler = async () => 1n",
            Failing("Runtime.JSONStringifyError", "Unable to stringify response body"),
        ),
        (
            "callback",
            "exports.handler = (e, c, done) => done(null, 1)",
            Failing(
                "Runtime.CallbackHandlerDeprecated",
                "ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use a supported handler signature to use Node.js 24 or later. For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.",
            ),
        ),
    ] {
        let function = world
            .deploy(&[("index.js", code)], |spec| spec.configuration.set_runtime(Runtime::new("nodejs24.x")))
            .await;
        check(&world, name, &function, &ends).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_response_is_sent_in_one_piece() {
    let world = World::new();
    let code = "exports.handler = awslambda.streamifyResponse(async (event, stream) => {
        stream.setContentType('application/json'); stream.write('[1,'); stream.write(Buffer.from('2]')); stream.end();
    })";
    assert_eq!(world.run(&world.node(code).await, json!({})).await.returned(), json!([1, 2]));
}
