//! `tasklane whoami`: the caller that the service sees.

use super::{Outcome, Verdict, session::Session};

/// Show which service and which user your credentials are for.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane whoami")]
pub(super) struct Args {}

pub(super) async fn run(session: Session, _: Args) -> Outcome {
    let me = session.client.me().await?;
    let service = session.client.base().to_string();
    session.show(&me, |me| session.layout.details([("Service", service), ("User", me.id.to_string())]))?;
    Ok(Verdict::Yes)
}
