//! Direct executions: a Task that runs at once, with a write before and after it.

use std::time::Duration;

use tasklane::load::{Pace, Until};

use super::api::{millis, sound};
use crate::{
    bare::Bare,
    context::Context,
    dev::Dev,
    figure::Figure,
    functions::Language,
    http::Call,
    row::{Result, Target},
};

pub async fn take(context: &Context) -> anyhow::Result<Result> {
    let mut result = Result::default();
    let dev = Dev::start(context, &[("hello", Language::Node)], 16).await?;
    let ours = Call::post(dev.address, "/tasks/v1/functions/hello/execute", "{}");
    let span = context.span(Duration::from_secs(5));
    for connections in [1, 4] {
        let bare = Bare::start(context, &dev, Language::Node, connections, true).await?;
        // A Function receives its Task as the event.
        let event = serde_json::to_vec(&hot_paths::engine::running_task("0123456789abcdef01234567".parse()?, "hello"))?;
        let theirs = Call::post(bare.address, "/", event);
        let (mut us, mut them) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        for call in [&ours, &theirs] {
            sound(&call.load(connections, Pace::Flat, Until::Elapsed(span / 3)).await?)?;
        }
        for round in 0..context.rounds {
            for (call, side) in [(&ours, &mut us), (&theirs, &mut them)] {
                let report = call.load(connections, Pace::Flat, Until::Elapsed(span)).await?;
                sound(&report)?;
                side.0.push(report.rate());
                side.1.push(millis(report.quantile(0.5)));
            }
            context.say(&format!(
                "   {connections} connections, round {round}: {:.0}/s {:.2} ms | {:.0}/s {:.2} ms",
                us.0[round], us.1[round], them.0[round], them.1[round]
            ));
        }
        let limit = "bare loop + the store's two writes";
        let plural = if connections == 1 { "" } else { "s" };
        result.line(
            &format!("direct execution, node, {connections} connection{plural}"),
            Figure::new("/s", us.0),
            Some((limit, Figure::new("/s", them.0))),
            Target::RatioAtLeast(0.8),
        );
    }
    Ok(result)
}
