//! Lambda: a run continues even if its caller dies, and each run is recorded.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde_json::Value;
use tasklane_model::{CodeSha256, Deployment, FunctionName};
use tasklane_ports::{
    Code, DeployError, FunctionError, FunctionSpec, HeldCode, Invocation, InvokeError, InvokeRequest, Lambda, Outcome,
    PortError, PortFuture,
};
use tokio::sync::oneshot;

use crate::{
    chance::Rng,
    check,
    cloud::{Cloud, Run},
    journal::LifeId,
    life::Life,
    plan::{FunctionPlan, Shape},
    world::World,
};

/// How long an adapter waits for an outcome beyond the time limit.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lambda, as one process reaches it.
pub struct LambdaPort {
    pub life: Arc<Life>,
}

impl LambdaPort {
    fn cloud<T>(&self, with: impl FnOnce(&mut Cloud) -> T) -> T {
        with(&mut self.life.world.cloud.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn run(&self, request: InvokeRequest<'_>) -> Result<Invocation, InvokeError> {
        let (life, world) = (&self.life, &self.life.world);
        let (task, function) = (request.correlation, request.function.to_string());
        life.may_die_but_not_freeze("before an invocation").await;
        if world.befalls(|faults| faults.throttled) {
            return Err(InvokeError::Throttled("simulated".to_owned()));
        }
        if world.befalls(|faults| faults.refused) {
            return Err(refused("KMSAccessDeniedException"));
        }
        if !self.cloud(|cloud| cloud.deployed.contains_key(&function)) {
            return Err(refused("ResourceNotFoundException"));
        }
        if world.befalls(|faults| faults.invoke_lost) {
            world.note(Some(life.id), Some(task), "the request never reaches Lambda");
            world.journal().lost_invocations.insert(task);
            return Err(InvokeError::OutcomeUnknown("the connection broke".to_owned()));
        }
        let way = world.draw(|rng| rng.below(40));
        tokio::time::sleep(Duration::from_millis(way)).await;
        // A request that is on its way to Lambda may arrive after the death of its sender. On a machine, Functions die
        // with the process.
        if !life.is_alive() && (world.plan.shape == Shape::Machine || world.draw(|rng| rng.odds(500))) {
            std::future::pending::<()>().await;
        }
        let event = serde_json::from_slice(&request.payload).unwrap_or_default();
        let ends = begin(world, life.id, &request, event);
        life.may_die("while its function runs").await;
        if world.befalls(|faults| faults.invoke_answer_lost) {
            let after = world.draw(|rng| rng.below(request.time_limit.as_duration().as_millis() as u64));
            tokio::time::sleep(Duration::from_millis(after)).await;
            world.note(Some(life.id), Some(task), "the connection to Lambda breaks");
            life.may_die("with a broken connection to Lambda").await;
            return Err(InvokeError::OutcomeUnknown("the connection broke".to_owned()));
        }
        let ended = tokio::time::timeout(request.time_limit.as_duration() + PATIENCE, ends).await;
        let Ok(Ok((number, outcome))) = ended else {
            return Err(InvokeError::OutcomeUnknown("no response arrived".to_owned()));
        };
        if world.befalls(|faults| faults.invoke_answer_late) {
            let late = world.draw(|rng| rng.within(100..=45_000));
            world.note(Some(life.id), Some(task), format!("Lambda's response is {late} ms late"));
            tokio::time::sleep(Duration::from_millis(late)).await;
        }
        life.may_die("after Lambda's response").await;
        let at = world.elapsed();
        self.cloud(|cloud| cloud.runs[number].told = Some(at));
        Ok(Invocation { request_id: format!("r{number}"), outcome })
    }
}

type Ends = oneshot::Receiver<(usize, Outcome)>;

/// Begins a run that ends only by itself.
fn begin(world: &Arc<World>, by: LifeId, request: &InvokeRequest<'_>, event: Value) -> Ends {
    let (task, function) = (request.correlation, request.function.as_str());
    let time_limit = request.time_limit.as_duration();
    let behaviour = world.plan.functions.iter().find(|known| known.name == function).cloned();
    let (takes, outcome) = match behaviour {
        Some(function) => world.draw(|rng| draw_run(&function, rng)),
        None => (Duration::from_millis(10), Outcome::Returned(Bytes::from_static(b"null"))),
    };
    let (takes, outcome) = if takes >= time_limit { (time_limit, timed_out()) } else { (takes, outcome) };
    let began = world.elapsed();
    let number = {
        let mut cloud = world.cloud.lock().unwrap_or_else(PoisonError::into_inner);
        let (ended, told) = (None, None);
        let (function, version) = (function.to_owned(), request.deployment.version.clone());
        cloud.runs.push(Run { task, function, version, by, began, ended, told, event });
        cloud.runs.len() - 1
    };
    let outcome = match outcome {
        Outcome::Returned(_) => Outcome::Returned(format!("{{\"run\":{number}}}").into()),
        failed @ Outcome::Failed(_) => failed,
    };
    world.note(Some(by), Some(task), format!("run r{number} of {function} begins, takes {} ms", takes.as_millis()));
    check::at_begin_of_run(world, number);
    let (tell, ends) = oneshot::channel();
    let world = Arc::clone(world);
    tokio::spawn(async move {
        tokio::time::sleep(takes).await;
        let at = world.elapsed();
        let goes_on = {
            let mut cloud = world.cloud.lock().unwrap_or_else(PoisonError::into_inner);
            let run = &mut cloud.runs[number];
            let goes_on = run.ended.is_none();
            run.ended = run.ended.or(Some(at));
            goes_on
        };
        if goes_on {
            let how = if let Outcome::Failed(error) = &outcome { error.name.clone() } else { "returns".to_owned() };
            world.note(Some(by), Some(task), format!("run r{number} ends: {how}"));
            // Perhaps nobody waits for it any more.
            let _ = tell.send((number, outcome));
        }
    });
    ends
}

fn draw_run(function: &FunctionPlan, rng: &mut Rng) -> (Duration, Outcome) {
    if rng.odds(function.hangs) {
        return (Duration::MAX, timed_out());
    }
    let takes = Duration::from_millis(rng.within(function.takes.0..=function.takes.1));
    let outcome = if rng.odds(function.throws) {
        let name = rng.pick(&["Flaky", "Flaky", "TypeError"]);
        Outcome::Failed(FunctionError { name: name.to_owned(), message: "thrown".to_owned(), trace: Vec::new() })
    } else {
        Outcome::Returned(Bytes::from_static(b"{\"done\":true}"))
    };
    (takes, outcome)
}

fn timed_out() -> Outcome {
    let message = "Task timed out".to_owned();
    Outcome::Failed(FunctionError { name: "Sandbox.Timedout".to_owned(), message, trace: Vec::new() })
}

fn refused(name: &str) -> InvokeError {
    InvokeError::Refused { name: name.to_owned(), message: "simulated".to_owned() }
}

impl Lambda for LambdaPort {
    fn deploy<'a>(
        &'a self,
        spec: &'a FunctionSpec,
        _code: Option<Code>,
        _current: Option<&'a Deployment>,
    ) -> PortFuture<'a, Result<Deployment, DeployError>> {
        Box::pin(async move {
            self.life.may_die("before a deployment").await;
            let version = self.cloud(|cloud| {
                let version = cloud.deployed.entry(spec.name.to_string()).or_default();
                *version += 1;
                *version
            });
            self.life.may_die("after a deployment").await;
            Ok(Deployment { version: version.to_string(), code_sha256: CodeSha256::of(b"code") })
        })
    }

    fn holds<'a>(&'a self, _: &'a FunctionName, _: &'a Deployment) -> PortFuture<'a, Result<bool, PortError>> {
        Box::pin(async { Ok(true) })
    }

    fn point_at<'a>(&'a self, _: &'a FunctionName, _: &'a Deployment) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }

    fn code_of<'a>(
        &'a self,
        _: &'a FunctionName,
        _: &'a Deployment,
    ) -> PortFuture<'a, Result<Option<HeldCode>, PortError>> {
        Box::pin(async { Ok(None) })
    }

    fn retire<'a>(&'a self, _: &'a FunctionName, _: &'a [Deployment]) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }

    fn remove<'a>(&'a self, function: &'a FunctionName) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            self.life.may_die("before a removal").await;
            self.cloud(|cloud| cloud.deployed.remove(function.as_str()));
            Ok(())
        })
    }

    fn invoke<'a>(&'a self, request: InvokeRequest<'a>) -> PortFuture<'a, Result<Invocation, InvokeError>> {
        Box::pin(async move {
            let answer = self.run(request.clone()).await;
            match answer {
                Err(InvokeError::OutcomeUnknown(_)) if self.life.world.seams.retries_unknown_outcomes() => {
                    self.run(request).await
                }
                answer => answer,
            }
        })
    }
}
