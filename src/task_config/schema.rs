//! The JSON Schema of `task-config.json`, for editors.

use serde_json::{Map, Value, json};
use tasklane_model::{
    Architecture, Backoff, CatchUp, ConcurrencyLimit, EphemeralStorage, FlowConcurrency, Interval, LogRetentionDays,
    MaxRetries, MemoryLimit, Overlap, PermissionMode, Priority, QueuedTimeout, RateCount, RateSeconds, RetrySeconds,
    RolePermissions, Runtime, Secrets, SnapStart, TaskEventKind, TimeLimit, TracingMode,
};

use super::draft;

/// The schema, made from the types that check the file. A value may also be `$NAME`, which comes from the environment.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "task-config.json",
        "description": "A Function of tasklane. Each string value that begins with $ is taken from the environment variable of that name.",
        "type": "object",
        "required": ["name"],
        "oneOf": [
            { "required": ["path", "entryPoint", "runtime"] },
            { "required": ["image"], "not": { "anyOf": draft::image::REPLACED.map(|name| json!({ "required": [name] })) } },
        ],
        "additionalProperties": false,
        "properties": properties(),
        "$defs": { "variable": {
            "description": "The name of an environment variable that holds the value.", "type": "string", "pattern": "^\\$."
        } },
    })
}

fn properties() -> Map<String, Value> {
    let modes = PermissionMode::NAMES.map(|(name, _)| name);
    let all = [
        ("$schema", json!({ "type": "string", "description": "The schema of this file, for editors." })),
        (
            "name",
            described(
                "The Function's name.",
                json!({
                    "anyOf": [{ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" }, variable()],
                }),
            ),
        ),
        ("path", text("The folder that is packed, relative to this file.", 1, None)),
        (
            "entryPoint",
            text(
                "What runs: for Node.js and Python `file.function`, relative to `path`; for provided runtimes any text.",
                1,
                Some(128),
            ),
        ),
        (
            "runtime",
            described(
                "The runtime of AWS Lambda.",
                json!({
                    "anyOf": [{ "type": "string", "examples": Runtime::offered() }, variable()],
                }),
            ),
        ),
        (
            "image",
            text(
                "A container image in place of `path`, `entryPoint` and `runtime`: its URI in ECR, or for this machine only a path that begins with `./`.",
                1,
                Some(512),
            ),
        ),
        ("description", text("What it is for.", 0, Some(256))),
        (
            "timeLimit",
            number(
                "How long one run may take, in seconds. Direct executions and API Functions: at most 30.",
                (TimeLimit::MIN.into(), TimeLimit::MAX.into()),
                Some(TimeLimit::default().into()),
            ),
        ),
        (
            "memoryLimit",
            number(
                "How much memory one run may use, in MB.",
                (MemoryLimit::MIN.into(), MemoryLimit::MAX.into()),
                Some(MemoryLimit::default().into()),
            ),
        ),
        (
            "environment",
            described(
                "The variables of its process.",
                json!({
                    "type": "object", "additionalProperties": { "type": "string" }, "default": {},
                }),
            ),
        ),
        (
            "secrets",
            or_null(described(
                "More variables of its process, and where the value of each is: `ssm:/tasklane/<prefix>/<name>` or `secretsmanager:tasklane/<prefix>/<name>#<key>`.",
                json!({ "type": "object", "additionalProperties": { "type": "string" }, "maxProperties": Secrets::MOST, "default": {} }),
            )),
        ),
        ("aws", or_null(aws())),
        (
            "executionPermission",
            described(
                "Who may execute it directly or call it over HTTP: holders of a permission, all users that are logged in, or anybody.",
                json!({ "anyOf": [{ "enum": modes }, variable()], "default": modes[0] }),
            ),
        ),
        ("executionCredentials", execution_credentials()),
        (
            "defaultPriority",
            number(
                "The priority of its Tasks: higher ones run first.",
                (Priority::MIN.into(), Priority::MAX.into()),
                Some(Priority::default().into()),
            ),
        ),
        (
            "concurrencyLimit",
            or_null(number(
                "How many of its runs may be in progress at once. Without it, as many as the service allows.",
                (ConcurrencyLimit::MIN.into(), ConcurrencyLimit::MAX.into()),
                None,
            )),
        ),
        (
            "events",
            or_null(described(
                "What its Tasks publish besides `task_failed`.",
                json!({
                    "type": "array",
                    "items": { "enum": TaskEventKind::ALL.map(TaskEventKind::as_str) },
                    "uniqueItems": true,
                    "default": [],
                }),
            )),
        ),
        ("flow", or_null(flow())),
        ("retryPolicy", retry_policy()),
        ("storeResult", or_null(boolean("Whether what a Task returned is kept.", Some(false)))),
        (
            "timeouts",
            or_null(described(
                "How long its Tasks may wait.",
                object(
                    &[],
                    [(
                        "queued",
                        or_null(number(
                            "A Task that has not started so many seconds after it was due fails. Without it, Tasks wait for ever.",
                            (QueuedTimeout::MIN.into(), QueuedTimeout::MAX.into()),
                            None,
                        )),
                    )],
                ),
            )),
        ),
        ("schedules", or_null(schedules())),
        ("dataSchema", json_schema("What the data of its Tasks must look like: data that does not fit is refused.")),
        ("resultSchema", json_schema("What its results look like, for `tasklane types`. Results are not checked.")),
    ];
    all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

fn json_schema(about: &str) -> Value {
    described(
        about,
        json!({ "anyOf": [
            { "type": "object", "description": "The JSON Schema." },
            { "type": "boolean", "description": "true for anything, false for nothing." },
            { "type": "string", "description": "A .json file that has it, relative to this file.", "minLength": 1 },
            { "type": "null" },
        ] }),
    )
}

fn aws() -> Value {
    let names = |about: &str, names: Vec<&str>, default: Option<&str>| {
        let mut schema = json!({ "anyOf": [{ "enum": names }, variable(), { "type": "null" }] });
        if let Some(default) = default {
            schema["default"] = default.into();
        }
        described(about, schema)
    };
    let ids = |about: &str, most: u8| {
        described(about, json!({ "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": most }))
    };
    let vpc = object(
        &["subnetIds", "securityGroupIds"],
        [("subnetIds", ids("1 to 16 subnets.", 16)), ("securityGroupIds", ids("1 to 5 security groups.", 5))],
    );
    let layers = json!({ "type": "array", "items": { "type": "string" }, "maxItems": 5 });
    let options = object(
        &[],
        [
            ("role", or_null(text("The ARN of the role that it runs with, below /tasklane/<prefix>/.", 1, Some(640)))),
            (
                "architecture",
                names("The processor.", Architecture::NAMES.iter().map(|(name, _)| *name).collect(), None),
            ),
            (
                "ephemeralStorage",
                or_null(number(
                    "The size of /tmp, in MB.",
                    (EphemeralStorage::MIN.into(), EphemeralStorage::MAX.into()),
                    Some(512),
                )),
            ),
            ("layers", or_null(described("The ARNs of versions of layers, lowest first.", layers))),
            (
                "vpc",
                or_null(described("The network that it is connected to. Needs the stack's parameter AllowVpc.", vpc)),
            ),
            (
                "tracing",
                names(
                    "Whether X-Ray traces it by itself.",
                    TracingMode::NAMES.iter().map(|(name, _)| *name).collect(),
                    Some("PassThrough"),
                ),
            ),
            (
                "logRetentionDays",
                or_null(described(
                    "How long its log lines are kept, in days.",
                    json!({ "anyOf": [{ "enum": LogRetentionDays::ALL }, variable()] }),
                )),
            ),
            (
                "snapStart",
                names(
                    "Whether its versions start from a snapshot.",
                    SnapStart::NAMES.iter().map(|(name, _)| *name).collect(),
                    Some("None"),
                ),
            ),
        ],
    );
    described("What only AWS can carry out. On one machine, only layers have an effect.", options)
}

fn flow() -> Value {
    let rate = object(
        &["count", "seconds"],
        [
            ("count", number("How many.", (RateCount::MIN.into(), RateCount::MAX.into()), None)),
            ("seconds", number("In how many seconds.", (RateSeconds::MIN.into(), RateSeconds::MAX.into()), None)),
        ],
    );
    let flow = object(
        &["key"],
        [
            ("key", text("Where the key of a Task is in its data, such as data.tenantId.", 4, Some(255))),
            (
                "concurrent",
                or_null(number(
                    "How many queued runs with one key may be in progress at once.",
                    (FlowConcurrency::MIN.into(), FlowConcurrency::MAX.into()),
                    None,
                )),
            ),
            (
                "rate",
                or_null(described("How many queued runs with one key may start in any window of that length.", rate)),
            ),
        ],
    );
    described("Tasks with the same key take turns with those of other keys, and share limits.", flow)
}

fn schedules() -> Value {
    let names =
        |names: Vec<&str>, default: &str| json!({ "anyOf": [{ "enum": names }, variable()], "default": default });
    let moment =
        |about: &str| described(about, json!({ "anyOf": [{ "type": "string", "format": "date-time" }, variable()] }));
    let on_complete = object(
        &["functionName"],
        [("functionName", text("The Function.", 1, Some(64))), ("data", json!({ "description": "Any JSON." }))],
    );
    let schedule = object(
        &["name"],
        [
            ("name", text("Names the Schedule: each name once.", 1, Some(128))),
            (
                "interval",
                number(
                    "Seconds between two Tasks. This or `cron`.",
                    (Interval::MIN.into(), Interval::MAX.into()),
                    None,
                ),
            ),
            (
                "cron",
                text(
                    "When it is due: five fields (minute, hour, day of month, month, day of week) or six with seconds first.",
                    1,
                    Some(256),
                ),
            ),
            ("timezone", text("The time zone of `cron`, by its IANA name. Default: UTC.", 1, None)),
            ("data", json!({ "description": "The data of each Task: any JSON." })),
            ("priority", number("The priority of each Task.", (Priority::MIN.into(), Priority::MAX.into()), None)),
            ("onComplete", described("What runs once each of its Tasks is final.", on_complete)),
            (
                "overlap",
                described(
                    "What happens while the Task before has not ended.",
                    names(Overlap::NAMES.iter().map(|(name, _)| *name).collect(), "allow"),
                ),
            ),
            (
                "catchUp",
                described(
                    "What happens to what was missed while nothing ran.",
                    names(CatchUp::NAMES.iter().map(|(name, _)| *name).collect(), "latest"),
                ),
            ),
            ("startTimestamp", moment("There is no Task before. Default: when it is created.")),
            ("endTimestamp", moment("There is no Task after.")),
        ],
    );
    described(
        "Schedules of this Function. Sync creates, changes and removes those that it made.",
        json!({ "type": "array", "items": schedule, "maxItems": draft::schedules::MOST }),
    )
}

fn retry_policy() -> Value {
    let names = |about: &str| described(about, json!({ "type": "array", "items": { "type": "string" } }));
    let delays = (RetrySeconds::MIN.into(), RetrySeconds::MAX.into());
    let strategy = object(
        &[],
        [
            (
                "maxRetries",
                number(
                    "How many retries there are at most.",
                    (MaxRetries::MIN.into(), MaxRetries::MAX.into()),
                    Some(MaxRetries::default().into()),
                ),
            ),
            (
                "backoff",
                described(
                    "How the delay grows: not at all, or it doubles.",
                    json!({
                        "anyOf": [{ "enum": Backoff::NAMES.map(|(name, _)| name) }, variable()], "default": "exponential",
                    }),
                ),
            ),
            ("baseSeconds", number("The delay before the first retry.", delays, Some(RetrySeconds::BASE.into()))),
            ("maxSeconds", number("The longest delay.", delays, Some(RetrySeconds::LONGEST.into()))),
            ("jitter", boolean("Whether each delay is between half of it and all of it, at random.", Some(true))),
        ],
    );
    let about = "How often and when. Without it, three retries after 2, 5 and 10 seconds.";
    let policy = object(
        &["enabled"],
        [
            ("enabled", boolean("Whether failed runs are retried.", Some(false))),
            ("errorsToRetry", names("The names of the errors that are retried; an empty list means every error.")),
            ("errorsNotToRetry", or_null(names("The names of the errors that are never retried."))),
            ("strategy", or_null(described(about, strategy))),
        ],
    );
    described("What happens after a failed run.", policy)
}

fn execution_credentials() -> Value {
    let names = json!({ "type": "array", "items": { "type": "string" }, "maxItems": RolePermissions::MOST });
    let credentials = object(
        &["permissions"],
        [
            (
                "permissions",
                described("What its role grants. Names of other services are kept and grant nothing.", names),
            ),
            (
                "email",
                text("The email address of its user. Without it, exh.tasks+<name>@extrahorizon.com.", 5, Some(256)),
            ),
        ],
    );
    described(
        "What it may do with the service. Sync makes a role, a user and a credential for it, and sets API_HOST and the four API_OAUTH variables.",
        credentials,
    )
}

fn object<const N: usize>(required: &[&str], properties: [(&str, Value); N]) -> Value {
    let properties: Map<_, _> = properties.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    json!({ "type": "object", "required": required, "additionalProperties": false, "properties": properties })
}

fn text(about: &str, shortest: u16, longest: Option<u16>) -> Value {
    let mut schema = json!({ "type": "string", "minLength": shortest });
    if let Some(longest) = longest {
        schema["maxLength"] = longest.into();
    }
    described(about, schema)
}

fn number(about: &str, (least, most): (i64, i64), default: Option<i64>) -> Value {
    let integer = json!({ "type": "integer", "minimum": least, "maximum": most });
    let mut schema = json!({ "anyOf": [integer, variable()] });
    if let Some(default) = default {
        schema["default"] = default.into();
    }
    described(about, schema)
}

fn boolean(about: &str, default: Option<bool>) -> Value {
    let mut schema = json!({ "anyOf": [{ "type": "boolean" }, variable()] });
    if let Some(default) = default {
        schema["default"] = default.into();
    }
    described(about, schema)
}

/// `null` removes the property from the Function.
fn or_null(mut schema: Value) -> Value {
    match schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        Some(choices) => choices.push(json!({ "type": "null" })),
        None => schema["type"] = json!([schema["type"], "null"]),
    }
    schema
}

fn variable() -> Value {
    json!({ "$ref": "#/$defs/variable" })
}

fn described(about: &str, mut schema: Value) -> Value {
    schema["description"] = about.into();
    schema
}

#[cfg(test)]
// A test may read its environment.
#[allow(clippy::disallowed_methods)]
mod tests {
    use tasklane_model::AwsOptions;

    use super::*;

    #[test]
    fn the_schema_names_exactly_the_properties_that_are_read() {
        let schema = schema();
        let names = |pointer: &str| {
            let properties = schema.pointer(pointer).and_then(Value::as_object).unwrap();
            properties.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>()
        };
        let read = |names: &[&'static str]| names.iter().copied().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(names("/properties"), read(draft::PROPERTIES));
        assert_eq!(names("/properties/retryPolicy/properties"), read(draft::retry::PROPERTIES));
        let strategy = "/properties/retryPolicy/properties/strategy/properties";
        assert_eq!(names(strategy), read(draft::retry::STRATEGY_PROPERTIES));
        assert_eq!(names("/properties/aws/properties"), read(&AwsOptions::FIELDS));
        assert_eq!(names("/properties/aws/properties/vpc/properties"), read(draft::aws::VPC_PROPERTIES));
        assert_eq!(names("/properties/flow/properties"), read(draft::flow::PROPERTIES));
        assert_eq!(names("/properties/executionCredentials/properties"), read(draft::execution::PROPERTIES));
        assert_eq!(names("/properties/schedules/items/properties"), read(draft::schedules::PROPERTIES));
    }

    #[test]
    fn the_schema_in_docs_is_current() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/task-config.schema.json");
        let now = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(file, &now).unwrap();
        }
        let stored = std::fs::read_to_string(file).unwrap_or_default();
        assert!(stored == now, "run UPDATE_SCHEMA=1 cargo test -p tasklane-task-config schema");
    }

    #[test]
    fn the_page_about_functions_has_every_property() {
        let page = include_str!("../../docs/functions.md");
        let schema = schema();
        for (name, about) in schema["properties"].as_object().unwrap().iter().filter(|(name, _)| *name != "$schema") {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
            let row = row.unwrap_or_else(|| panic!("docs/functions.md has no row for {name}"));
            for limit in ["minimum", "maximum"] {
                let Some(limit) = about["anyOf"][0][limit].as_i64() else { continue };
                // Those of the priority are JavaScript's, and nobody reaches them.
                assert!(limit.abs() > 1 << 40 || row.contains(&limit.to_string()), "{name}: {limit} is not in {row}");
            }
            if let Some(default) = about["default"].as_i64() {
                assert!(row.contains(&default.to_string()), "{name}: the default {default} is not in {row}");
            }
        }
    }
}
