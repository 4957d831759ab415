//! Schemas of Functions as users meet them, and the types that are made of them.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{
    command::{Ended, run},
    packages,
    project::repository,
    python,
    random::Random,
    walk::Reader,
};

#[test]
fn the_page_about_schemas() {
    Reader::new().follow("docs/schemas.md");
}

#[test]
fn types_in_typescript_say_what_fits() {
    let home = functions();
    types(home.path(), "functions.ts");
    fs::copy(repository().join("tests/types/use.ts"), home.path().join("use.ts")).unwrap();
    compile(home.path(), &["use.ts", "functions.ts"]);
}

#[test]
fn types_in_python_say_what_fits() {
    let home = functions();
    types(home.path(), "functions.py");
    fs::copy(repository().join("tests/types/use.py"), home.path().join("use.py")).unwrap();
    let programs = python::install("mypy");
    let options = ["-m", "mypy", "--strict", "--no-incremental", "--python-version", "3.11", "use.py", "functions.py"];
    passes(Command::new(programs.join("python")).current_dir(home.path()).args(options));
    passes(Command::new(programs.join("python")).current_dir(home.path()).arg("use.py"));
}

/// Schemas with everything that there is, in each other; the compilers read whatever comes of it.
#[test]
fn every_schema_becomes_types_that_compile() {
    let home = tempfile::tempdir().unwrap();
    let mut random = Random::new(7);
    for number in 0..80 {
        let [data, result] = [4, 2].map(|depth| {
            let mut schema = any_schema(&mut random, depth);
            if let Value::Object(fields) = &mut schema {
                let named = json!({ "a": fitting(&mut random, 3), "b-c": fitting(&mut random, 3) });
                fields.insert("$defs".to_owned(), named);
            }
            schema
        });
        write(home.path(), &format!("f{number}"), json!({ "dataSchema": data, "resultSchema": result }));
    }
    for file in ["functions.ts", "functions.py"] {
        types(home.path(), file);
    }
    compile(home.path(), &["functions.ts"]);
    // Importing it evaluates all that is not in quotes; the rest is evaluated by asking for it.
    let ask = "import functions, typing\n\
        [typing.get_type_hints(found) for found in vars(functions).values() if typing.is_typeddict(found)]";
    passes(Command::new("python3").current_dir(home.path()).args(["-c", ask]));
}

#[test]
fn a_file_that_is_not_up_to_date_is_told() {
    let home = functions();
    let check = |code: i32| run(home.path(), ["types", ".", "--out", "functions.ts", "--check"]).expect(code).stderr;
    assert!(check(1).contains("functions.ts is not up to date"));
    assert!(!home.path().join("functions.ts").exists());
    types(home.path(), "functions.ts");
    let written = fs::read(home.path().join("functions.ts")).unwrap();
    assert!(check(0).contains("functions.ts: up to date"));
    types(home.path(), "functions.ts");
    assert_eq!(fs::read(home.path().join("functions.ts")).unwrap(), written, "the same schemas make the same file");
    let printed = run(home.path(), ["types", "."]).expect(0).stdout;
    assert_eq!(printed.as_bytes(), written);

    write(home.path(), "tree", json!({ "dataSchema": { "type": "null" } }));
    check(1);
    write(home.path(), "tree", json!({ "dataSchema": "none.json" }));
    let refused = run(home.path(), ["types", "."]).expect(2).stderr;
    assert!(
        refused.contains("tree/task-config.json: 'dataSchema' leads to none.json, which cannot be read"),
        "{refused}"
    );
    assert!(run(home.path(), ["types", "."]).stdout.is_empty());
}

/// A folder with Functions, none of whose code is built.
fn functions() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let data = json!({
        "title": "An order */", "type": "object", "required": ["to", "amount"], "additionalProperties": false,
        "properties": {
            "to": { "type": "string", "description": "Whom.\nNot \"\"\" a */ list." }, "amount": { "type": "number" },
            "kind": { "enum": ["order", "refund", 3, null] }, "a-b": { "type": "integer" },
            "items": { "type": "array", "items": { "$ref": "#/$defs/item" } },
            "place": { "type": "array", "prefixItems": [{ "type": "number" }, { "type": "number" }], "minItems": 2 },
        },
        "$defs": { "item": { "type": "object", "required": ["name"], "properties": {
            "name": { "type": "string" }, "parts": { "type": "array", "items": { "$ref": "#/$defs/item" } } } } },
    });
    let result = json!({ "type": "object", "required": ["sent"], "properties": {
        "sent": { "type": "boolean" }, "about": { "type": "array" } } });
    let tree = json!({ "$ref": "#/definitions/node", "$schema": "http://json-schema.org/draft-07/schema#", "definitions": {
        "node": { "type": "object", "required": ["value"], "properties": {
            "value": true, "left": { "$ref": "#/definitions/node" }, "right": { "$ref": "#/definitions/node" } } } } });
    write(home.path(), "order-mail", json!({ "dataSchema": data, "resultSchema": result }));
    write(home.path(), "order_mail", json!({ "environment": { "KEY": "$A_VARIABLE_THAT_IS_NOT_SET" } }));
    write(home.path(), "nullable", json!({ "dataSchema": { "type": ["string", "null"] } }));
    write(home.path(), "tree", json!({ "dataSchema": tree }));
    write(home.path(), "plain", json!({}));
    home
}

fn write(home: &Path, name: &str, more: Value) {
    let mut config = json!({ "name": name, "path": "dist", "entryPoint": "index.handler", "runtime": "nodejs22.x" });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fs::create_dir_all(home.join(name)).unwrap();
    fs::write(home.join(name).join("task-config.json"), config.to_string()).unwrap();
}

fn types(home: &Path, file: &str) {
    run(home, ["types", ".", "--out", file]).expect(0);
}

fn compile(home: &Path, files: &[&str]) {
    let packages = packages::install().join("node_modules");
    let options = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--module", "esnext", "--target", "es2022"];
    let tsc = packages.join("typescript/bin/tsc");
    passes(
        packages::node().current_dir(home).arg(tsc).args(options).args(["--moduleResolution", "bundler"]).args(files),
    );
}

fn passes(command: &mut Command) -> Ended {
    Ended::of(command).expect(0)
}

/// A schema of any kind.
fn any_schema(random: &mut Random, depth: u64) -> Value {
    let mut fields = json!({}).as_object().unwrap().clone();
    for _ in 0..=random.below(4) {
        let (keyword, value) = keyword(random, depth);
        fields.insert(keyword.to_owned(), value);
    }
    Value::Object(fields)
}

/// The same, or a boolean, within another one.
fn fitting(random: &mut Random, depth: u64) -> Value {
    match random.below(6) {
        0 => json!(true),
        1 => json!({ "type": "string" }),
        _ if depth == 0 => json!({ "type": "integer" }),
        _ => any_schema(random, depth - 1),
    }
}

fn keyword(random: &mut Random, depth: u64) -> (&'static str, Value) {
    const NAMES: [&str; 9] = ["a", "b-c", "class", "__x", "1", "", "\"'\\\u{2028}\n*/", "é", "constructor"];
    const TYPES: [&str; 7] = ["object", "array", "string", "number", "integer", "boolean", "null"];
    const VALUES: [&str; 10] =
        ["1", "-2.5", "1e300", "9007199254740993", "true", "null", "\"*/ \\u0000 `${x}\"", "[1]", "{}", "\"\""];
    let value = |random: &mut Random| serde_json::from_str::<Value>(random.pick::<&str>(&VALUES)).unwrap();
    let name = |random: &mut Random| (*random.pick(&NAMES)).to_owned();
    let list = |random: &mut Random| (0..=random.below(2)).map(|_| fitting(random, depth)).collect::<Value>();
    match random.below(14) {
        0 | 1 => ("type", json!(random.pick(&TYPES))),
        2 => ("type", json!([random.pick(&TYPES[..3]), random.pick(&TYPES[3..])])),
        3 | 4 => {
            let members = (0..=random.below(3)).map(|_| (name(random), fitting(random, depth)));
            ("properties", Value::Object(members.collect()))
        }
        5 => ("required", json!([name(random)])),
        6 => ("additionalProperties", fitting(random, depth)),
        7 => ("items", fitting(random, depth)),
        8 => ("prefixItems", list(random)),
        9 => ("enum", (0..=random.below(3)).map(|_| value(random)).collect()),
        10 => ("const", value(random)),
        11 => (*random.pick(&["anyOf", "oneOf", "allOf"]), list(random)),
        // Below an object or a list, so that it does not go in circles.
        12 => (
            *random.pick(&["items", "additionalProperties"]),
            json!({ "$ref": random.pick(&["#", "#/$defs/a", "#/$defs/b-c"]) }),
        ),
        _ => (*random.pick(&["title", "description"]), json!(name(random))),
    }
}
