//! Starts a process and waits until it asks for its first invocation.
//!
//! Lambda allows ten seconds for that, before the run's own time. If it fails, it is repeated once within the run, on
//! the run's time; a second failure is the run's failure.
//! <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>

use std::{sync::Arc, time::Duration};

use tasklane_model::FunctionError;
use tokio::time::Instant;

use super::{
    entrypoint::StartError,
    output::LogTarget,
    report::{self, Status},
    runtimes::Support,
    sandbox::{Happening, Sandbox},
    site::Site,
    versions::Version,
};

/// Why a process is not ready.
#[derive(Debug)]
pub(super) enum NotReady {
    /// It failed. The second field is the line that Lambda logs about it, if any.
    Failed(FunctionError, Option<String>),
    TimedOut,
    /// This machine could not start it; no code of the Function ran.
    Broken(std::io::Error),
    Aborted,
}

impl NotReady {
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Failed(error, _) => Status::Error(error.name.clone()),
            Self::TimedOut => Status::Timeout,
            Self::Broken(_) | Self::Aborted => Status::Unremarkable,
        }
    }
}

/// A process to start, and the run that it is for.
pub(super) struct Initialisation<'a> {
    pub(super) site: &'a Site,
    pub(super) version: &'a Arc<Version>,
    pub(super) support: &'a Support,
    pub(super) target: &'a LogTarget,
}

impl Initialisation<'_> {
    /// The first attempt, before the run's own time begins, and how long it took.
    pub(super) async fn before_run(&self) -> (Result<Sandbox, NotReady>, Duration) {
        self.attempt("init", Instant::now() + self.site.config.init_limit).await
    }

    /// The second attempt, within the run's time.
    pub(super) async fn within_run(&self, deadline: Instant) -> Result<Sandbox, NotReady> {
        self.attempt("invoke", deadline).await.0
    }

    async fn attempt(&self, phase: &str, deadline: Instant) -> (Result<Sandbox, NotReady>, Duration) {
        let begun = Instant::now();
        let outcome = self.initialise(deadline).await;
        let took = begun.elapsed();
        if let Err(failure) = &outcome {
            let logs = &*self.site.config.logs;
            self.target.log(logs, report::init_report(took, phase, &failure.status())).await;
        }
        (outcome, took)
    }

    async fn initialise(&self, deadline: Instant) -> Result<Sandbox, NotReady> {
        let Self { site, version, support, target } = self;
        let request_id = &target.request_id;
        let mut sandbox = match Sandbox::start(site, version, support, (*target).clone()).await {
            Ok(sandbox) => sandbox,
            Err(error) => return Err(not_started(request_id, error)),
        };
        let failure = loop {
            match sandbox.next(deadline).await {
                Happening::Ready => return Ok(sandbox),
                Happening::InitError(error) => break NotReady::Failed(error, None),
                Happening::Exited(status) => match sandbox.not_entered() {
                    Some(error) => break not_started(request_id, error),
                    None => {
                        let error = report::exited(request_id, status);
                        let line = report::exit_line(&error);
                        break NotReady::Failed(error, Some(line));
                    }
                },
                Happening::OutOfMemory | Happening::OutOfProcesses => {
                    let error = report::killed(request_id);
                    let line = report::exit_line(&error);
                    break NotReady::Failed(error, Some(line));
                }
                Happening::Deadline => break NotReady::TimedOut,
                Happening::Aborted => break NotReady::Aborted,
                // Cannot happen: the Runtime API refuses answers before there is an invocation.
                Happening::Answered(_) => {}
            }
        };
        sandbox.kill().await;
        sandbox.output.end_run().await;
        Err(failure)
    }
}

fn not_started(request_id: &str, error: StartError) -> NotReady {
    match error {
        StartError::InvalidEntrypoint(why) => {
            let error = report::invalid_entrypoint(request_id, &why);
            let line = report::exit_line(&error);
            NotReady::Failed(error, Some(line))
        }
        StartError::InvalidFolder(why) => {
            let error = report::invalid_folder(request_id, &why);
            let line = report::exit_line(&error);
            NotReady::Failed(error, Some(line))
        }
        StartError::Io(error) => NotReady::Broken(error),
    }
}
