//! The API's Lambda function under AWS's emulator, beside a hello Function that is built the same way.

use std::{path::Path, process::Command, time::Instant};

use tasklane::load::{Pace, Until};

use super::api::{millis, sound};
use crate::{
    context::Context,
    figure::Figure,
    rie::Rie,
    row::{Result, Target},
};

/// A request that is answered without asking AWS for anything: nobody is logged in.
const REQUEST: &str = r#"{"version":"2.0","routeKey":"$default","rawPath":"/users/v1/me","rawQueryString":"","headers":{"host":"example.com"},"requestContext":{"http":{"method":"GET","path":"/users/v1/me","sourceIp":"127.0.0.1"},"domainName":"example.com","stage":"$default"},"isBase64Encoded":false}"#;

/// What `template.yaml` would tell it; nothing of it is reached.
const VARIABLES: &[(&str, &str)] = &[
    ("TASKLANE_PREFIX", "bench"),
    ("TASKLANE_WAKEUP_QUEUE_URL", "http://127.0.0.1:9/queue"),
    ("TASKLANE_EVENT_BUS", "default"),
    ("TASKLANE_SECRETS_KEY", "alias/bench"),
    ("TASKLANE_EXECUTION_ROLE", "arn:aws:iam::000000000000:role/bench"),
    ("AWS_ACCESS_KEY_ID", "bench"),
    ("AWS_SECRET_ACCESS_KEY", "bench"),
    ("AWS_REGION", "us-east-1"),
    ("RUST_LOG", "warn"),
];

pub async fn take(context: &Context) -> anyhow::Result<Result> {
    let target = context.folder.parent().unwrap_or(&context.folder).to_owned();
    let ours = target.join("lambda/api");
    build(context, Command::new("cargo").args(["build", "--profile", "lambda", "--locked", "-p", "api"]))?;
    let hello = context.folder.join("hello");
    let manifest = context.repository.join("examples/hello-rust/Cargo.toml");
    build(
        context,
        Command::new("cargo")
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(&manifest)
            .arg("--target-dir")
            .arg(&hello)
            .envs([
                ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "z"),
                ("CARGO_PROFILE_RELEASE_LTO", "fat"),
                ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
                ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
                ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
            ]),
    )?;
    let theirs = hello.join("release/bootstrap");
    let mut first = (Vec::new(), Vec::new());
    let mut warm = (Vec::new(), Vec::new());
    for round in 0..context.rounds {
        for (program, first, warm) in [(&ours, &mut first.0, &mut warm.0), (&theirs, &mut first.1, &mut warm.1)] {
            let mut starts = Vec::new();
            for _ in 0..5 {
                let rie = Rie::of_program(context, program, VARIABLES).await?;
                let began = Instant::now();
                let (status, body) = rie.call(REQUEST).once().await.map_err(anyhow::Error::msg)?;
                starts.push(millis(began.elapsed()));
                anyhow::ensure!(status == 200, "HTTP {status}: {}\n{}", String::from_utf8_lossy(&body), rie.said());
            }
            first.push(Figure::new("", starts).median());
            let rie = Rie::of_program(context, program, VARIABLES).await?;
            sound(&rie.call(REQUEST).load(1, Pace::Flat, Until::Calls(50)).await?)?;
            let report = rie.call(REQUEST).load(1, Pace::Flat, Until::Calls(context.count(1000))).await?;
            sound(&report)?;
            warm.push(millis(report.quantile(0.5)));
        }
        context.say(&format!(
            "   round {round}: first {:.2} | {:.2} ms, warm {:.3} | {:.3} ms",
            first.0[round], first.1[round], warm.0[round], warm.1[round]
        ));
    }
    let mut result = Result::default();
    let own: Vec<_> = warm.0.iter().zip(&warm.1).map(|(ours, hello)| ours - hello).collect();
    let against = Some(("hello in Rust", Figure::new("ms", first.1)));
    result.line(
        "api Lambda, x86_64: start and first answer",
        Figure::new("ms", first.0),
        against,
        Target::RatioAtMost(1.5),
    );
    result.line("api Lambda: the handler's own time, over hello's", Figure::new("ms", own), None, Target::AtMost(2.0));
    let size = zipped_megabytes(&ours)?;
    result.line("api Lambda: its zip", Figure::count("MB", size), None, Target::AtMost(5.0));
    result.note(
        "The emulator does not say how long an initialisation took, so both are timed from outside, from the first call \
         to its answer. The request is one that nobody is logged in for, so that no time of AWS is in it.",
    );
    Ok(result)
}

fn build(context: &Context, command: &mut Command) -> anyhow::Result<()> {
    context.say(&format!(
        "   {:?} {}",
        command.get_program(),
        command.get_args().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    ));
    let status = command.current_dir(&context.repository).status()?;
    anyhow::ensure!(status.success(), "it could not be built");
    Ok(())
}

#[allow(clippy::cast_precision_loss)] // a size to look at
fn zipped_megabytes(program: &Path) -> anyhow::Result<f64> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("bootstrap", zip::write::SimpleFileOptions::default())?;
    std::io::copy(&mut std::fs::File::open(program)?, &mut zip)?;
    Ok(zip.finish()?.into_inner().len() as f64 / 1e6)
}
