//! The first call of a Function, which starts a process.

use std::time::Instant;

use super::{api::millis, warm::EVENT};
use crate::{
    context::Context,
    dev::Dev,
    figure::Figure,
    functions::Language,
    http::Call,
    rie::Rie,
    row::{Result, Target},
};

pub async fn take(context: &Context) -> anyhow::Result<Result> {
    let mut result = Result::default();
    for language in [Language::Node, Language::Python] {
        // Several of each in a round, because a single start says little.
        let each = usize::try_from(context.count(10)).unwrap_or(1).max(2);
        let names: Vec<_> = (0..context.rounds * each).map(|n| format!("cold-{n}")).collect();
        let functions: Vec<_> = names.iter().map(|name| (name.as_str(), language)).collect();
        let dev = Dev::start(context, &functions, 5).await?;
        let mut medians = (Vec::new(), Vec::new());
        for round in 0..context.rounds {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for name in &names[round * each..(round + 1) * each] {
                ours.push(first(&Call::get(dev.address, &format!("/tasks/v1/api/{name}/"))).await?);
                let rie = Rie::start(context, language).await?;
                theirs.push(first(&rie.call(EVENT)).await?);
            }
            medians.0.push(Figure::new("", ours).median());
            medians.1.push(Figure::new("", theirs).median());
            context.say(&format!(
                "   {}, round {round}: {:.1} | {:.1} ms",
                language.name(),
                medians.0[round],
                medians.1[round]
            ));
        }
        let against = Some(("AWS RIE with AWS's client", Figure::new("ms", medians.1)));
        let what = format!("first call, {}", language.name());
        result.line(&what, Figure::new("ms", medians.0), against, Target::RatioAtMost(1.0));
    }
    result.note(
        "The emulator itself is running before its first call; only the Function's process starts with the call.",
    );
    Ok(result)
}

async fn first(call: &Call) -> anyhow::Result<f64> {
    let began = Instant::now();
    let (status, body) = call.once().await.map_err(anyhow::Error::msg)?;
    anyhow::ensure!(status == 200, "HTTP {status}: {}", String::from_utf8_lossy(&body));
    Ok(millis(began.elapsed()))
}
