//! `tasklane types`: types for a programming language, from the schemas of Functions.

mod names;
mod python;
mod shape;
#[cfg(test)]
mod tests;
mod typescript;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde_json::Value;
use tasklane_model::{FunctionName, JsonSchema};
use tasklane_task_config::{Draft, FILE_NAME, Schemas};

use self::names::{Names, pascal};
use super::{Outcome, Verdict, connect::ConnectArgs, output};

/// Write types for the data and the results of Functions.
///
/// Reads dataSchema and resultSchema of the task-config.json files below PATH, whose code need not be built, or of the
/// Functions of a service. What a schema says and the language cannot is left out: whatever fits a schema has the type.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 it was written, or is up to date; 1 with --check, it is not; 2 an error.

Examples:
  For all Functions here:
    tasklane types --out src/functions.ts
  In CI:
    tasklane types --out src/functions.ts --check
  For code in Python that calls a service:
    tasklane types --from-service --language python --out functions.py")]
pub(super) struct Args {
    /// Folders with task-config.json files, at any depth [default: .]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// The language [default: that of the ending of --out, or else typescript]
    #[arg(long, value_enum)]
    language: Option<Language>,

    /// The file to write [default: the terminal]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Write nothing, and tell whether the file is up to date
    #[arg(long, requires = "out")]
    check: bool,

    /// Take the Functions of a service instead of files
    #[arg(long, conflicts_with = "paths")]
    from_service: bool,

    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    Typescript,
    Python,
}

/// The types of one file.
pub(super) struct Types {
    functions: Vec<FunctionTypes>,
}

/// The types of one Function.
struct FunctionTypes {
    function: String,
    /// The names of its types, among `types`.
    data: String,
    result: String,
    event: String,
    /// Whether a Task may have no data: absent data counts as `null`.
    data_may_be_absent: bool,
    types: Vec<shape::Named>,
}

pub(super) async fn run(args: Args) -> Outcome {
    let language = args.language.unwrap_or_else(|| Language::of_file(args.out.as_deref()));
    let functions = if args.from_service { of_service(&args.connect).await? } else { of_files(&args.paths)? };
    let text = written(&functions, language)?;
    let Some(out) = &args.out else {
        output::data(text.trim_end())?;
        return Ok(Verdict::Yes);
    };
    let before = match std::fs::read_to_string(out) {
        Ok(before) => Some(before),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", out.display())),
    };
    if before.as_ref() == Some(&text) {
        output::note(&format!("{}: up to date", out.display()));
        return Ok(Verdict::Yes);
    }
    if args.check {
        output::note(&format!("{} is not up to date: run the same command without --check", out.display()));
        return Ok(Verdict::No);
    }
    std::fs::write(out, text).with_context(|| format!("{} cannot be written", out.display()))?;
    output::note(&format!("{}: written, for {} functions", out.display(), functions.len()));
    Ok(Verdict::Yes)
}

impl Language {
    fn of_file(out: Option<&Path>) -> Self {
        match out.and_then(Path::extension) {
            Some(ending) if ending == "py" => Self::Python,
            Some(_) | None => Self::Typescript,
        }
    }
}

async fn of_service(connect: &ConnectArgs) -> anyhow::Result<BTreeMap<FunctionName, Schemas>> {
    let client = connect.client()?;
    let mut functions = BTreeMap::new();
    for summary in client.functions().await? {
        // One that was deleted meanwhile has no types.
        if let Some(found) = client.find_function(&summary.value.name).await? {
            let schemas = Schemas { data: found.value.data_schema, result: found.value.result_schema };
            functions.insert(found.value.name, schemas);
        }
    }
    Ok(functions)
}

fn of_files(paths: &[PathBuf]) -> anyhow::Result<BTreeMap<FunctionName, Schemas>> {
    let here = [PathBuf::from(".")];
    let paths = if paths.is_empty() { &here[..] } else { paths };
    let files = tasklane_task_config::find(paths)?;
    if files.is_empty() {
        let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        bail!("there is no {FILE_NAME} below {}", paths.join(", "));
    }
    // The values of other properties do not matter. A name with a variable that is not set stays what it is, which is no name.
    let lookup =
        |name: &str| Some(std::env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or(format!("${name}")));
    let mut functions = BTreeMap::new();
    for file in files {
        let (name, schemas) = Draft::read(&file, &lookup)?.schemas()?;
        if functions.insert(name.clone(), schemas).is_some() {
            bail!("{}: another file has the same name '{name}'", file.display());
        }
    }
    Ok(functions)
}

/// The whole file. The same schemas always give the same text.
fn written(functions: &BTreeMap<FunctionName, Schemas>, language: Language) -> anyhow::Result<String> {
    let reserved: &[&str] = match language {
        Language::Typescript => &typescript::RESERVED,
        Language::Python => &python::RESERVED,
    };
    let mut names = Names::new(reserved);
    let mut types = Types { functions: Vec::new() };
    for (function, schemas) in functions {
        types.functions.push(types_of(function, schemas, &mut names)?);
    }
    Ok(match language {
        Language::Typescript => typescript::module(&types),
        Language::Python => python::module(&types, &mut names),
    })
}

fn types_of(function: &FunctionName, schemas: &Schemas, names: &mut Names) -> anyhow::Result<FunctionTypes> {
    let name = pascal(function.as_str());
    // Together, so that those of one Function have the same number if two Functions would have the same names.
    let numbered = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}{number}")));
    let of = |name: &str| ["Data", "Result", "Event"].map(|kind| format!("{name}{kind}"));
    let [data, result, event] =
        numbered.map(|name| of(&name)).find(|all| names.are_free(all)).unwrap_or_else(|| of(&name));
    for name in [&data, &result, &event] {
        names.unique(name.clone());
    }
    let data_may_be_absent = match &schemas.data {
        Some(schema) => schema.compile()?.check(None).is_ok(),
        None => true,
    };
    let mut types = shape::types_of(&value_of(schemas.data.as_ref()), data.clone(), names);
    types.extend(shape::types_of(&value_of(schemas.result.as_ref()), result.clone(), names));
    Ok(FunctionTypes { function: function.to_string(), data, result, event, data_may_be_absent, types })
}

/// The schema with its fields in the order in which they were written. One that allows everything stands for none, and for one
/// with numbers that have no counterpart.
fn value_of(schema: Option<&JsonSchema>) -> Value {
    schema.and_then(|schema| serde_json::from_str(schema.as_json().as_str()).ok()).unwrap_or(Value::Bool(true))
}
