//! The time to build and to test.

use std::{process::Command, time::Instant};

use crate::{
    context::Context,
    figure::Figure,
    row::{Result, Target},
};

pub async fn take(context: &Context) -> anyhow::Result<Result> {
    // A separate target folder, so that the build is clean.
    let target = tempfile::Builder::new().prefix("clean-").tempdir_in(&context.folder)?;
    let minutes = |arguments: &[&str]| -> anyhow::Result<Figure> {
        context.say(&format!("   cargo {}", arguments.join(" ")));
        let began = Instant::now();
        let mut command = Command::new("cargo");
        command.args(arguments).current_dir(&context.repository);
        command.env("CARGO_TARGET_DIR", target.path()).env("CARGO_INCREMENTAL", "0");
        anyhow::ensure!(command.status()?.success(), "cargo {} failed", arguments.join(" "));
        Ok(Figure::count("min", began.elapsed().as_secs_f64() / 60.0))
    };
    let mut result = Result::default();
    result.line("a clean debug build", minutes(&["build", "--locked"])?, None, Target::AtMost(6.0));
    result.line("cargo test after it", minutes(&["test", "--locked"])?, None, Target::AtMost(15.0));
    Ok(result)
}
