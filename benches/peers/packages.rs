//! The peers that `infra/bench` pins, installed in `target/bench`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::context::Context;

/// Installs the npm packages that `infra/bench/<name>` pins. Returns the folder that contains their `node_modules`.
pub fn npm(context: &Context, name: &str, runs_scripts: bool) -> anyhow::Result<PathBuf> {
    let pinned = context.repository.join("infra/bench").join(name);
    let folder = context.folder.join(name);
    fs::create_dir_all(&folder)?;
    let wanted = fs::read(pinned.join("package-lock.json"))?;
    let installed = folder.join(".installed");
    if fs::read(&installed).is_ok_and(|lock| lock == wanted) {
        return Ok(folder);
    }
    context.say(&format!("installing what infra/bench/{name} pins"));
    for file in ["package.json", "package-lock.json", ".npmrc"] {
        fs::copy(pinned.join(file), folder.join(file))?;
    }
    let scripts = format!("--ignore-scripts={}", !runs_scripts);
    succeed(Command::new("npm").args(["ci", "--prefer-offline", &scripts]).current_dir(&folder), "npm")?;
    fs::write(installed, wanted)?;
    Ok(folder)
}

/// Installs the Python packages that `infra/bench/python.txt` pins into a virtual environment. Returns its folder.
pub fn python(context: &Context) -> anyhow::Result<PathBuf> {
    let pinned = context.repository.join("infra/bench/python.txt");
    let folder = context.folder.join("python");
    let wanted = fs::read(&pinned)?;
    let installed = folder.join(".installed");
    if fs::read(&installed).is_ok_and(|lock| lock == wanted) {
        return Ok(folder);
    }
    context.say("installing what infra/bench/python.txt pins");
    succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder), "python3 -m venv")?;
    let pip = folder.join("bin/pip");
    succeed(Command::new(pip).args(["install", "--quiet", "--no-deps", "-r"]).arg(&pinned), "pip")?;
    fs::write(installed, wanted)?;
    Ok(folder)
}

/// A `PATH` on which that `python3` comes first.
pub fn path(context: &Context) -> anyhow::Result<String> {
    Ok(format!("{}:{}", python(context)?.join("bin").display(), std::env::var("PATH")?))
}

/// AWS's emulator of the Runtime API, which is part of the wheel of aws-sam-cli.
pub fn rie(python: &Path) -> anyhow::Result<PathBuf> {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
    let lib = python.join("lib");
    for entry in fs::read_dir(&lib)? {
        let packed = entry?.path().join(format!("site-packages/samcli/local/rapid/aws-lambda-rie-{arch}"));
        if packed.exists() {
            let program = python.join("aws-lambda-rie");
            fs::copy(&packed, &program)?;
            fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
            return Ok(program);
        }
    }
    bail!("the wheel of aws-sam-cli holds no aws-lambda-rie-{arch} below {}", lib.display())
}

/// The version that a command prints.
pub fn version(command: &mut Command) -> String {
    let output = command.output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    output.unwrap_or_else(|_| "not there".to_owned())
}

pub fn succeed(command: &mut Command, name: &str) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{name} does not start; install it"))?;
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "{name} could not install the peers:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
