//! Functions in Ruby.

use serde_json::{Value, json};
use tasklane_model::{EntryPoint, FunctionSpec, Runtime};

use super::harness::{Deployed, World, environment, install};

/// The expected result of a case; see `node`.
enum Ends {
    In(Value),
    Failing(&'static str, &'static str),
}
use Ends::{Failing, In};

/// A description, the files, the entry point, and the expected result.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, Ends);

fn world() -> World {
    install("ruby");
    World::new()
}

async fn deploy(world: &World, files: &[(&str, &str)], entry_point: &str) -> Deployed {
    let change = |spec: &mut FunctionSpec| {
        spec.configuration.set_runtime(Runtime::new("ruby3.4"));
        spec.configuration.set_entry_point(EntryPoint::parse(entry_point).unwrap());
    };
    world.deploy(files, change).await
}

/// A Function whose handler has this body.
async fn handler(world: &World, body: &str) -> Deployed {
    let code = format!("def handler(event:, context:)\n  {body}\nend\n");
    deploy(world, &[("index.rb", &code)], "index.handler").await
}

async fn check(world: &World, name: &str, function: &Deployed, ends: &Ends) {
    let ran = world.run(function, json!({"name": "Ada"})).await;
    match ends {
        In(expected) => assert_eq!(ran.returned(), *expected, "{name}"),
        Failing(error, message) => {
            let failed = ran.failed();
            let found = failed.message.replace(ran.request_id(), "R");
            assert_eq!((failed.name.as_str(), found.as_str()), (*error, *message), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_have_the_json_that_lambda_gives_them() {
    let world = world();
    for (name, body, ends) in [
        ("value", "{ hello: event['name'] }", In(json!({"hello": "Ada"}))),
        ("nothing", "nil", In(json!(null))),
        ("text", "\"é ☃ #{event.class}\"", In(json!("é ☃ Hash"))),
        ("symbols and ranges", "[:a, 1..2, { 1 => 2.5 }]", In(json!(["a", "1..2", {"1": 2.5}]))),
        ("a stream is the response", "StringIO.new('[1]')", In(json!([1]))),
        ("an object of its own", "Struct.new(:a) { def to_json(*) = '{\"own\":1}' }.new(1)", In(json!({"own": 1}))),
    ] {
        let function = handler(&world, body).await;
        check(&world, name, &function, &ends).await;
    }
    // How the message goes on depends on the version of the gem json.
    let ran = world.run(&handler(&world, "0.0 / 0").await, json!({})).await;
    assert_eq!(ran.failed().name, "Function<JSON::GeneratorError>");
    assert!(ran.failed().message.contains("NaN not allowed in JSON"), "{:?}", ran.failed());
}

#[tokio::test(flavor = "multi_thread")]
async fn raised_exceptions_have_lambdas_names_and_messages() {
    let world = world();
    for (name, body, ends) in [
        ("error", "raise 'so'", Failing("Function<RuntimeError>", "so")),
        ("class", "raise ArgumentError", Failing("Function<ArgumentError>", "ArgumentError")),
        ("key", "event.fetch('nope')", Failing("Function<KeyError>", "key not found: \"nope\"")),
        ("exit", "exit 3", Failing("Function<SystemExit>", "exit")),
        ("exception", "raise Exception, 'all'", Failing("Function<Exception>", "all")),
        ("deep", "raise NotImplementedError, 'later'", Failing("Function<NotImplementedError>", "later")),
        (
            "exit!",
            "exit! 9",
            Failing("Runtime.ExitError", "RequestId: R Error: Runtime exited with error: exit status 9"),
        ),
        (
            "signal",
            "Process.kill('KILL', Process.pid); sleep 9",
            Failing("Runtime.ExitError", "RequestId: R Error: Runtime exited with error: signal: killed"),
        ),
    ] {
        check(&world, name, &handler(&world, body).await, &ends).await;
    }
    let code = "class Gone < StandardError; end\ndef handler(event:, context:) = raise(Gone, 'lost é')\n";
    let own = deploy(&world, &[("index.rb", code)], "index.handler").await;
    check(&world, "a class of its own", &own, &Failing("Function<Gone>", "lost é")).await;
    let missing = handler(&world, "nope").await;
    let ran = world.run(&missing, json!({})).await;
    assert_eq!(ran.failed().name, "Function<NameError>");
    assert!(ran.failed().message.starts_with("undefined local variable or method"), "{:?}", ran.failed());
    assert_eq!(ran.failed().message.lines().count(), 1, "without hints");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_error_ends_the_process_and_another_error_does_not() {
    let world = world();
    let body = "($runs ||= []) << event['way']\n  raise 'so' if event['way'] == 'error'\n  nope if event['way'] == 'name'\n  $runs";
    let function = handler(&world, body).await;
    for (way, kept) in [("error", true), ("name", false)] {
        world.run(&function, json!({"way": way})).await.failed();
        let seen = world.run(&function, json!({"way": "none"})).await.returned();
        assert_eq!(seen.as_array().unwrap().contains(&json!(way)), kept, "{way}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_are_found_where_lambda_finds_them() {
    let world = world();
    let method = "def handler(event:, context:) = __FILE__.split('/').last\n";
    let class = "module Api\n  class V1\n    def self.go(event:, context:) = name\n  end\nend\n";
    let cases: &[Case<'_>] = &[
        ("file", &[("index.rb", method)], "index.handler", In(json!("index.rb"))),
        ("folder", &[("src/api.rb", method)], "src/api.handler", In(json!("api.rb"))),
        ("class", &[("index.rb", class)], "index.Api::V1.go", In(json!("Api::V1"))),
        // A method of the file is one of every object, also if this runtime's own has one of that name.
        ("call", &[("index.rb", "def call(event:, context:) = 1\n")], "index.call", In(json!(1))),
        (
            "other files",
            &[
                ("index.rb", "require 'lib/a'\nrequire_relative 'lib/b'\ndef handler(event:, context:) = [A, B]\n"),
                ("lib/a.rb", "A = 1\n"),
                ("lib/b.rb", "B = 2\n"),
            ],
            "index.handler",
            In(json!([1, 2])),
        ),
        (
            "a gem of the package",
            &[
                ("index.rb", "require 'own'\ndef handler(event:, context:) = Own::X\n"),
                ("vendor/bundle/ruby/3.4.0/gems/own-1.0.0/lib/own.rb", "module Own; X = 'gem'; end\n"),
                (
                    "vendor/bundle/ruby/3.4.0/specifications/own-1.0.0.gemspec",
                    "Gem::Specification.new { |s| s.name = 'own'; s.version = '1.0.0'; s.summary = s.author = 'x'; s.require_paths = ['lib'] }\n",
                ),
            ],
            "index.handler",
            In(json!("gem")),
        ),
        (
            "no file",
            &[("other.rb", method)],
            "index.handler",
            Failing("Init<LoadError>", "cannot load such file -- index"),
        ),
        (
            "raises while it is loaded",
            &[("index.rb", "raise 'early'\n")],
            "index.handler",
            Failing("Init<RuntimeError>", "early"),
        ),
        (
            "a missing file",
            &[("index.rb", "require 'x/nope'\n")],
            "index.handler",
            Failing("Init<LoadError>", "cannot load such file -- x/nope"),
        ),
        (
            "the AWS SDK",
            &[("index.rb", "require 'aws-sdk-s3'\n")],
            "index.handler",
            Failing(
                "Init<LoadError>",
                "cannot load such file -- aws-sdk-s3: Lambda's runtime includes the AWS SDK, this machine's does not: put it \
                 into the package",
            ),
        ),
        (
            "too many parts",
            &[("index.rb", method)],
            "index.a.b.c",
            Failing(
                "Init<ArgumentError>",
                "Invalid handler [\"index\", \"a\", \"b\", \"c\"], must be of form FILENAME.METHOD or FILENAME.CLASS.METHOD where \
                 FILENAME corresponds with an existing Ruby source file FILENAME.rb, CLASS is an optional module/class namespace \
                 and METHOD is a callable method. If using CLASS, METHOD must be a class-level method.",
            ),
        ),
    ];
    for (name, files, entry_point, ends) in cases {
        check(&world, name, &deploy(&world, files, entry_point).await, ends).await;
    }
    let broken = deploy(&world, &[("index.rb", "def handler(\n")], "index.handler").await;
    assert_eq!(world.run(&broken, json!({})).await.failed().name, "Init<SyntaxError>");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_says_what_lambda_s_says() {
    let world = world();
    let body = "[context.aws_request_id, context.invoked_function_arn, context.log_group_name, context.function_name,
   context.memory_limit_in_mb, context.function_version, context.identity, context.client_context, context.tenant_id,
   context.log_stream_name == ENV['AWS_LAMBDA_LOG_STREAM_NAME'],
   (1..10_000).cover?(context.get_remaining_time_in_millis), context.deadline_ms.class.name, context.class.name,
   ENV['AWS_EXECUTION_ENV'], ENV['_X_AMZN_TRACE_ID'].start_with?('Root='), ENV.keys.grep(/TASKLANE/), Dir.pwd == ENV['LAMBDA_TASK_ROOT'],
   Encoding.default_external.name, Net::HTTP.name, Time.now.utc_offset]";
    let function = handler(&world, body).await;
    let ran = world.run(&function, json!({})).await;
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:test-f";
    assert_eq!(
        ran.returned(),
        json!([
            ran.request_id(),
            arn,
            "/aws/lambda/test-f",
            "test-f",
            "256",
            "$LATEST",
            null,
            null,
            null,
            true,
            true,
            "Integer",
            "LambdaContext",
            "AWS_Lambda_ruby3.4",
            true,
            [],
            true,
            "UTF-8",
            "Net::HTTP",
            0
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_in_the_log_of_its_run() {
    let world = world();
    let code = "require 'logger'
$log = Logger.new($stdout)
def handler(event:, context:)
  puts 'one', ['two', :three]
  $stdout.puts \"four\\nfive\"
  print 'six'
  $stderr.puts ' seven'
  $log.info('eight')
  $log.debug { { nine: 9 } }
  Logger.new($stderr, level: :warn, progname: 'p').info('not this')
  warn 'ten'
  system('echo eleven')
  puts \"\\xff\".b.force_encoding('UTF-8').scrub('?')
  raise IOError, 'twelve' if event['raise']
end
";
    let function = deploy(&world, &[("index.rb", code)], "index.handler").await;
    let ran = world.run(&function, json!({})).await;
    ran.returned();
    let lines = ran.own_lines().into_iter().map(|line| without_stamp(&line)).collect::<Vec<_>>();
    let expected = [
        "one\ntwo\nthree",
        "four",
        "five",
        "six seven",
        "I, [T]  INFO R -- : eight",
        "D, [T] DEBUG R -- : {:nine=>9}",
        "ten",
        "eleven",
        "?",
    ];
    // Ruby 3.4 shows hashes in another way.
    let lines: Vec<_> = lines.iter().map(|line| line.replace("{nine: 9}", "{:nine=>9}")).collect();
    assert_eq!(lines, expected);
    let ran = world.run(&function, json!({"raise": true})).await;
    let lines = ran.own_lines();
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(lines[lines.len() - 2], "Error raised from handler method");
    assert_eq!((&last["errorType"], &last["errorMessage"]), (&json!("Function<IOError>"), &json!("twelve")));
    let trace = last["stackTrace"].as_array().unwrap();
    assert_eq!(trace.len(), 1, "only the Function's own frames: {trace:?}");
    assert!(trace[0].as_str().unwrap().contains("index.rb:14:in"), "{trace:?}");
}

/// Replaces the time and the process in a line of `Logger`.
fn without_stamp(line: &str) -> String {
    match line.split_once('[').and_then(|(start, rest)| Some((start, rest.split_once(']')?.1))) {
        Some((start, rest)) if rest.starts_with(' ') => format!("{start}[T]{rest}"),
        _ => line.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_codes_own_rules_for_json_apply() {
    let world = world();
    let code = "class AwsLambda::Marshaller
  class << self
    def marshall_request(request) = request.body.upcase
    def marshall_response(response) = [StringIO.new(response.inspect), 'application/unknown']
  end
end
def handler(event:, context:) = event
";
    let function = deploy(&world, &[("index.rb", code)], "index.handler").await;
    assert_eq!(world.run(&function, json!({"a": 1})).await.returned(), json!("{\"A\":1}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_without_a_jail_too() {
    install("ruby");
    let world = World::unjailed();
    let code = "def handler(event:, context:) = [ENV['OWN'], File.exist?(ENV['LAMBDA_RUNTIME_DIR'])]\n";
    let change = |spec: &mut FunctionSpec| {
        spec.configuration.set_runtime(Runtime::new("ruby3.3"));
        spec.configuration.environment = environment(&[("OWN", "yes")]);
    };
    let function = world.deploy(&[("index.rb", code)], change).await;
    assert_eq!(world.run(&function, json!({})).await.returned(), json!(["yes", true]));
}
