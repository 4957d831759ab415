//! What this machine has for Functions.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use tasklane_lambda_local::{
    Interpreter, LocalLambda, LocalLambdaConfig, Machine, RuntimeSupport, Sdk, SdkLanguage, Source, Support,
};
use tasklane_local::logs::{DEFAULT_RETENTION, LocalLogs, LogLimits};
use tasklane_model::RuntimeFamily;

use super::{Checked, State};

/// With fewer open files than this, a service with its default number of processes may run out of them: each takes a few,
/// and so does each connection of a caller.
const FEW_FILES: u64 = 1024;
/// With less memory than this, a few Functions of the default size do not fit beside the service.
const LITTLE_MEMORY: u64 = 512 << 20;

/// Looks at this machine. `data_dir` is the folder whose disk is meant; it need not exist.
pub(super) async fn look(data_dir: &Path) -> anyhow::Result<Vec<Checked>> {
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let logs = LocalLogs::open(folder.path(), DEFAULT_RETENTION, None)?;
    let lambda = LocalLambda::new(LocalLambdaConfig::new(folder.path(), Arc::new(logs.writer().clone())))?;
    let mut checked = vec![jail(&lambda), groups(&lambda)];
    checked.extend(limits(&Machine::look(data_dir), data_dir));
    checked.extend(SdkLanguage::ALL.into_iter().map(|language| sdk(Sdk::of_user().as_ref(), language)));
    let runtimes = lambda.runtimes().await;
    checked.extend(interpreters(&runtimes));
    checked.extend(runtimes.iter().map(runtime));
    Ok(checked)
}

fn jail(lambda: &LocalLambda) -> Checked {
    let state = match lambda.jail() {
        Ok(program) => State::Ok(Some(format!("{} works", program.display()))),
        Err(why) => {
            let why = format!("Functions run with your user's permissions: {why}");
            // Most often, because the kernel does not let an ordinary user create namespaces.
            State::Wrong(match why.contains("does not work") {
                true => format!(
                    "{why}; allow bubblewrap to create user namespaces (on Ubuntu with a profile of AppArmor for bwrap, elsewhere \
                     with sysctl kernel.unprivileged_userns_clone=1), or run the service as root"
                ),
                false => why,
            })
        }
    };
    Checked::new("the jail of Functions (bubblewrap)", state)
}

fn groups(lambda: &LocalLambda) -> Checked {
    let state = match lambda.control_groups() {
        Some(groups) if groups.memory && groups.processes => {
            State::Ok(Some("Functions are frozen, ended and limited as a whole".to_owned()))
        }
        Some(_) => State::Noted(
            "Functions are frozen and ended as a whole, but their memory and processes are only measured: delegate the \
             controllers memory and pids to this user or container"
                .to_owned(),
        ),
        None => State::Noted(
            "none can be created, so Functions are stopped with signals, and their memory is only measured: run the service as \
             root, or with Delegate=yes in its systemd unit"
                .to_owned(),
        ),
    };
    Checked::new("control groups (version 2)", state)
}

fn limits(machine: &Machine, data_dir: &Path) -> Vec<Checked> {
    let Machine { processors, memory, open_files, free_disk } = *machine;
    let mut checked =
        vec![Checked::new("processors", State::Ok(Some(processors.to_string()))).with("count", processors)];
    if let Some(memory) = memory {
        let found = format!("{} available of {}", in_gigabytes(memory.available), in_gigabytes(memory.total));
        let state = match memory.available < LITTLE_MEMORY {
            true => {
                State::Noted(format!("{found}: end other programs, or run fewer Functions at once (--concurrency)"))
            }
            false => State::Ok(Some(found)),
        };
        let checked_memory = Checked::new("memory", state);
        checked.push(checked_memory.with("availableBytes", memory.available).with("totalBytes", memory.total));
    }
    if let Some(files) = open_files {
        let state = match files < FEW_FILES {
            true => State::Wrong(format!(
                "at most {files}, which callers and Functions use up: raise the hard limit (ulimit -Hn, or LimitNOFILE in the \
                 service's systemd unit)"
            )),
            false => State::Ok(Some(format!("at most {files}"))),
        };
        checked.push(Checked::new("open files", state).with("most", files));
    }
    if let Some(free) = free_disk {
        let folder = data_dir.display();
        let reserve = LogLimits::for_disk_of(Machine::existing(data_dir)).reserve_bytes;
        let state = match free < reserve {
            true => State::Wrong(format!(
                "{} free, and below {} nothing is logged any more: make room, or choose another disk with --data-dir",
                in_gigabytes(free),
                in_gigabytes(reserve)
            )),
            false => State::Ok(Some(format!("{} free", in_gigabytes(free)))),
        };
        checked.push(Checked::new(format!("the disk of {folder}"), state).with("freeBytes", free));
    }
    checked
}

fn in_gigabytes(bytes: u64) -> String {
    // Precise enough for a disk of any size.
    #[allow(clippy::cast_precision_loss)]
    let gigabytes = bytes as f64 / f64::from(1 << 30);
    format!("{gigabytes:.1} GB")
}

fn sdk(sdk: Option<&Sdk>, language: SdkLanguage) -> Checked {
    let name = language.name();
    let state = match sdk.map(|sdk| sdk.packages(language)) {
        Some(packages) if packages.is_dir() => State::Ok(Some(packages.display().to_string())),
        Some(_) => State::Noted(format!(
            "not installed, so Functions need it in their packages: 'tasklane runtimes add-sdk {name}' installs it"
        )),
        None => State::Noted("there is no folder for it: set HOME or XDG_CACHE_HOME".to_owned()),
    };
    Checked::new(format!("the AWS SDK for {name}"), state)
}

/// Whether there is any interpreter for the languages that most Functions are written in.
fn interpreters(runtimes: &[RuntimeSupport]) -> Vec<Checked> {
    let languages = [(RuntimeFamily::Node, "Node.js"), (RuntimeFamily::Python, "Python")];
    let check = |(family, language): (RuntimeFamily, &str)| {
        let mut of_family = runtimes.iter().filter(|found| found.runtime.family() == family);
        let missing = of_family.clone().find_map(|found| match &found.support {
            Support::Missing(why) => Some(why),
            Support::Exact(_) | Support::OtherVersion(_) | Support::Bootstrap | Support::Image => None,
        });
        let is_here = of_family.any(|found| !matches!(found.support, Support::Missing(_)));
        let state = match missing.filter(|_| !is_here) {
            None => State::Ok(None),
            Some(why) => State::Wrong(why.clone()),
        };
        Checked::new(format!("an interpreter for {language}"), state)
    };
    languages.map(check).into()
}

fn runtime(found: &RuntimeSupport) -> Checked {
    let RuntimeSupport { runtime, support, advice } = found;
    let state = match support {
        Support::Exact(interpreter) => State::Ok(Some(described(interpreter))),
        Support::Bootstrap | Support::Image => State::Ok(Some("the package's own program".to_owned())),
        Support::OtherVersion(interpreter) => {
            let advice = advice.as_deref().map(|advice| format!(": {advice}")).unwrap_or_default();
            State::Noted(format!("runs with another version, {}{advice}", described(interpreter)))
        }
        Support::Missing(why) => State::Noted(why.clone()),
    };
    let checked = Checked::new(runtime.as_str(), state).with("runtime", runtime.as_str());
    match support {
        Support::Exact(interpreter) | Support::OtherVersion(interpreter) => checked
            .with("version", interpreter.version.as_str())
            .with("program", interpreter.program.display().to_string())
            .with("source", interpreter.source.to_string()),
        Support::Bootstrap | Support::Image | Support::Missing(_) => checked,
    }
}

fn described(interpreter: &Interpreter) -> String {
    let how = match interpreter.source {
        Source::Path => "on the PATH".to_owned(),
        Source::Manager(name) => format!("from {name}"),
    };
    format!("{} ({}, {how})", interpreter.version, interpreter.program.display())
}

#[cfg(test)]
mod tests {
    use tasklane_lambda_local::{Language, Memory};

    use super::*;

    fn line(machine: &Machine, what: &str) -> String {
        let lines: Vec<_> = limits(machine, Path::new("/")).iter().map(Checked::line).collect();
        lines.iter().find(|line| line.contains(what)).unwrap().clone()
    }

    #[test]
    fn what_is_scarce_comes_with_advice() {
        let ample = Machine {
            processors: 8,
            memory: Some(Memory { total: 16 << 30, available: 9 << 30 }),
            open_files: Some(1 << 20),
            free_disk: Some(1 << 40),
        };
        let scarce = Machine {
            memory: Some(Memory { total: 1 << 30, available: 100 << 20 }),
            open_files: Some(256),
            free_disk: Some(1 << 20),
            ..ample
        };
        for (what, fine, advice) in [
            (
                "memory",
                "ok     memory: 9.0 GB available of 16.0 GB",
                "-      memory: 0.1 GB available of 1.0 GB: end other",
            ),
            ("open files", "ok     open files: at most 1048576", "WRONG  open files: at most 256, which"),
            ("disk of /", "ok     the disk of /: 1024.0 GB free", "WRONG  the disk of /: 0.0 GB free, and below 0."),
        ] {
            assert_eq!(line(&ample, what), fine);
            assert!(line(&scarce, what).starts_with(advice), "{}", line(&scarce, what));
        }
    }

    #[test]
    fn every_runtime_says_where_it_comes_from_or_what_to_do() {
        let interpreter = Interpreter {
            program: "/home/ada/.nvm/versions/node/v22.3.0/bin/node".into(),
            version: "Node.js 22.3.0".to_owned(),
            language: Language::Node,
            source: Source::Manager("nvm"),
            flags: Vec::new(),
            files: Vec::new(),
            packages: Vec::new(),
        };
        let with = |support| {
            let advice = Some("install Node.js 22".to_owned());
            runtime(&RuntimeSupport { runtime: tasklane_model::Runtime::new("nodejs22.x"), support, advice })
        };
        let place = "Node.js 22.3.0 (/home/ada/.nvm/versions/node/v22.3.0/bin/node, from nvm)";
        let exact = with(Support::Exact(interpreter.clone()));
        assert_eq!(exact.line(), format!("ok     nodejs22.x: {place}"));
        assert_eq!(exact.to_json()["source"], "nvm");
        let other = with(Support::OtherVersion(interpreter));
        assert_eq!(other.line(), format!("-      nodejs22.x: runs with another version, {place}: install Node.js 22"));
        assert_eq!(other.to_json()["state"], "noted");
    }
}
