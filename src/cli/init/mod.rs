//! `tasklane init`: a new Function.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde_json::Value;
use tasklane_model::FunctionName;
use tasklane_task_config::{FILE_NAME, schema};

use super::{Outcome, Verdict, functions, output};

/// Make the folder of a new Function.
///
/// Nothing is overwritten: the folder must not exist.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tasklane init greeter
  tasklane init api --template express")]
pub(super) struct Args {
    /// The Function's name, and that of its folder
    #[arg(value_parser = functions::name)]
    name: FunctionName,

    /// What it begins with
    #[arg(long, short, value_enum, default_value = "js")]
    template: Template,

    /// The folder to make it in
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

/// What a Function begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Template {
    /// JavaScript
    Js,
    /// TypeScript, built with esbuild
    Ts,
    /// Python
    Py,
    /// Rust, built with cargo-lambda
    Rust,
    /// An HTTP API in JavaScript
    Express,
    /// An HTTP API in Python
    Fastapi,
    /// JavaScript, with a Schedule
    Cron,
    /// JavaScript, with a test beside it
    Test,
}

/// The schema of the configuration, beside it.
const SCHEMA: &str = "task-config.schema.json";

macro_rules! example {
    ($($file:literal)*) => {
        // The examples are the templates, so that both work.
        &[$(($file, include_str!(concat!("../../../examples/", $file)))),*]
    };
}

impl Template {
    /// Its files, each with its path: the first part is the folder of the template.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Js => example!("hello-js/task-config.json" "hello-js/src/index.js"),
            Self::Ts => example!(
                "hello-ts/task-config.json" "hello-ts/package.json" "hello-ts/package-lock.json" "hello-ts/src/index.ts"
            ),
            Self::Py => example!("hello-py/task-config.json" "hello-py/src/index.py"),
            Self::Rust => example!("hello-rust/task-config.json" "hello-rust/Cargo.toml" "hello-rust/src/main.rs"),
            Self::Express => example!(
                "express-api/task-config.json" "express-api/src/package.json" "express-api/src/package-lock.json"
                "express-api/src/index.js"
            ),
            Self::Fastapi => &[
                ("fastapi/task-config.json", include_str!("fastapi/task-config.json")),
                ("fastapi/src/index.py", include_str!("fastapi/index.py")),
                ("fastapi/src/requirements.txt", include_str!("fastapi/requirements.txt")),
            ],
            Self::Cron => example!("report/task-config.json" "report/src/index.js"),
            Self::Test => {
                example!("tested-js/task-config.json" "tested-js/src/index.js" "tested-js/test/index.test.js")
            }
        }
    }

    /// What to do in the folder before the first run.
    fn preparation(self) -> Option<&'static str> {
        match self {
            Self::Js | Self::Py | Self::Cron => None,
            Self::Ts => Some("npm ci && npm run build"),
            Self::Rust => Some(
                "cargo lambda build --release --output-format binary && mkdir -p dist && cp target/lambda/*/bootstrap dist/",
            ),
            Self::Express => Some("npm ci --prefix src"),
            Self::Fastapi => Some("pip install -r src/requirements.txt --target src"),
            Self::Test => Some("node --test"),
        }
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    let folder = args.dir.join(args.name.as_str());
    if folder.exists() {
        bail!("{} exists already", folder.display());
    }
    for (path, content) in args.template.files() {
        let (_, path) = path.split_once('/').unwrap_or(("", path));
        let file = folder.join(path);
        let content = if path == FILE_NAME { configuration(content, &args.name)? } else { (*content).to_owned() };
        write(&file, &content)?;
    }
    write(&folder.join(SCHEMA), &format!("{:#}\n", schema()))?;

    let shown = folder.display();
    output::note(&format!("made {shown}; next:"));
    if let Some(preparation) = args.template.preparation() {
        output::data(&format!("(cd {shown} && {preparation})"))?;
    }
    match args.template {
        Template::Express | Template::Fastapi => {
            output::data(&format!("tasklane dev {shown}"))?;
            output::note(&format!("then open http://localhost:4000/tasks/v1/api/{}/", args.name));
        }
        Template::Cron => {
            output::data(&format!("tasklane dev {shown}"))?;
            output::note("then `tasklane schedules list` and `tasklane schedules run NAME` in another terminal");
        }
        Template::Js | Template::Ts | Template::Py | Template::Rust | Template::Test => {
            output::data(&format!("tasklane run {shown} --data '{{\"name\":\"Ada\"}}'"))?;
        }
    }
    Ok(Verdict::Yes)
}

/// The template's configuration with this name, and with the schema for editors.
fn configuration(template: &str, name: &FunctionName) -> anyhow::Result<String> {
    let Value::Object(mut properties) = serde_json::from_str(template)? else { bail!("the template is no object") };
    properties.insert("name".to_owned(), name.as_str().into());
    properties.remove("description");
    let body = serde_json::to_string_pretty(&properties)?;
    Ok(format!("{{\n  \"$schema\": \"./{SCHEMA}\",{}\n", body.strip_prefix('{').unwrap_or(&body)))
}

fn write(file: &std::path::Path, content: &str) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", file.display());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    fs::write(file, content).with_context(failed)
}

#[cfg(test)]
mod tests {
    use tasklane_task_config::Draft;

    use super::*;

    #[test]
    fn every_template_has_a_configuration_with_the_functions_name() {
        let dir = tempfile::tempdir().unwrap();
        for template in Template::value_variants() {
            let name = FunctionName::parse(format!("my-{}", template.to_possible_value().unwrap().get_name())).unwrap();
            let args = Args { name: name.clone(), template: *template, dir: dir.path().to_owned() };
            assert_eq!(run(&args).unwrap(), Verdict::Yes);
            let file = dir.path().join(name.as_str()).join(FILE_NAME);
            // These have to be built first.
            if !matches!(template, Template::Rust | Template::Ts) {
                let config = Draft::read(&file, &|_| None).unwrap().finish().unwrap();
                assert_eq!(config.name, name);
            }
            assert!(fs::read_to_string(&file).unwrap().contains("\"$schema\": \"./task-config.schema.json\""));
            assert!(run(&args).unwrap_err().to_string().contains("exists already"));
        }
    }
}
