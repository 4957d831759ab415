//! Each handler's role allows exactly the calls that its code can make; `infra/iam.md` lists the reasons.

mod calls;
mod crates;
mod inference;
mod policies;
pub(super) mod sdk;
mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
};

use serde_json::{Value, json};

use self::{policies::Grants, sdk::Sdk, source::Sources};
use super::{resources, root, template, text_of};

/// The handlers, by the names of their crates.
const HANDLERS: [&str; 3] = ["api", "dispatcher", "ticker"];

/// Actions, and the code that needs each: `file function`, or a part of the template.
type Needs = BTreeMap<String, BTreeSet<String>>;

#[test]
fn a_handlers_role_allows_its_calls_and_nothing_else() {
    let template = template();
    let sdk = Sdk::read(root());
    for handler in HANDLERS {
        let held = policies::of_role(&template, &role_of(&template, handler));
        let (needs, ways) = needs_of(&template, &sdk, handler);
        let missing: Vec<_> = needs.keys().filter(|action| !held.contains_key(*action)).collect();
        let ways: Vec<_> = missing.iter().filter_map(|action| ways.get(*action)).collect();
        assert!(missing.is_empty(), "the role of {handler} lacks {missing:#?}, which is called by way of {ways:#?}");
        let idle: Vec<_> = held.keys().filter(|action| !needs.contains_key(*action)).collect();
        assert!(idle.is_empty(), "the role of {handler} holds {idle:#?}, which it never calls");
    }
}

#[test]
fn the_list_in_infra_names_the_code_that_needs_each_action() {
    let template = template();
    let sdk = Sdk::read(root());
    let mut made = BEGINNING.to_owned();
    for handler in HANDLERS {
        let held = policies::of_role(&template, &role_of(&template, handler));
        let (needs, _) = needs_of(&template, &sdk, handler);
        made.push_str(&section(&format!("{handler} (`{}`)", role_of(&template, handler)), &held, &needs));
    }
    let held = policies::of_role(&template, "FunctionRole");
    let writes = "Lambda, for every Function (`src/aws/lambda/deploy.rs` `AwsLambda::create` hands it the role)";
    let needs = held.keys().map(|action| (action.clone(), BTreeSet::from([writes.to_owned()]))).collect();
    made.push_str(&section("Functions (`FunctionRole`)", &held, &needs));
    if env::var_os("UPDATE_IAM").is_some() {
        fs::write(root().join("infra/iam.md"), &made).unwrap();
    }
    assert!(
        text_of("infra/iam.md") == made,
        "infra/iam.md does not say what the code and template.yaml say. If the change is intended, regenerate it: \
         UPDATE_IAM=1 cargo test --test it template::roles"
    );
}

#[test]
fn no_call_of_aws_is_overlooked() {
    let sdk = Sdk::read(root());
    let sources = Sources::of_handler(root(), HANDLERS[0]);
    let mut overlooked = calls::everywhere(&sources, &sdk);
    for handler in HANDLERS {
        for callers in calls::reachable(&Sources::of_handler(root(), handler), &sdk).into_values() {
            callers.keys().for_each(|caller| {
                overlooked.remove(caller);
            });
        }
    }
    // Code that people run on their own machines, with their own permissions.
    overlooked.retain(|caller| !caller.starts_with("src/aws/operator/") && !caller.starts_with("src/store/schema.rs "));
    assert!(
        overlooked.is_empty(),
        "these call AWS, and no handler seems to reach them: {overlooked:#?}. Either they can go, or \
         tests/it/template/roles/calls.rs does not see who calls them"
    );
}

#[test]
fn only_the_adapters_and_the_store_have_clients_of_aws() {
    let sources = HANDLERS.map(|handler| Sources::of_handler(root(), handler));
    for file in sources.iter().flat_map(|sources| sources.imports.keys()) {
        let names_a_client = text_of(file).contains("aws_sdk_");
        let may = file.starts_with("src/aws/") || file.starts_with("src/store/");
        assert!(may || !names_a_client, "{file} names a crate of the SDK: this test would not see its calls");
    }
}

#[test]
fn a_role_reaches_only_its_own_stack() {
    let template = template();
    let mut roles: Vec<_> = resources(&template, "AWS::IAM::Role").keys().cloned().collect();
    roles.sort();
    assert_eq!(roles, ["ApiRole", "DispatcherRole", "FunctionRole", "TickerRole"]);
    for role in roles {
        for (action, of) in policies::of_role(&template, &role) {
            for resource in of {
                let is_named = resource.contains("${Prefix}-") || resource.contains("/${Prefix}/");
                let own = is_named || template["Resources"].get(first_name(&resource)).is_some();
                // X-Ray has no resources to name, and neither has most of what networks need, which is why only AllowVpc
                // grants it. The owner of a layer decides who may read it.
                let has_no_owner =
                    ["xray:", "ec2:", "lambda:GetLayerVersion"].iter().any(|start| action.starts_with(start));
                assert!(own || has_no_owner, "{role} has {action} on {resource}");
            }
        }
    }
}

#[test]
fn two_stacks_in_one_account_never_touch_each_other() {
    let template = template();
    let patterns = |prefix: &str| -> BTreeSet<String> {
        let roles = resources(&template, "AWS::IAM::Role");
        let all = roles.keys().flat_map(|role| policies::of_role(&template, role)).flat_map(|(_, of)| of);
        all.filter(|resource| resource.contains("${Prefix}"))
            .map(|resource| resource.replace("${Prefix}", prefix))
            .collect()
    };
    let names = |prefix: &str| -> BTreeSet<String> {
        let mut names: BTreeSet<_> = tables_and_functions(&template, prefix);
        // A Function may have any name; this one is the most similar to a handler's.
        names.insert(format!("function:{prefix}-api"));
        names
    };
    // The template refuses "handler", and with it every prefix that could cover the handlers of others.
    for (one, other) in [("a", "ab"), ("ab", "a"), ("task", "tasklane"), ("a", "handlera")] {
        for pattern in patterns(one) {
            for name in names(other) {
                assert!(!covers(&pattern, &name), "{pattern} of the stack {one} covers {name} of the stack {other}");
            }
        }
    }
    let handler = BTreeSet::from(["function:handler-a-api".to_owned()]);
    assert!(patterns("handler").iter().any(|pattern| handler.iter().any(|name| covers(pattern, name))));
    let allowed = template["Parameters"]["Prefix"]["AllowedPattern"].as_str().unwrap();
    assert_eq!(
        allowed, "^(?!handler$)[a-z][a-z0-9]{0,19}$",
        "the prefixes above must cover everything that this pattern allows"
    );
}

/// The actions that a handler needs, for its own code or because AWS acts in its name; and for each action of its code,
/// the calls that lead to it.
fn needs_of(template: &Value, sdk: &Sdk, handler: &str) -> (Needs, BTreeMap<String, Vec<String>>) {
    let mut needs = Needs::new();
    let mut ways = BTreeMap::new();
    for (operation, callers) in calls::reachable(&Sources::of_handler(root(), handler), sdk) {
        for action in sdk::actions(&operation) {
            for (caller, way) in &callers {
                let (file, function) = caller.split_once(' ').unwrap();
                needs.entry((*action).to_owned()).or_default().insert(format!("`{file}` `{function}`"));
                ways.entry((*action).to_owned()).or_insert_with(|| way.clone());
            }
        }
    }
    let mut add = |action: &str, why: &str| needs.entry(action.to_owned()).or_default().insert(why.to_owned());
    let function = &resources(template, "AWS::Serverless::Function")[&function_of(template, handler)]["Properties"];
    assert!(function["LoggingConfig"].is_object(), "{handler} logs where its role may not");
    for action in ["logs:CreateLogStream", "logs:PutLogEvents"] {
        add(action, "Lambda, for what the handler logs (`template.yaml` `LoggingConfig`)");
    }
    // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    let queues = function["Events"].as_object().into_iter().flatten().filter(|(_, event)| event["Type"] == "SQS");
    for (name, _) in queues {
        for action in ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"] {
            add(action, &format!("Lambda, which reads the queue for the handler (`template.yaml` `Events.{name}`)"));
        }
    }
    // https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html
    if template["Globals"]["Function"]["Tracing"] == json!({ "Fn::If": ["IsTraced", "Active", "PassThrough"] }) {
        for action in ["xray:PutTelemetryRecords", "xray:PutTraceSegments"] {
            add(
                action,
                "Lambda, which traces the handler when the stack is traced (`template.yaml` `Globals.Function.Tracing`)",
            );
        }
    }
    (needs, ways)
}

const BEGINNING: &str = "\
# Who may do what

What each role of `template.yaml` may do, on what, and which code needs it. A test (`tests/it/template/roles`) reads the
sources from each handler's `main` on, finds every call of an AWS SDK that can be reached, and compares: a role that lacks
an action fails it, one that holds an action nobody calls does too, and so does a line here that is not true.

After a change: `UPDATE_IAM=1 cargo test --test it template::roles` regenerates this page.
";

fn section(title: &str, held: &Grants, needs: &Needs) -> String {
    let mut text = format!("\n## {title}\n\n| action | on | needed by |\n|---|---|---|\n");
    for (action, of) in held {
        let of: Vec<_> = of.iter().map(|resource| format!("`{resource}`")).collect();
        let by: Vec<_> = needs.get(action).into_iter().flatten().cloned().collect();
        text.push_str(&format!("| `{action}` | {} | {} |\n", of.join("<br>"), by.join("<br>")));
    }
    text
}

fn function_of(template: &Value, handler: &str) -> String {
    let uri = format!("functions/{handler}");
    let functions = resources(template, "AWS::Serverless::Function");
    functions.iter().find(|(_, it)| it["Properties"]["CodeUri"] == json!(uri)).unwrap().0.clone()
}

fn role_of(template: &Value, handler: &str) -> String {
    let function = &resources(template, "AWS::Serverless::Function")[&function_of(template, handler)];
    function["Properties"]["Role"]["Fn::GetAtt"][0].as_str().unwrap().to_owned()
}

/// `CodeBucket` for `${CodeBucket}/code/*`, `WakeupQueue` for `WakeupQueue`.
fn first_name(resource: &str) -> &str {
    let resource = resource.strip_prefix("${").unwrap_or(resource);
    resource.split(['}', '/']).next().unwrap_or(resource)
}

fn tables_and_functions(template: &Value, prefix: &str) -> BTreeSet<String> {
    let named = |kind: &str, property: &str, before: &str| -> Vec<String> {
        let all = resources(template, kind);
        let name = |it: &Value| it["Properties"][property]["Fn::Sub"].as_str().unwrap().replace("${Prefix}", prefix);
        all.values().map(|it| format!("{before}{}", name(it))).collect()
    };
    let tables = named("AWS::DynamoDB::Table", "TableName", "table/");
    let functions = named("AWS::Serverless::Function", "FunctionName", "function:");
    let logs = named("AWS::Logs::LogGroup", "LogGroupName", "log-group:");
    tables.into_iter().chain(functions).chain(logs).collect()
}

/// Whether IAM's pattern covers a name: a star matches anything.
fn covers(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}
