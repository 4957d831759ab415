//! The API's Lambda function in AWS's emulator, compared with a hello Function that is built in the same way.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use tasklane::load::{Pace, Until};

use super::api::{millis, sound};
use crate::{
    context::Context,
    figure::Figure,
    rie::Rie,
    row::{Result, Target},
};

/// A request as API Gateway passes it on, which needs no call of AWS for its response: nobody is logged in.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
const REQUEST: &str = r#"{"version":"2.0","routeKey":"$default","rawPath":"/users/v1/me","rawQueryString":"","headers":{"accept":"*/*","content-length":"0","host":"example.com","user-agent":"curl/8.5.0","x-amzn-trace-id":"Root=1-6589a42a-1f2e3d4c5b6a79881f2e3d4c","x-forwarded-for":"192.0.2.1","x-forwarded-port":"443","x-forwarded-proto":"https"},"requestContext":{"accountId":"000000000000","apiId":"abcdefghij","domainName":"example.com","domainPrefix":"example","http":{"method":"GET","path":"/users/v1/me","protocol":"HTTP/1.1","sourceIp":"192.0.2.1","userAgent":"curl/8.5.0"},"requestId":"KGTvRhKhIAMEPjg=","routeKey":"$default","stage":"$default","time":"25/Dec/2023:15:49:30 +0000","timeEpoch":1703519370000},"isBase64Encoded":false}"#;

/// The settings that `template.yaml` would pass. None of the resources is used.
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

/// The programs: the handler, a hello with AWS's library for HTTP, and the smallest program that runs at all.
const SIDES: [&str; 3] = ["tasklane", "hello, lambda_http", "hello, lambda_runtime"];

pub async fn take(context: &Context) -> anyhow::Result<Result> {
    let programs = programs(context)?;
    let mut first: [Vec<f64>; 3] = Default::default();
    let mut warm: [Vec<f64>; 3] = Default::default();
    for round in 0..context.rounds {
        for ((program, first), warm) in programs.iter().zip(&mut first).zip(&mut warm) {
            let mut starts = Vec::new();
            for _ in 0..5 {
                let rie = Rie::of_program(context, program, VARIABLES).await?;
                let began = Instant::now();
                let (status, body) = rie.call(REQUEST).once().await.map_err(anyhow::Error::msg)?;
                starts.push(millis(began.elapsed()));
                let body = String::from_utf8_lossy(&body);
                anyhow::ensure!(status == 200 && !body.contains("errorType"), "HTTP {status}: {body}\n{}", rie.said());
            }
            first.push(Figure::new("", starts).median());
            let rie = Rie::of_program(context, program, VARIABLES).await?;
            sound(&rie.call(REQUEST).load(1, Pace::Flat, Until::Calls(50)).await?)?;
            let report = rie.call(REQUEST).load(1, Pace::Flat, Until::Calls(context.count(1000))).await?;
            sound(&report)?;
            warm.push(millis(report.quantile(0.5)));
        }
        let shown = |of: &[Vec<f64>; 3]| of.each_ref().map(|side| format!("{:.3}", side[round])).join(" | ");
        context.say(&format!(
            "   round {round}: {}: first {} ms, warm {} ms",
            SIDES.join(" | "),
            shown(&first),
            shown(&warm)
        ));
    }
    let mut result = Result::default();
    let own: Vec<_> = warm[0].iter().zip(&warm[2]).map(|(ours, least)| ours - least).collect();
    let [first, http, bare] = first.map(|values| Figure::new("ms", values));
    let what = "api Lambda, x86_64: start and first answer";
    result.line(what, first.clone(), Some((SIDES[1], http)), Target::RatioAtMost(1.5));
    result.line(what, first, Some((SIDES[2], bare)), Target::Shown);
    result.line(
        "api Lambda: the handler's own time, over that hello's",
        Figure::new("ms", own),
        None,
        Target::AtMost(2.0),
    );
    let size = zipped_megabytes(&programs[0])?;
    result.line("api Lambda: its zip", Figure::count("MB", size), None, Target::AtMost(5.0));
    result.note(
        "The emulator does not report the duration of an initialisation, so all are timed from outside, from the \
         first call to its answer. The request has no credential, so that no call of AWS is included. The hello with \
         `lambda_http` is `infra/bench/hello-http`; the one with `lambda_runtime`, without HTTP, is `examples/hello- \
         rust`. All three are built with the profile `lambda`.",
    );
    Ok(result)
}

/// Builds the programs.
fn programs(context: &Context) -> anyhow::Result<[PathBuf; 3]> {
    build(context, Command::new("cargo").args(["build", "--profile", "lambda", "--locked", "-p", "api"]))?;
    let ours = context.folder.parent().unwrap_or(&context.folder).join("lambda/api");
    Ok([ours, hello(context, "infra/bench/hello-http")?, hello(context, "examples/hello-rust")?])
}

/// Builds the program in a folder with the profile `lambda`, like our handlers.
fn hello(context: &Context, folder: &str) -> anyhow::Result<PathBuf> {
    let target = context.folder.join("hello").join(folder);
    build(
        context,
        Command::new("cargo")
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(context.repository.join(folder).join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .envs([
                ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "z"),
                ("CARGO_PROFILE_RELEASE_LTO", "fat"),
                ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
                ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
                ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
            ]),
    )?;
    Ok(target.join("release/bootstrap"))
}

fn build(context: &Context, command: &mut Command) -> anyhow::Result<()> {
    context.say(&format!(
        "   {:?} {}",
        command.get_program(),
        command.get_args().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    ));
    let status = command.current_dir(&context.repository).status()?;
    anyhow::ensure!(status.success(), "the build failed");
    Ok(())
}

#[allow(clippy::cast_precision_loss)] // a size for people, which need not be exact
fn zipped_megabytes(program: &Path) -> anyhow::Result<f64> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("bootstrap", zip::write::SimpleFileOptions::default())?;
    std::io::copy(&mut std::fs::File::open(program)?, &mut zip)?;
    Ok(zip.finish()?.into_inner().len() as f64 / 1e6)
}
