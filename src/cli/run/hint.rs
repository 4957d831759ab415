//! What to do about a package that a Function imports and that is not installed.

use std::path::Path;

use tasklane_model::FunctionError;

/// The advice, if that is why the run failed. `code` is the folder with the Function's code.
pub(super) fn of(error: &FunctionError, code: &Path) -> Option<String> {
    let message = &error.message;
    // The AWS SDK's own advice is part of the message.
    if message.contains("add-sdk") {
        return None;
    }
    let node = ["Cannot find module '", "Cannot find package '"].iter().find_map(|before| quoted(message, before));
    if let Some(package) = node {
        return of_node(package, code);
    }
    let module = quoted(message, "No module named '")?;
    of_python(module.split('.').next()?, code)
}

fn quoted<'m>(message: &'m str, before: &str) -> Option<&'m str> {
    message.split_once(before)?.1.split('\'').next()
}

fn of_node(module: &str, code: &Path) -> Option<String> {
    // A path is a file of the Function's own.
    if module.starts_with(['.', '/']) {
        return None;
    }
    let mut parts = module.split('/');
    let package = match (parts.next()?, parts.next()) {
        (scope, Some(name)) if scope.starts_with('@') => format!("{scope}/{name}"),
        (name, _) => name.to_owned(),
    };
    let command = if !declares(&code.join("package.json"), &package) {
        format!("npm install {package}")
    } else if code.join("package-lock.json").exists() {
        "npm ci".to_owned()
    } else {
        "npm install".to_owned()
    };
    Some(format!(
        "the package '{package}' is not in the code folder: run `{command}` in {}, or bundle it",
        code.display()
    ))
}

fn of_python(package: &str, code: &Path) -> Option<String> {
    // A file of the Function's own that imports another one which is not there.
    if code.join(package).exists() || code.join(package).with_extension("py").exists() {
        return None;
    }
    let what = if declares(&code.join("requirements.txt"), package) {
        format!("-r {}", code.join("requirements.txt").display())
    } else {
        package.to_owned()
    };
    Some(format!(
        "the package '{package}' is not in the code folder: run `pip install {what} --target {}`",
        code.display()
    ))
}

/// Whether the file lists the package. A mention is enough: this only chooses between two commands.
fn declares(file: &Path, package: &str) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| text.contains(package))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn hint(files: &[(&str, &str)], message: &str) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in files {
            fs::write(dir.path().join(file), text).unwrap();
        }
        let error = FunctionError { name: "E".to_owned(), message: message.to_owned(), trace: Vec::new() };
        of(&error, dir.path()).map(|hint| hint.replace(&dir.path().display().to_string(), "CODE"))
    }

    #[test]
    fn a_package_that_is_not_installed_comes_with_the_command_that_installs_it() {
        let manifest = ("package.json", r#"{"dependencies":{"express":"5","@scope/part":"1"}}"#);
        let lock = ("package-lock.json", "{}");
        let missing = "the package 'express' is not in the code folder: run";
        for (files, message, expected) in [
            (
                &[manifest, lock][..],
                "Error: Cannot find module 'express'\nRequire stack:\n- /var/task/index.js",
                format!("{missing} `npm ci` in CODE, or bundle it"),
            ),
            (
                &[manifest],
                "Cannot find package 'express' imported from /var/task/index.mjs",
                format!("{missing} `npm install` in CODE, or bundle it"),
            ),
            (
                &[],
                "Error: Cannot find module 'express/lib/router'",
                format!("{missing} `npm install express` in CODE, or bundle it"),
            ),
            (
                &[manifest, lock],
                "Error: Cannot find module '@scope/part/deep'",
                "the package '@scope/part' is not in the code folder: run `npm ci` in CODE, or bundle it".to_owned(),
            ),
            (
                &[("requirements.txt", "requests==2")],
                "Unable to import module 'index': No module named 'requests.sessions'",
                "the package 'requests' is not in the code folder: run \
                 `pip install -r CODE/requirements.txt --target CODE`"
                    .to_owned(),
            ),
            (
                &[],
                "No module named 'requests'",
                "the package 'requests' is not in the code folder: run `pip install requests --target CODE`".to_owned(),
            ),
        ] {
            assert_eq!(hint(files, message), Some(expected), "{message}");
        }
    }

    #[test]
    fn other_errors_come_without_advice() {
        for message in [
            "boom",
            "Error: Cannot find module './lib'",
            "Cannot find module '/var/task/lib.mjs' imported from /var/task/index.mjs",
            "Cannot find module '@aws-sdk/client-s3': Lambda's runtime includes the AWS SDK, this machine's does not: \
             run 'tasklane runtimes add-sdk', or put it into the package",
            "Unable to import module 'index': No module named 'lib.other'",
            "Unable to import module 'index': cannot import name 'nope' from 'os' (OS)",
        ] {
            assert_eq!(hint(&[("lib.py", "")], message), None, "{message}");
        }
    }
}
