//! The differences between a configuration and the Function on the service, and the request that removes them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde::Serialize;
use serde_json::{Value, json};
use tasklane_client::{Client, FunctionBody, FunctionDetails, OptionsBody, TimeoutsBody, Variable};
use tasklane_model::{
    AwsOptions, ByteSize, CodeSha256, Environment, ErrorNames, Flow, FunctionName, JsonSchema, Program, QueuedTimeout,
    RetryPolicyChange, Secrets, TaskEvents, VersionLabel,
};
use tasklane_task_config::{Package, TaskConfig};

use super::schedules::SchedulePlan;

/// The differences of one Function.
pub(crate) struct Plan {
    pub(crate) action: Action,
    pub(crate) changes: Vec<Change>,
    /// What the Function has and the configuration does not name: each field, and the default that it does not have.
    pub(crate) kept: Vec<Change>,
    /// Whether the code must be sent.
    pub(crate) sends_code: bool,
    /// Whether the Function itself is written.
    pub(crate) writes_function: bool,
    pub(crate) schedules: SchedulePlan,
    body: FunctionBody,
}

/// From this size on, a zip is not sent in a request, but uploaded before it: API Gateway's requests have at most 6 MB, of
/// which base64 leaves two thirds.
const UPLOADED_FROM: usize = 3 * 1024 * 1024;

/// What a plan does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Create,
    Update,
    Nothing,
}

/// One field that differs. Values of environment variables are left out, because they may be secrets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Change {
    /// The field's path in the API, e.g. `executionOptions.permissionMode`.
    pub(crate) field: String,
    pub(crate) change: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<Value>,
}

/// How a field differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Added,
    Changed,
    Removed,
}

impl Plan {
    /// Compares the properties that the configuration names; all others keep their values. With `force`, the code is written
    /// even if it is unchanged, so that the service checks whether Lambda has it. The hash of an image is known only if it is on
    /// this machine.
    pub(crate) fn new(
        config: &TaskConfig,
        code_sha256: impl Into<Option<CodeSha256>>,
        current: Option<&FunctionDetails>,
        force: bool,
    ) -> Self {
        let code_sha256 = code_sha256.into();
        let mut plan = Self::of_named(config, code_sha256, current, force);
        if current.is_some() {
            let all = Self::of_named(&config.exact(), code_sha256, current, force);
            // A field without a value is one that the service does not know.
            plan.kept = all.changes.into_iter().filter(|change| change.change != Kind::Added).collect();
            plan.kept.retain(|change| !plan.changes.contains(change));
        }
        plan
    }

    fn of_named(
        config: &TaskConfig,
        code_sha256: Option<CodeSha256>,
        current: Option<&FunctionDetails>,
        force: bool,
    ) -> Self {
        let mut compare = Compare { current, changes: Vec::new() };
        let now = |read: fn(&FunctionDetails) -> Option<Value>| current.and_then(read);

        let code_differs =
            compare.field("code", now(|f| Some(json!(f.code_sha256))), code_sha256.map(|hash| json!(hash)));
        let (entry_point, runtime, image) = match config.program.program() {
            Program::Zip { entry_point, runtime } => (Some(entry_point), Some(runtime), None),
            Program::Image { image } => (None, None, Some(image)),
        };
        let image_differs = compare.field(
            "image",
            now(|f| f.image.as_ref().map(|image| json!(image))),
            image.as_ref().map(|i| json!(i)),
        );
        let sends_code = code_differs || image_differs || force;
        let body = FunctionBody {
            name: current.is_none().then(|| config.name.clone()),
            code: None,
            code_upload_id: None,
            entry_point: compare
                .field(
                    "entryPoint",
                    now(|f| Some(json!(f.entry_point))),
                    entry_point.as_ref().map(|named| json!(named)),
                )
                .then_some(entry_point)
                .flatten()
                .map(String::from),
            runtime: compare
                .field("runtime", now(|f| Some(json!(f.runtime))), runtime.as_ref().map(|named| json!(named)))
                .then(|| runtime.map(|runtime| runtime.as_str().to_owned()))
                .flatten(),
            image: image.filter(|_| sends_code),
            description: compare
                .field(
                    "description",
                    now(|f| f.description.as_ref().map(|text| json!(text))),
                    config.options.description.as_ref().map(|text| json!(text)),
                )
                .then(|| config.options.description.clone())
                .flatten(),
            time_limit: compare.number("timeLimit", |f| f.time_limit, config.options.time_limit.map(i64::from)),
            memory_limit: compare.number("memoryLimit", |f| f.memory_limit, config.options.memory_limit.map(i64::from)),
            environment_variables: config.options.environment.as_ref().and_then(|wanted| compare.environment(wanted)),
            secrets: config.options.secrets.as_ref().and_then(|wanted| compare.secrets(wanted)),
            aws: config.options.aws.as_ref().filter(|wanted| compare.aws(wanted.as_ref())).cloned(),
            retry_policy: config.options.retry_policy.as_ref().and_then(|wanted| compare.retry_policy(wanted)),
            execution_options: compare.execution_options(config),
            store_result: config.options.store_result.filter(|wanted| compare.store_result(*wanted)),
            timeouts: config.options.queued_timeout.and_then(|wanted| compare.timeouts(wanted)),
            events: config.options.events.filter(|wanted| compare.events(*wanted)),
            flow: config.options.flow.clone().filter(|wanted| compare.flow(wanted.as_ref())),
            data_schema: compare.schema("dataSchema", |f| f.data_schema.as_ref(), config.options.data_schema.as_ref()),
            result_schema: compare.schema(
                "resultSchema",
                |f| f.result_schema.as_ref(),
                config.options.result_schema.as_ref(),
            ),
            label: None,
            publish_only: false,
        };
        let action = match current {
            None => Action::Create,
            Some(_) if compare.changes.is_empty() && !force => Action::Nothing,
            Some(_) => Action::Update,
        };
        Self {
            action,
            changes: compare.changes,
            kept: Vec::new(),
            sends_code,
            writes_function: action != Action::Nothing,
            schedules: SchedulePlan::default(),
            body,
        }
    }

    /// The same, with what was done, or has to be done, beside the Function.
    pub(crate) fn with_changes(mut self, mut changes: Vec<Change>) -> Self {
        if self.action == Action::Nothing && !changes.is_empty() {
            self.action = Action::Update;
        }
        self.changes.append(&mut changes);
        self
    }

    /// The same, with what has to be done about the Function's Schedules.
    pub(crate) fn with_schedules(mut self, mut schedules: SchedulePlan) -> Self {
        self.changes.append(&mut schedules.changes);
        if self.action == Action::Nothing && !schedules.steps.is_empty() {
            self.action = Action::Update;
        }
        Self { schedules, ..self }
    }

    /// The same, with what the version that it makes is called, and whether the Function becomes that version.
    pub(super) fn with_version(mut self, label: Option<VersionLabel>, publish_only: bool) -> Self {
        self.body.label = label;
        self.body.publish_only = publish_only && self.action == Action::Update;
        self
    }

    /// Whether it makes a version that the Function does not become.
    pub(super) fn publishes(&self) -> bool {
        self.body.publish_only && self.writes_function && !self.changes.is_empty()
    }

    /// What is being done, for the progress display.
    pub(super) fn describe_upload(&self, package: Option<&Package>) -> String {
        match package {
            Some(package) if self.sends_code => {
                format!("uploading {} and deploying", ByteSize(package.zip.len() as u64))
            }
            None if self.sends_code => "deploying".to_owned(),
            Some(_) | None => "updating".to_owned(),
        }
    }

    /// Writes the differences of the Function in one request, and then those of its Schedules; does nothing if there are none.
    pub(super) async fn apply(
        mut self,
        client: &Client,
        name: &FunctionName,
        package: Option<&Package>,
    ) -> anyhow::Result<()> {
        if let Some(package) = package.filter(|_| self.sends_code && self.writes_function) {
            if package.zip.len() >= UPLOADED_FROM {
                self.body.code_upload_id = client.upload(name, package.code_sha256, &package.zip).await?;
            }
            if self.body.code_upload_id.is_none() {
                self.body.code = Some(BASE64.encode(&package.zip));
            }
        }
        match self.action {
            Action::Nothing => {}
            Action::Update if !self.writes_function => {}
            Action::Create => {
                client.create_function(&self.body).await?;
            }
            Action::Update => {
                let answer = client.update_function(name, &self.body).await?;
                if answer.value.affected_records == 0 {
                    bail!("the service reports that nothing was updated");
                }
            }
        }
        self.schedules.apply(client, name).await
    }
}

struct Compare<'a> {
    current: Option<&'a FunctionDetails>,
    changes: Vec<Change>,
}

impl Compare<'_> {
    /// Records a difference and returns whether there is one. A property that the configuration does not name never differs.
    fn field(&mut self, field: &str, from: Option<Value>, to: Option<Value>) -> bool {
        let from = from.filter(|value| !value.is_null() && value != "");
        let is_same = from == to || (from.is_none() && to.as_ref().is_some_and(|value| value == ""));
        if to.is_none() || is_same {
            return false;
        }
        let change = if from.is_none() { Kind::Added } else { Kind::Changed };
        self.changes.push(Change { field: field.to_owned(), change, from, to });
        true
    }

    fn number(&mut self, field: &str, read: fn(&FunctionDetails) -> Option<i64>, wanted: Option<i64>) -> Option<i64> {
        let from = self.current.and_then(read).map(Value::from);
        if self.field(field, from, wanted.map(Value::from)) { wanted } else { None }
    }

    /// The API replaces the whole environment, so one difference sends all of it.
    fn environment(&mut self, wanted: &Environment) -> Option<BTreeMap<String, Variable>> {
        let none = BTreeMap::new();
        let current = self.current.map_or(&none, |function| &function.environment_variables);
        let wanted: BTreeMap<_, _> =
            wanted.iter().map(|(name, value)| (name.to_owned(), Variable { value: value.to_owned() })).collect();
        let names: BTreeSet<_> = current.keys().chain(wanted.keys()).collect();
        let before = self.changes.len();
        for name in names {
            let change = match (current.get(name), wanted.get(name)) {
                (None, _) => Kind::Added,
                (Some(_), None) => Kind::Removed,
                (Some(from), Some(to)) if from != to => Kind::Changed,
                (Some(_), Some(_)) => continue,
            };
            self.changes.push(Change { field: format!("environmentVariables.{name}"), change, from: None, to: None });
        }
        (self.changes.len() > before).then_some(wanted)
    }

    /// The API replaces all secrets, so one difference sends all of them. Where a secret is, is no secret.
    fn secrets(&mut self, wanted: &Secrets) -> Option<Secrets> {
        let none = Secrets::default();
        let current = self.current.map_or(&none, |function| &function.secrets);
        let before = self.changes.len();
        let names: BTreeSet<_> = current.iter().chain(wanted.iter()).map(|(name, _)| name).collect();
        for name in names {
            self.removable(&format!("secrets.{name}"), current.get(name), wanted.get(name));
        }
        (self.changes.len() > before).then(|| wanted.clone())
    }

    fn aws(&mut self, wanted: Option<&AwsOptions>) -> bool {
        let before = self.changes.len();
        let fields = |options: Option<&AwsOptions>| match options.map(|options| json!(options)) {
            Some(Value::Object(fields)) => fields,
            Some(_) | None => serde_json::Map::new(),
        };
        let (from, to) = (fields(self.current.and_then(|function| function.aws.as_ref())), fields(wanted));
        for name in AwsOptions::FIELDS {
            self.removable(&format!("aws.{name}"), from.get(name), to.get(name));
        }
        self.changes.len() > before
    }

    fn retry_policy(&mut self, wanted: &RetryPolicyChange) -> Option<RetryPolicyChange> {
        let current = self.current.map(|function| &function.retry_policy);
        let before = self.changes.len();
        self.field("retryPolicy.enabled", current.map(|policy| json!(policy.enabled)), Some(json!(wanted.enabled)));
        // The order of names does not matter, and an empty list equals an absent one.
        let to_retry = current.map_or(&[][..], |policy| &policy.errors_to_retry);
        self.error_names("retryPolicy.errorsToRetry", to_retry, &wanted.errors_to_retry);
        if let Some(names) = &wanted.errors_not_to_retry {
            let never = current.map_or(&[][..], |policy| policy.errors_not_to_retry.as_slice());
            self.error_names("retryPolicy.errorsNotToRetry", never, names.as_ref().map_or(&[], ErrorNames::as_slice));
        }
        if let Some(strategy) = &wanted.strategy {
            self.removable("retryPolicy.strategy", current.and_then(|policy| policy.strategy), *strategy);
        }
        (self.changes.len() > before).then(|| wanted.clone())
    }

    fn store_result(&mut self, wanted: Option<bool>) -> bool {
        let before = self.changes.len();
        self.removable("storeResult", self.current.and_then(|function| function.store_result), wanted);
        self.changes.len() > before
    }

    fn events(&mut self, wanted: TaskEvents) -> bool {
        let unless_empty = |events: TaskEvents| Some(events).filter(|events| !events.is_empty());
        let before = self.changes.len();
        self.removable("events", self.current.and_then(|function| unless_empty(function.events)), unless_empty(wanted));
        self.changes.len() > before
    }

    fn flow(&mut self, wanted: Option<&Flow>) -> bool {
        let before = self.changes.len();
        self.removable("flow", self.current.and_then(|function| function.flow.as_ref()), wanted);
        self.changes.len() > before
    }

    /// Shown by its size: a schema is longer than anybody reads in a list of changes.
    fn schema(
        &mut self,
        field: &str,
        read: fn(&FunctionDetails) -> Option<&JsonSchema>,
        wanted: Option<&Option<JsonSchema>>,
    ) -> Option<Option<JsonSchema>> {
        let from = self.current.and_then(read);
        let to = wanted?.as_ref();
        let change = match (from, to) {
            (from, to) if from == to => return None,
            (None, _) => Kind::Added,
            (Some(_), None) => Kind::Removed,
            (Some(_), Some(_)) => Kind::Changed,
        };
        let [from, to] = [from, to].map(|schema| schema.map(size_of));
        self.changes.push(Change { field: field.to_owned(), change, from, to });
        wanted.cloned()
    }

    fn error_names(&mut self, field: &str, from: &[String], to: &[String]) {
        let (from, to): (BTreeSet<_>, BTreeSet<_>) = (from.iter().collect(), to.iter().collect());
        if from != to {
            self.field(field, (!from.is_empty()).then(|| json!(from)), Some(json!(to)));
        }
    }

    /// Records the difference of a value that the configuration sets, or removes with `null`.
    fn removable<T: Serialize + PartialEq>(&mut self, field: &str, from: Option<T>, to: Option<T>) {
        if from != to {
            let change = match (&from, &to) {
                (None, _) => Kind::Added,
                (Some(_), None) => Kind::Removed,
                (Some(_), Some(_)) => Kind::Changed,
            };
            let [from, to] = [from, to].map(|value| value.map(|value| json!(value)));
            self.changes.push(Change { field: field.to_owned(), change, from, to });
        }
    }

    fn timeouts(&mut self, queued: Option<QueuedTimeout>) -> Option<TimeoutsBody> {
        let before = self.changes.len();
        self.removable("timeouts.queued", self.current.and_then(|function| function.timeouts.queued), queued);
        (self.changes.len() > before).then_some(TimeoutsBody { queued })
    }

    /// Sent with both fields, so that a service that replaces the whole object keeps the other one.
    fn execution_options(&mut self, config: &TaskConfig) -> Option<OptionsBody> {
        let current = self.current.map(|function| function.execution_options.clone()).unwrap_or_default();
        let mode = config.options.permission_mode.map(|mode| mode.as_str().to_owned());
        let priority = config.options.default_priority.map(i64::from);
        let before = self.changes.len();
        let text = |mode: Option<String>| mode.map(Value::from);
        self.field("executionOptions.permissionMode", text(current.permission_mode.clone()), text(mode.clone()));
        let from = current.default_priority.map(Value::from);
        self.field("executionOptions.defaultPriority", from, priority.map(Value::from));
        let limit = config.options.concurrency_limit.map(|limit| limit.map(i64::from));
        if let Some(limit) = limit {
            self.removable("executionOptions.concurrencyLimit", current.concurrency_limit.flatten(), limit);
        }
        (self.changes.len() > before).then(|| OptionsBody {
            permission_mode: mode.or(current.permission_mode),
            default_priority: priority.or(current.default_priority),
            concurrency_limit: limit,
        })
    }
}

fn size_of(schema: &JsonSchema) -> Value {
    json!({ "bytes": schema.as_json().as_str().len() })
}
