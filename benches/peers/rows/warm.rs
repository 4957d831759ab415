//! Warm calls, one after another: the time that the service adds to the process, compared with AWS's own emulator.

use tasklane::load::{Pace, Until};

use super::api::{millis, sound};
use crate::{
    bare::Bare,
    context::Context,
    dev::Dev,
    figure::Figure,
    functions::Language,
    http::Call,
    rie::Rie,
    row::{Result, Target},
};

/// About the event that the service passes to an API Function.
pub const EVENT: &str = r#"{"version":"2.0","rawPath":"/","rawQueryString":"","headers":{"host":"127.0.0.1","content-type":"application/json"},"requestContext":{"http":{"method":"GET"}},"body":"","isBase64Encoded":false}"#;

pub async fn take(context: &Context) -> anyhow::Result<Result> {
    let mut result = Result::default();
    let mut bars = Vec::new();
    for language in [Language::Node, Language::Python] {
        let name = language.name();
        let dev = Dev::start(context, &[("hello", language)], 5).await?;
        let bare = Bare::start(context, &dev, language, 1, false).await?;
        let rie = Rie::start(context, language).await?;
        let sides =
            [Call::get(dev.address, "/tasks/v1/api/hello/"), Call::post(bare.address, "/", EVENT), rie.call(EVENT)];
        let calls = Until::Calls(context.count(2000));
        for side in &sides {
            let report = side.load(1, Pace::Flat, Until::Calls(context.count(500))).await?;
            sound(&report).map_err(|error| error.context(rie.said()))?;
        }
        let mut p50: [Vec<f64>; 3] = Default::default();
        for round in 0..context.rounds {
            for (side, p50) in sides.iter().zip(&mut p50) {
                let report = side.load(1, Pace::Flat, calls).await?;
                sound(&report)?;
                p50.push(millis(report.quantile(0.5)));
            }
            let shown: Vec<_> = p50.iter().map(|side| format!("{:.3}", side[round])).collect();
            context.say(&format!("   {name}, round {round}: p50 tasklane | bare loop | RIE: {} ms", shown.join(" | ")));
        }
        let [ours, bare, rie] = p50.map(|values| Figure::new("ms", values));
        bars.push((
            name.to_owned(),
            [("tasklane", &ours), ("bare loop", &bare), ("RIE", &rie)]
                .map(|(name, figure)| (name.to_owned(), figure.median()))
                .into(),
        ));
        let what = format!("warm call, {name}, 1 connection: p50");
        result.line(&what, ours.clone(), Some(("bare loop", bare)), Target::RatioAtMost(1.3));
        result.line(&what, ours, Some(("AWS RIE with AWS's client", rie)), Target::RatioAtMost(1.0));
    }
    result.bars("warm", "A warm call: median time", "ms", bars);
    result.note(
        "The bare loop passes the body of an HTTP request to the same process with the same bootstrap through the \
         Runtime API, and returns its answer, without permissions, records, logs or limits.",
    );
    Ok(result)
}
