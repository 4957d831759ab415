//! Functions in Java. What is expected is what the source of AWS's client says
//! (`aws-lambda-java-runtime-interface-client`: `AWSLambda`, `EventHandlerLoader`, `UserFault`, `LambdaErrorConverter`).

use std::{path::Path, process::Command, sync::OnceLock};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tasklane_model::{EntryPoint, FunctionSpec, MemoryLimit, Runtime};

use super::harness::{Deployed, World, install};
use crate::package::testing;

const BOOTSTRAP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bootstrap/java");

/// Two classes of a Function, and one of a library.
const SOURCES: [(&str, &str); 3] = [
    (
        "demo/Handler.java",
        r#"package demo;
import com.amazonaws.services.lambda.runtime.*;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.*;
import java.util.*;

public class Handler extends Above<Map<String, Object>> {
    public static class Person {
        public String name;
        private int age;
        private List<Color> colors;
        public int getAge() { return age; }
        public void setAge(int age) { this.age = age; }
        public List<Color> getColors() { return colors; }
        public void setColors(List<Color> colors) { this.colors = colors; }
        public boolean isAdult() { return age > 17; }
    }
    public enum Color { RED, GREEN }
    public static class Gone extends RuntimeException {
        public Gone(String why) { super(why); }
    }
    private static int runs = 0;

    public Object handleRequest(Map<String, Object> event, Context context) { return event; }

    public Person person(Person person, Context context) { return person; }
    public int sum(List<Integer> all) { return all.stream().mapToInt(Integer::intValue).sum(); }
    public long[] array(long[] all) { return all; }
    public String text(String text) { return text + "!"; }
    public double half(double number) { return number / 2; }
    public void nothing() {}
    public static Optional<String> optional() { return Optional.of("static"); }
    public void stream(InputStream in, OutputStream out, Context context) throws IOException {
        out.write('[');
        for (int next = in.read(); next >= 0; next = in.read()) out.write(next);
        out.write(']');
    }
    public Object overloaded(String event) { return "short"; }
    public Object overloaded(Map<String, Object> event, Context context) { return "long"; }
    public int tooMany(String a, String b, String c) { return 1; }

    public Object context(Context c) {
        return Arrays.asList(c.getAwsRequestId(), c.getInvokedFunctionArn(), c.getLogGroupName(), c.getFunctionName(),
            c.getMemoryLimitInMB(), c.getFunctionVersion(), c.getIdentity(), c.getClientContext(),
            c.getLogStreamName().equals(System.getenv("AWS_LAMBDA_LOG_STREAM_NAME")),
            c.getRemainingTimeInMillis() > 0 && c.getRemainingTimeInMillis() <= 20000, System.getenv("AWS_EXECUTION_ENV"),
            c.getXrayTraceId().startsWith("Root="), System.getenv().keySet().toString().contains("TASKLANE"),
            new File(".").list().length > 0);
    }
    public Object log(Context context) {
        System.out.println("one");
        System.err.println("é two");
        context.getLogger().log("three\nfour");
        context.getLogger().log("five", LogLevel.WARN);
        System.out.print("six");
        System.out.println(" seven");
        LambdaRuntime.getLogger().log("eight\n".getBytes());
        return null;
    }
    public Object count(Map<String, Object> event) {
        runs++;
        if (event.containsKey("error")) throw new OutOfMemoryError("none left");
        if (event.containsKey("exception")) throw new Gone("so");
        return runs;
    }
    public Object fail(Map<String, Object> event) throws Exception {
        switch ((String) event.get("how")) {
            case "own": throw new Gone("lost é");
            case "checked": throw new IOException("broken");
            case "silent": throw new IllegalStateException();
            case "null": return ((String) null).length();
            case "deep": return fail(event);
            case "itself": { List<Object> list = new ArrayList<>(); list.add(list); return list; }
            default: System.exit(3); return null;
        }
    }
    public String library(Map<String, Object> event) { return lib.Library.words(); }
}

abstract class Above<T> implements RequestHandler<T, Object> {}
"#,
    ),
    (
        "demo/Broken.java",
        r#"package demo;
public class Broken {
    static { if (true) throw new IllegalArgumentException("early"); }
    public Object run() { return 1; }
}
class Hidden {
    Hidden(int number) {}
    public Object run() { return 1; }
}
"#,
    ),
    (
        "lib/Library.java",
        "package lib;\npublic class Library { public static String words() { return \"from a jar\"; } }\n",
    ),
];

/// The compiled classes, by path.
fn classes() -> &'static Vec<(String, Vec<u8>)> {
    static CLASSES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    CLASSES.get_or_init(|| {
        install("javac");
        let folder = tempfile::tempdir().unwrap();
        for (name, source) in SOURCES {
            let file = folder.path().join("src").join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, source).unwrap();
        }
        let mut compiler = Command::new("javac");
        compiler.args(["--release", "8", "-Xlint:-options", "-encoding", "UTF-8", "-cp"]);
        compiler.arg(Path::new(BOOTSTRAP).join("tasklane-runtime.jar")).arg("-d").arg(folder.path().join("out"));
        compiler.args(SOURCES.iter().map(|(name, _)| folder.path().join("src").join(name)));
        let output = compiler.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let files = walkdir::WalkDir::new(folder.path().join("out")).into_iter().map(Result::unwrap);
        let files = files.filter(|file| file.file_type().is_file());
        let read = |file: walkdir::DirEntry| {
            let name = file.path().strip_prefix(folder.path().join("out")).unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(file.path()).unwrap())
        };
        files.map(read).collect()
    })
}

/// The Function's classes, and the library as a jar.
fn package() -> Vec<u8> {
    let (library, own): (Vec<_>, Vec<_>) = classes().iter().partition(|(name, _)| name.starts_with("lib/"));
    let of_library: Vec<_> = library.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let jar = testing::zip_stored(&of_library);
    let mut files: Vec<_> = own.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    files.push(("lib/library.jar", &jar));
    testing::zip_stored(&files)
}

async fn deploy(world: &World, entry_point: &str) -> Deployed {
    let change = |spec: &mut FunctionSpec| {
        spec.configuration.set_runtime(Runtime::new("java17"));
        spec.configuration.set_entry_point(EntryPoint::parse(entry_point).unwrap());
        spec.configuration.memory_limit = MemoryLimit::new(512).unwrap();
        spec.configuration.time_limit = tasklane_model::TimeLimit::new(20).unwrap();
    };
    world.deploy_zip(package(), change).await
}

/// The source is compiled again by CI; this needs no compiler.
#[test]
fn the_archive_is_made_of_its_source() {
    let mut hash = Sha256::new();
    let mut sources: Vec<_> = walkdir::WalkDir::new(BOOTSTRAP)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "java"))
        .collect();
    sources.sort();
    for source in &sources {
        let name = source.strip_prefix(BOOTSTRAP).unwrap().to_str().unwrap();
        let text = std::fs::read(source).unwrap();
        [name.as_bytes(), b"\0", &text, b"\0"].iter().for_each(|part| hash.update(part));
    }
    assert!(sources.len() > 10, "{sources:?}");
    let archive = std::fs::File::open(Path::new(BOOTSTRAP).join("tasklane-runtime.jar")).unwrap();
    let mut archive = zip::ZipArchive::new(archive).unwrap();
    let mut noted = String::new();
    std::io::Read::read_to_string(&mut archive.by_name("META-INF/SOURCE.sha256").unwrap(), &mut noted).unwrap();
    assert_eq!(noted, hex::encode(hash.finalize()), "run infra/java-bootstrap");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_results_have_the_types_of_the_handler() {
    let world = World::new();
    for (entry_point, event, result) in [
        ("demo.Handler", json!({"a": [1, 2.5, "é", null, true], "n": 12_345_678_901_i64}), None),
        ("demo.Handler::sum", json!([1, 2, 3]), Some(json!(6))),
        ("demo.Handler::array", json!([1, 2]), None),
        ("demo.Handler::text", json!("é\n\"☃\""), Some(json!("é\n\"☃\"!"))),
        ("demo.Handler::half", json!(5), Some(json!(2.5))),
        ("demo.Handler::nothing", json!({}), Some(json!(null))),
        ("demo.Handler::optional", json!({}), Some(json!("static"))),
        ("demo.Handler::stream", json!({"a": 1}), Some(json!([{"a": 1}]))),
        ("demo.Handler::overloaded", json!({}), Some(json!("long"))),
        ("demo.Handler::library", json!({}), Some(json!("from a jar"))),
        (
            "demo.Handler::person",
            json!({"name": "Ada", "age": 36, "colors": ["RED"], "unknown": 1}),
            Some(json!({"name": "Ada", "age": 36, "colors": ["RED"], "adult": true})),
        ),
    ] {
        let function = deploy(&world, entry_point).await;
        let returned = world.run(&function, event.clone()).await.returned();
        assert_eq!(returned, result.unwrap_or(event), "{entry_point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_thrown_has_lambdas_names_and_messages() {
    let world = World::new();
    let function = deploy(&world, "demo.Handler::fail").await;
    for (how, name, message) in [
        ("own", "demo.Handler$Gone", "lost é"),
        ("checked", "java.io.IOException", "broken"),
        ("silent", "java.lang.IllegalStateException", "java.lang.IllegalStateException"),
        ("itself", "java.lang.RuntimeException", "An error occurred during JSON serialization of response"),
        ("deep", "java.lang.StackOverflowError", "java.lang.StackOverflowError"),
    ] {
        let ran = world.run(&function, json!({"how": how})).await;
        let failed = ran.failed();
        assert_eq!((failed.name.as_str(), failed.message.as_str()), (name, message), "{how}");
    }
    let ran = world.run(&function, json!({"how": "null"})).await;
    assert_eq!(ran.failed().name, "java.lang.NullPointerException");
    let ran = world.run(&function, json!({"how": "exit"})).await;
    assert!(ran.failed().message.ends_with("Runtime exited with error: exit status 3"), "{:?}", ran.failed());
    // Its trace has the Function's own frames only, and the log shows it.
    let ran = world.run(&function, json!({"how": "own"})).await;
    let frames = format!("{:?}", ran.failed());
    assert!(frames.contains("demo.Handler.fail(Handler.java:") && !frames.contains("tasklane"), "{frames}");
    let line = ran.own_lines().join("\n");
    assert!(line.starts_with("lost é: demo.Handler$Gone\ndemo.Handler$Gone: lost é\n\tat demo.Handler.fail"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_handler_is_said_in_lambdas_words() {
    let world = World::new();
    for (entry_point, name, message) in [
        ("demo.Nope", "java.lang.ClassNotFoundException", "Class not found: demo.Nope"),
        ("demo.Broken::run", "java.lang.ExceptionInInitializerError", "Error loading class demo.Broken"),
        ("::run", "", "Invalid handler: `::run'"),
        (
            "demo.Handler::nope",
            "",
            "No public method named nope with appropriate method signature found on class demo.Handler",
        ),
        (
            "demo.Handler::tooMany",
            "",
            "No public method named tooMany with appropriate method signature found on class demo.Handler",
        ),
        ("lib.Library", "", "Class does not implement an appropriate handler interface: lib.Library"),
        ("demo.Hidden::run", "java.lang.Exception", "Class demo.Hidden has no public zero-argument constructor"),
    ] {
        let ran = world.run(&deploy(&world, entry_point).await, json!({})).await;
        let failed = ran.failed();
        assert_eq!(failed.message, message);
        if !name.is_empty() {
            assert_eq!(failed.name, name, "{entry_point}");
        }
    }
    let ran = world.run(&deploy(&world, "demo.Handler::text").await, json!({"a": 1})).await;
    assert_eq!(ran.failed().name, "java.lang.RuntimeException");
    assert_eq!(ran.failed().message, "An error occurred during JSON parsing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_leaves_the_process_as_it_is_and_an_error_of_the_machine_ends_it() {
    let world = World::new();
    let function = deploy(&world, "demo.Handler::count").await;
    world.run(&function, json!({"exception": 1})).await.failed();
    assert_eq!(world.run(&function, json!({})).await.returned(), json!(2));
    world.run(&function, json!({"error": 1})).await.failed();
    assert_eq!(world.run(&function, json!({})).await.returned(), json!(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_and_the_log_are_those_of_the_run() {
    for world in [World::new(), World::unjailed()] {
        let ran = world.run(&deploy(&world, "demo.Handler::context").await, json!({})).await;
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:test-f";
        let expected = json!([
            ran.request_id(),
            arn,
            "/aws/lambda/test-f",
            "test-f",
            512,
            "$LATEST",
            null,
            null,
            true,
            true,
            "AWS_Lambda_java17",
            true,
            false,
            true
        ]);
        assert_eq!(ran.returned(), expected);
        let ran = world.run(&deploy(&world, "demo.Handler::log").await, json!({})).await;
        assert_eq!(ran.returned(), Value::Null);
        assert_eq!(ran.own_lines(), ["one", "é two", "three\nfour", "[WARN] five", "six seven", "eight"]);
    }
}
