//! An unchecked configuration: the file's properties, overridden by the command line's.

pub(super) mod aws;
pub(super) mod execution;
pub(super) mod flow;
pub(super) mod image;
pub(super) mod retry;
pub(super) mod schedules;
pub(super) mod schemas;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Map, Value};
use tasklane_model::{
    ConcurrencyLimit, EntryPoint, Environment, FunctionName, FunctionOptions, MemoryLimit, PermissionMode, Priority,
    QueuedTimeout, Runtime, RuntimeFamily, TaskEvents, TimeLimit, UnknownTaskEvent,
};

use self::{schedules::WrittenData, schemas::WrittenSchemas};
use super::{ConfigError, ConfiguredProgram, Problem, TaskConfig, handler, variables};

pub(super) const PROPERTIES: &[&str] = &[
    "$schema",
    "name",
    "path",
    "entryPoint",
    "runtime",
    "image",
    "description",
    "timeLimit",
    "memoryLimit",
    "environment",
    "secrets",
    "aws",
    "executionPermission",
    "executionCredentials",
    "defaultPriority",
    "retryPolicy",
    "storeResult",
    "timeouts",
    "events",
    "concurrencyLimit",
    "flow",
    "schedules",
    "dataSchema",
    "resultSchema",
];

/// The properties of a configuration, which can still be overridden.
#[derive(Clone)]
pub struct Draft {
    place: String,
    base: PathBuf,
    /// The folder that the file's `path` must stay in.
    confines: Option<PathBuf>,
    properties: Map<String, Value>,
    from_variables: BTreeSet<String>,
    data_of_schedules: Arc<WrittenData>,
    schemas: Arc<WrittenSchemas>,
}

impl Draft {
    /// Reads the file at `path`; `lookup` finds the `$NAME` values.
    ///
    /// # Errors
    /// When the file cannot be read, is not a JSON object, or names variables that do not exist.
    pub fn read(path: &Path, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let place = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError::new(&place, Problem::Unreadable(e)))?;
        Self::parse(&place, path.parent().unwrap_or(Path::new("")), &text, lookup)
    }

    /// Reads the content of a file at `place` in the folder `base`.
    pub(super) fn parse(
        place: &str,
        base: &Path,
        text: &str,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        // Editors on Windows write a byte order mark, which is not JSON.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let value: Value = serde_json::from_str(text).map_err(|e| ConfigError::new(place, Problem::NotJson(e)))?;
        let Value::Object(mut properties) = value else {
            return Err(ConfigError::new(place, Problem::NotAnObject));
        };
        let data_of_schedules = Arc::new(WrittenData::of(text));
        let schemas = Arc::new(WrittenSchemas::of(text));
        let (from_variables, problems) = variables::substitute(&mut properties, lookup);
        if !problems.is_empty() {
            return Err(ConfigError { place: place.to_owned(), problems });
        }
        Ok(Self {
            place: place.to_owned(),
            base: base.to_owned(),
            confines: None,
            properties,
            from_variables,
            data_of_schedules,
            schemas,
        })
    }

    /// An empty draft, for properties from the command line alone.
    pub fn empty() -> Self {
        Self {
            place: "the command line".to_owned(),
            base: PathBuf::new(),
            confines: None,
            properties: Map::new(),
            from_variables: BTreeSet::new(),
            data_of_schedules: Arc::default(),
            schemas: Arc::default(),
        }
    }

    /// Overrides a property of the file.
    pub fn set(&mut self, property: &str, value: impl Into<Value>) {
        self.from_variables.remove(property);
        self.properties.insert(property.to_owned(), value.into());
    }

    /// Refuses a `path` of the file that leads out of this folder, through `..`, a link or an absolute path. The author of
    /// the file is not always the person who uploads the code.
    pub fn confine_to(&mut self, folder: &Path) {
        self.confines = Some(folder.to_owned());
    }

    /// Overrides the file's `path`. Unlike that, `path` is relative to the working directory and may be anywhere.
    pub fn set_code_dir(&mut self, path: &Path) {
        self.confines = None;
        self.base = PathBuf::new();
        self.set("path", path.to_string_lossy());
    }

    /// Adds a variable to the environment, or overrides the file's.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        let environment = self.properties.entry("environment").or_insert_with(|| Value::Object(Map::new()));
        // If `environment` is not an object, it is kept, and `finish` refuses it.
        if let Value::Object(variables) = environment {
            variables.insert(name.to_owned(), value.into());
        }
    }

    /// Checks every property, and that the code folder exists and has the handler's file in it.
    ///
    /// # Errors
    /// All problems at once.
    pub fn finish(self) -> Result<TaskConfig, ConfigError> {
        let Self { place, base, confines, properties, from_variables, data_of_schedules, schemas } = self;
        let mut check = Check { from_variables, problems: Vec::new() };
        check.names("", &properties, PROPERTIES);

        let name = check.required(&properties, "name", |check, value| {
            check.parsed("name", value, |text| FunctionName::parse(text))
        });
        let places = (base.as_path(), confines.as_deref());
        let program = match properties.get("image") {
            Some(image) => check.image(image, name.as_ref(), &properties, places),
            None => check.zip(&properties, places),
        };
        let description = check.optional(&properties, "description", |check, value| {
            let text = check.text("description", value)?;
            if text.chars().count() > 256 {
                return check.refuse("description", "must be at most 256 characters");
            }
            Some(text.to_owned())
        });
        let time_limit =
            check.optional(&properties, "timeLimit", |check, value| check.number("timeLimit", value, TimeLimit::new));
        let memory_limit = check
            .optional(&properties, "memoryLimit", |check, value| check.number("memoryLimit", value, MemoryLimit::new));
        let default_priority = check.optional(&properties, "defaultPriority", |check, value| {
            check.number("defaultPriority", value, Priority::new)
        });
        let environment = check.optional(&properties, "environment", |check, value| check.environment(value));
        let secrets = check.optional(&properties, "secrets", |check, value| check.secrets(value));
        let aws = check.optional(&properties, "aws", |check, value| check.aws(value));
        let permission_mode = check.optional(&properties, "executionPermission", |check, value| {
            check.one_of("executionPermission", value, &PermissionMode::NAMES)
        });
        let execution_credentials =
            check.optional(&properties, "executionCredentials", |check, value| check.execution_credentials(value));
        if let (Some(_), Some(environment)) = (&execution_credentials, &environment) {
            check.sets_credentials_once(environment);
        }
        let store_result = match properties.get("storeResult") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(value) => check.boolean("storeResult", value).map(Some),
        };
        let retry_policy = check.optional(&properties, "retryPolicy", |check, value| check.retry_policy(value));

        let events = check.optional(&properties, "events", |check, value| check.events(value));
        let queued_timeout = check.optional(&properties, "timeouts", |check, value| check.queued_timeout(value));

        let concurrency_limit = match properties.get("concurrencyLimit") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(value) => check.number("concurrencyLimit", value, ConcurrencyLimit::new).map(Some),
        };

        let flow = check.optional(&properties, "flow", |check, value| check.flow(value));
        let schedules =
            check.optional(&properties, "schedules", |check, value| check.schedules(value, &data_of_schedules));
        let [data_schema, result_schema] = schemas::PROPERTIES
            .map(|name| check.optional(&properties, name, |check, value| check.schema(name, value, &schemas, places)));

        if let Some(ConfiguredProgram::Zip { code_dir, entry_point, runtime }) = &program {
            check.problems.extend(handler::missing(code_dir, entry_point, runtime, environment.as_ref()));
        }
        match (name, program) {
            (Some(name), Some(program)) if check.problems.is_empty() => {
                let options = FunctionOptions {
                    description,
                    time_limit,
                    memory_limit,
                    environment,
                    secrets,
                    aws,
                    retry_policy,
                    permission_mode,
                    default_priority,
                    queued_timeout,
                    concurrency_limit,
                    store_result,
                    events,
                    flow,
                    data_schema,
                    result_schema,
                };
                Ok(TaskConfig { name, program, options, execution_credentials, schedules })
            }
            _ => Err(ConfigError { place, problems: check.problems }),
        }
    }
}

impl std::fmt::Debug for Draft {
    // The values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft")
            .field("place", &self.place)
            .field("properties", &self.properties.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Collects problems: each method returns `None` after adding one.
struct Check {
    from_variables: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Check {
    fn refuse<T>(&mut self, property: &str, rule: impl Into<String>) -> Option<T> {
        self.problems.push(Problem::Value { property: property.to_owned(), rule: rule.into() });
        None
    }

    fn names(&mut self, prefix: &str, properties: &Map<String, Value>, known: &[&str]) {
        for name in properties.keys().filter(|name| !known.contains(&name.as_str())) {
            let hint = nearest(name, known.iter().copied()).map(|hint| format!("{prefix}{hint}"));
            self.problems.push(Problem::Unknown { property: format!("{prefix}{name}"), hint });
        }
    }

    fn required<T>(
        &mut self,
        properties: &Map<String, Value>,
        name: &str,
        read: impl FnOnce(&mut Self, &Value) -> Option<T>,
    ) -> Option<T> {
        match properties.get(name) {
            Some(value) => read(self, value),
            None => {
                self.problems.push(Problem::Missing { property: name.to_owned() });
                None
            }
        }
    }

    fn optional<T>(
        &mut self,
        properties: &Map<String, Value>,
        name: &str,
        read: impl FnOnce(&mut Self, &Value) -> Option<T>,
    ) -> Option<T> {
        properties.get(name).and_then(|value| read(self, value))
    }

    fn text<'v>(&mut self, property: &str, value: &'v Value) -> Option<&'v str> {
        match value.as_str() {
            Some(text) => Some(text),
            None => self.refuse(property, "must be a string"),
        }
    }

    fn parsed<T, E: std::fmt::Display>(
        &mut self,
        property: &str,
        value: &Value,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(property, value)?;
        parse(text).map_or_else(|rule| self.refuse(property, rule.to_string()), Some)
    }

    /// A whole number, or a string if it comes from a variable, which can only hold strings.
    fn number<T, E: std::fmt::Display>(
        &mut self,
        property: &str,
        value: &Value,
        new: impl FnOnce(i64) -> Result<T, E>,
    ) -> Option<T> {
        let from_text = || value.as_str().filter(|_| self.from_variables.contains(property))?.trim().parse().ok();
        match value.as_i64().or_else(from_text) {
            Some(number) => new(number).map_or_else(|rule| self.refuse(property, rule.to_string()), Some),
            None => self.refuse(property, "must be a whole number"),
        }
    }

    fn boolean(&mut self, property: &str, value: &Value) -> Option<bool> {
        let from_text = || value.as_str().filter(|_| self.from_variables.contains(property))?.trim().parse().ok();
        value.as_bool().or_else(from_text).or_else(|| self.refuse(property, "must be true or false"))
    }

    fn object<'v>(&mut self, property: &str, value: &'v Value) -> Option<&'v Map<String, Value>> {
        value.as_object().or_else(|| self.refuse(property, "must be an object"))
    }

    /// `Some(None)` if it is to be removed.
    fn queued_timeout(&mut self, value: &Value) -> Option<Option<QueuedTimeout>> {
        if value.is_null() {
            return Some(None);
        }
        let properties = self.object("timeouts", value)?;
        self.names("timeouts.", properties, &["queued"]);
        match properties.get("queued")? {
            Value::Null => Some(None),
            value => self.number("timeouts.queued", value, QueuedTimeout::new).map(Some),
        }
    }

    /// `null` and an empty list remove them.
    fn events(&mut self, value: &Value) -> Option<TaskEvents> {
        if value.is_null() {
            return Some(TaskEvents::default());
        }
        let names = value.as_array().ok_or(UnknownTaskEvent);
        let events =
            names.and_then(|names| TaskEvents::named(names.iter().map(|name| name.as_str().unwrap_or_default())));
        events.map_or_else(|rule| self.refuse("events", rule.to_string()), Some)
    }

    /// A handler in a folder, and its runtime.
    fn zip(
        &mut self,
        properties: &Map<String, Value>,
        (base, confines): (&Path, Option<&Path>),
    ) -> Option<ConfiguredProgram> {
        let code_dir = self.required(properties, "path", |check, value| {
            let path = base.join(check.text("path", value)?);
            let folder = check.folder(path)?;
            check.within(folder, confines)
        });
        let entry_point = self.required(properties, "entryPoint", |check, value| {
            check.parsed("entryPoint", value, |text| EntryPoint::parse(text))
        });
        let runtime = self.required(properties, "runtime", |check, value| check.runtime(value));
        Some(ConfiguredProgram::Zip { code_dir: code_dir?, entry_point: entry_point?, runtime: runtime? })
    }

    fn folder(&mut self, path: PathBuf) -> Option<PathBuf> {
        let fault = match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() => return Some(path),
            Ok(_) => "is a file; it must be the folder with the code".to_owned(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                "does not exist; do you have to build the code first?".to_owned()
            }
            Err(e) => format!("cannot be read: {e}"),
        };
        self.problems.push(Problem::CodeDir { path, fault });
        None
    }

    fn within(&mut self, path: PathBuf, confines: Option<&Path>) -> Option<PathBuf> {
        let Some(confines) = confines else { return Some(path) };
        let fault = match (path.canonicalize(), confines.canonicalize()) {
            (Ok(real), Ok(confines)) if real.starts_with(&confines) => return Some(path),
            (Ok(real), Ok(confines)) => {
                format!("is {}, outside {}; use --allow-outside to allow that", real.display(), confines.display())
            }
            (Err(e), _) | (_, Err(e)) => format!("cannot be read: {e}"),
        };
        self.problems.push(Problem::CodeDir { path, fault });
        None
    }

    /// Retired runtimes are allowed, because existing Functions may have them. The service decides.
    fn runtime(&mut self, value: &Value) -> Option<Runtime> {
        let text = self.text("runtime", value)?;
        let runtime = Runtime::new(text);
        if runtime.family() != RuntimeFamily::Other {
            return Some(runtime);
        }
        let hint = nearest(text, Runtime::offered().iter().copied())
            .map(|hint| format!("; did you mean '{hint}'?"))
            .unwrap_or_default();
        self.refuse("runtime", format!("must be a runtime of AWS Lambda, e.g. nodejs22.x or python3.13{hint}"))
    }

    fn one_of<T: Copy>(&mut self, property: &str, value: &Value, names: &[(&'static str, T)]) -> Option<T> {
        let found = names.iter().find(|(name, _)| value.as_str() == Some(name));
        let refuse = |check: &mut Self| {
            let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            check.refuse(property, format!("must be one of {}", names.join(", ")))
        };
        found.map(|(_, value)| *value).or_else(|| refuse(self))
    }

    fn environment(&mut self, value: &Value) -> Option<Environment> {
        let mut variables = BTreeMap::new();
        for (name, value) in self.object("environment", value)? {
            let value = self.text(&format!("environment.{name}"), value)?;
            variables.insert(name.clone(), value.to_owned());
        }
        match Environment::parse(variables) {
            Ok(environment) => Some(environment),
            Err(rule) => {
                self.problems.push(Problem::Environment(rule.to_string()));
                None
            }
        }
    }
}

/// The known name that a mistyped one most likely means.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase()), known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3))
        .map(|(_, known)| known)
}
