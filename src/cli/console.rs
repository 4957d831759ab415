//! `tasklane console`: pages about a service, on this machine.

use tasklane_console::{Console, ConsoleError};
use tokio_util::sync::CancellationToken;

use super::{Outcome, Verdict, browser, output, session::Session, signals::Signals};

/// The port after that of `tasklane dev`.
const USUAL_PORT: u16 = 4001;

/// Open the console of a service: pages about its Tasks, Functions and Schedules.
///
/// The pages are served on this machine only, until Ctrl-C, and show what your credentials may see. They use the service's
/// public API, so they work with every service. The browser never gets the credentials: it is let in by the link that is
/// printed, which works once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  Open the console of the service that your credentials are for:
    tasklane console --open
  Of a service on AWS:
    tasklane console --url https://abc.execute-api.eu-west-1.amazonaws.com")]
pub(super) struct Args {
    /// The port to listen on [default: 4001, or a free one if that is in use]
    #[arg(long, short, value_name = "PORT")]
    port: Option<u16>,

    /// Open the console in a browser
    #[arg(long)]
    open: bool,
}

pub(super) async fn run(session: Session, args: Args) -> Outcome {
    let mut signals = Signals::listen()?;
    // Before the link is shown: with wrong credentials there would be nothing behind it.
    session.client.me().await?;
    let console = match args.port {
        Some(port) => Console::bind(port, session.client).await?,
        None => bind_near(USUAL_PORT, session.client).await?,
    };
    let link = console.link();
    output::note("the console is open until Ctrl-C; this link lets one browser in, once:");
    output::data(&link)?;
    if args.open {
        browser::open(&link);
    }
    let stop = CancellationToken::new();
    let serving = tokio::spawn(console.serve(stop.clone()));
    signals.next().await;
    stop.cancel();
    let _ = serving.await;
    Ok(Verdict::Yes)
}

/// A console on this port, or on a free one if it is in use.
pub(super) async fn bind_near(port: u16, client: tasklane_client::Client) -> Result<Console, ConsoleError> {
    match Console::bind(port, client.clone()).await {
        Err(ConsoleError::Listen { .. }) => Console::bind(0, client).await,
        bound => bound,
    }
}
