//! Whether the file that an entry point names is in the code folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tasklane_model::{EntryPoint, Environment, Runtime, RuntimeFamily};

use super::Problem;

/// Variables that can move the handler or replace it.
const REDIRECTING: [&str; 5] = ["AWS_LAMBDA_EXEC_WRAPPER", "NODE_PATH", "PYTHONPATH", "GEM_PATH", "RUBYLIB"];

/// Where Lambda unpacks the code.
const TASK_ROOT: &str = "/var/task/";

/// The problem, if no file in the folder can be the handler's. Only Node.js, Python and Ruby name a file in
/// their entry points. An entry point that is wrong in another way is left to the runtime, whose error explains it.
pub(super) fn missing(
    folder: &Path,
    entry_point: &EntryPoint,
    runtime: &Runtime,
    environment: Option<&Environment>,
) -> Option<Problem> {
    if environment.is_some_and(|all| all.iter().any(|(name, _)| REDIRECTING.contains(&name))) {
        return None;
    }
    match runtime.family() {
        RuntimeFamily::Node => node(folder, entry_point.as_str()),
        RuntimeFamily::Python => python(folder, entry_point.as_str()),
        RuntimeFamily::Ruby => ruby(folder, entry_point.as_str()),
        RuntimeFamily::Java | RuntimeFamily::Dotnet | RuntimeFamily::Provided | RuntimeFamily::Other => None,
    }
}

/// As `local/lambda/bootstrap/node/handler.mjs` looks for it: `src/api.v1.handler` is `v1.handler` of `src/api`.
fn node(folder: &Path, entry_point: &str) -> Option<Problem> {
    let entry_point = entry_point.strip_prefix(TASK_ROOT).unwrap_or(entry_point);
    if entry_point.contains("..") || entry_point.starts_with('/') {
        return None;
    }
    let (below, base) = entry_point.rsplit_once('/').unwrap_or(("", entry_point));
    let (name, _) = base.split_once('.').filter(|(name, _)| !name.is_empty())?;
    let file = folder.join(below).join(name);
    let with = |extension: &str| folder.join(below).join(format!("{name}.{extension}"));
    let is_installed = || Path::new(below).ancestors().any(|at| installs(&folder.join(at), name));
    if file.exists() || ["js", "mjs", "cjs"].into_iter().any(|extension| with(extension).exists()) || is_installed() {
        return None;
    }
    let source = ["ts", "mts", "cts", "tsx"].into_iter().map(with).find(|source| source.exists());
    let advice = match source {
        Some(source) => format!("compile {}, and let 'path' lead to the result", source.display()),
        None => "build the code first, or correct 'entryPoint' or 'path'".to_owned(),
    };
    Some(Problem::NoHandler { path: with("js"), or: " (or .mjs, .cjs)", advice })
}

/// Whether npm has put a package of this name there.
fn installs(folder: &Path, package: &str) -> bool {
    let place = folder.join("node_modules").join(package);
    place.exists() || place.with_extension("js").exists()
}

/// As Python imports it: `src/api.handler` and `src.api.handler` are `handler` of the module `src.api`.
fn python(folder: &Path, entry_point: &str) -> Option<Problem> {
    let (module, _) = entry_point.rsplit_once('.')?;
    let parts: Vec<_> = module.split(['.', '/']).collect();
    if parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    let module: PathBuf = parts.iter().collect();
    let file = folder.join(module);
    let is_package = ["__init__.py", "__init__.pyc"].into_iter().any(|init| file.join(init).exists());
    if is_package || ["py", "pyc"].into_iter().any(|extension| file.with_extension(extension).exists()) {
        return None;
    }
    if is_compiled(&file) {
        return None;
    }
    let advice = "correct 'entryPoint' or 'path'".to_owned();
    Some(Problem::NoHandler { path: file.with_extension("py"), or: "", advice })
}

/// `file.method` or `file.Class.method`, where `file` may be in a folder.
fn ruby(folder: &Path, entry_point: &str) -> Option<Problem> {
    let parts: Vec<_> = entry_point.split('.').collect();
    let (2 | 3, Some(name)) = (parts.len(), parts.first().filter(|name| !name.is_empty() && !name.starts_with('/')))
    else {
        return None;
    };
    let file = folder.join(name);
    if ["rb", "so"].into_iter().any(|extension| file.with_extension(extension).exists()) {
        return None;
    }
    let advice = "correct 'entryPoint' or 'path'".to_owned();
    Some(Problem::NoHandler { path: file.with_extension("rb"), or: "", advice })
}

/// Whether there is a module of machine code, such as `index.cpython-313-x86_64-linux-gnu.so`.
fn is_compiled(module: &Path) -> bool {
    let (Some(folder), Some(name)) = (module.parent(), module.file_name().and_then(|name| name.to_str())) else {
        return false;
    };
    let is_it =
        |found: &str| found.strip_prefix(name).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".so"));
    fs::read_dir(folder)
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_it)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn told(files: &[&str], entry_point: &str, runtime: &str, environment: Option<&Environment>) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let problem =
            missing(dir.path(), &EntryPoint::parse(entry_point).unwrap(), &Runtime::new(runtime), environment);
        problem.map(|problem| problem.to_string().replace(&format!("{}/", dir.path().display()), ""))
    }

    #[test]
    fn a_handler_that_the_runtime_would_find_is_accepted() {
        for (file, entry_point, runtime) in [
            ("index.js", "index.handler", "nodejs22.x"),
            ("index.mjs", "index.handler", "nodejs22.x"),
            ("index.cjs", "index.handler", "nodejs22.x"),
            ("index", "index.handler", "nodejs22.x"),
            ("index/index.js", "index.handler", "nodejs22.x"),
            ("index.js", "./index.handler", "nodejs22.x"),
            ("index.js", "/var/task/index.handler", "nodejs22.x"),
            ("src/api.js", "src/api.v1.handler", "nodejs22.x"),
            ("node_modules/dep/index.js", "dep.handler", "nodejs22.x"),
            ("node_modules/dep/index.js", "src/dep.handler", "nodejs22.x"),
            ("src/node_modules/dep.js", "src/dep.handler", "nodejs22.x"),
            ("index.py", "index.handler", "python3.13"),
            ("index.pyc", "index.handler", "python3.13"),
            ("index.cpython-313-x86_64-linux-gnu.so", "index.handler", "python3.13"),
            ("index/__init__.py", "index.handler", "python3.13"),
            ("src/api.py", "src/api.handler", "python3.13"),
            ("src/api.py", "src.api.handler", "python3.13"),
            ("index.rb", "index.handler", "ruby3.4"),
            ("src/api.rb", "src/api.Api::V1.handler", "ruby3.4"),
        ] {
            assert_eq!(told(&[file], entry_point, runtime, None), None, "{file} {entry_point}");
        }
    }

    #[test]
    fn a_handler_whose_file_is_missing_is_refused_with_its_path_and_advice() {
        let build = "which does not exist; build the code first, or correct 'entryPoint' or 'path'";
        let correct = "which does not exist; correct 'entryPoint' or 'path'";
        for (files, entry_point, runtime, refusal) in [
            (&["main.js"][..], "index.handler", "nodejs22.x", format!("index.js (or .mjs, .cjs), {build}")),
            (&["index.js"], "src/index.handler", "nodejs22.x", format!("src/index.js (or .mjs, .cjs), {build}")),
            // Node.js names the file by what is before the first dot, Python by what is before the last one.
            (&["a.b.js"], "a.b.handler", "nodejs22.x", format!("a.js (or .mjs, .cjs), {build}")),
            (&["a.py"], "a.b.handler", "python3.13", format!("a/b.py, {correct}")),
            (&["index.js"], "index.handler", "python3.13", format!("index.py, {correct}")),
            (&["index.py"], "src/index.Api.handler", "ruby3.4", format!("src/index.rb, {correct}")),
            (&["indexes.so"], "index.handler", "python3.13", format!("index.py, {correct}")),
            (
                &["src/index.ts"],
                "src/index.handler",
                "nodejs22.x",
                "src/index.js (or .mjs, .cjs), which does not exist; compile src/index.ts, and let 'path' lead to the result"
                    .to_owned(),
            ),
        ] {
            let expected = format!("'entryPoint' leads to {refusal}");
            assert_eq!(told(files, entry_point, runtime, None), Some(expected), "{files:?} {entry_point}");
        }
    }

    #[test]
    fn an_entry_point_that_names_no_file_is_left_to_the_runtime() {
        for (entry_point, runtime) in [
            ("bootstrap", "provided.al2023"),
            ("example.Handler::handleRequest", "java21"),
            ("Assembly::Namespace.Class::Method", "dotnet8"),
            ("index", "ruby3.4"),
            ("a.b.c.d", "ruby3.4"),
            ("index", "nodejs22.x"),
            (".handler", "nodejs22.x"),
            ("../index.handler", "nodejs22.x"),
            ("/opt/index.handler", "nodejs22.x"),
            ("index", "python3.13"),
            ("./index.handler", "python3.13"),
        ] {
            assert_eq!(told(&[], entry_point, runtime, None), None, "{entry_point} {runtime}");
        }
        for (name, runtime) in [("NODE_PATH", "nodejs22.x"), ("PYTHONPATH", "python3.13"), ("OTHER", "python3.13")] {
            let environment = Environment::parse(BTreeMap::from([(name.to_owned(), "lib".to_owned())])).unwrap();
            let refused = told(&[], "index.handler", runtime, Some(&environment)).is_some();
            assert_eq!(refused, name == "OTHER", "{name}");
        }
    }
}
