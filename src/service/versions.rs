//! The versions of a Function: their list, the way back to one of them, and canaries (contract §18).

use std::{sync::Arc, time::Duration};

use tasklane_dispatch::{EndOfRun, judge};
use tasklane_model::{
    AffectedRecords, Canary, CanaryEnd, CanaryPercent, Error, ErrorKind, FailWhen, Function, FunctionVersion, Result,
    Timestamp, UserId, VersionNumber,
};
use tasklane_ports::HeldCode;
use tasklane_store::{KeptVersion, MOST_VERSIONS, Versioned};
use tracing::{info, warn};

use super::{FunctionChange, Service, turns::Turn};

/// How long a version stays runnable after another one took its place, however many followed: longer than a caller who read
/// the older record takes to start a run of it, and the longest run (300 s).
const STAYS_FOR: Duration = Duration::from_secs(15 * 60);

/// A version, and what it is now.
#[derive(Clone, Debug)]
pub struct ListedVersion {
    /// The version.
    pub version: FunctionVersion,
    /// When another one took its place. Absent for the current one, and for one that never was.
    pub replaced: Option<Timestamp>,
    /// Whether the Function is this version.
    pub current: bool,
    /// Whether it can be rolled back to, or tried.
    pub runnable: bool,
}

/// A version to be tried.
#[derive(Clone, Copy, Debug)]
pub struct NewCanary {
    /// Its number.
    pub version: VersionNumber,
    /// Which part of the runs it gets.
    pub percent: CanaryPercent,
    /// When it ends by itself.
    pub fail_when: Option<FailWhen>,
}

impl Service {
    /// The versions of a Function, newest first, at most the last hundred besides the current one. 16 when there is no
    /// Function.
    pub async fn list_versions(&self, name: &str) -> Result<Vec<ListedVersion>> {
        let function = self.get_function(name).await?;
        let mut kept = self.inner.store.functions.versions(&function).await?;
        kept.truncate(MOST_VERSIONS);
        let mut versions: Vec<_> = kept.into_iter().map(|kept| self.listed(&function, kept)).collect();
        let current = self.listed(&function, current_of(&function));
        let place = versions.partition_point(|version| version.version.note.number > current.version.note.number);
        versions.insert(place, current);
        Ok(versions)
    }

    /// One version. 16 when there is no Function, 1504 when it has no such version.
    pub async fn get_version(&self, name: &str, number: VersionNumber) -> Result<ListedVersion> {
        let function = self.get_function(name).await?;
        let version = self.version_of(&function, number).await?;
        Ok(self.listed(&function, version))
    }

    /// The zip of a version. 16 when there is no Function, 1504 when it has no such version, its code is gone, or it runs an
    /// image.
    pub async fn version_code(&self, name: &str, number: VersionNumber) -> Result<HeldCode> {
        let function = self.get_function(name).await?;
        let version = self.version_of(&function, number).await?.version;
        if let Some(image) = version.configuration.image() {
            let message = format!("Version {number} runs the image {image}, and has no zip to download.");
            return Err(Error::new(ErrorKind::VersionUnknown, message));
        }
        let code =
            self.inner.ports.lambda.code_of(&function.name, &version.deployment).await.map_err(Error::internal)?;
        code.ok_or_else(|| {
            Error::new(ErrorKind::VersionUnknown, format!("The code of version {number} is no longer kept."))
        })
    }

    /// Makes the Function equal to one of its versions, atomically like an update, and returns the version that it is then: a
    /// new one, or the current one if that is equal already. 16 when there is no Function, 1504 when there is no such version
    /// or it cannot run any more, 1502 when concurrent changes keep winning.
    pub async fn roll_back(&self, name: &str, to: VersionNumber, by: Option<UserId>) -> Result<ListedVersion> {
        let turn = self.turn_to_change(&self.get_function(name).await?.name).await?;
        let mut tries = self.tries();
        let change = FunctionChange { by, ..FunctionChange::default() };
        loop {
            let Versioned { value: old, revision } = self.stored_function(name).await?;
            let version = self.runnable_version(&old, to).await?;
            let mut new = old.clone();
            version.apply_to(&mut new);
            if new == old {
                return self.get_version(name, old.history.current.number).await;
            }
            let change = FunctionChange { label: version.note.label.clone(), ..change.clone() };
            if let Some(changed) = self.write_change(&old, new, revision, &change).await? {
                let current = changed.history.current.number;
                info!(function = %changed.name, %to, version = %current, "function rolled back");
                let listed = self.listed(&changed, current_of(&changed));
                self.retire_in_background(old, changed, turn);
                return Ok(listed);
            }
            self.again(&mut tries).await?;
        }
    }

    /// Gives a part of the runs to a version. Another canary ends. 16 when there is no Function, 1504 when there is no such
    /// version or it cannot run any more, 15 when it is the current one, 1502 when concurrent changes keep winning.
    pub async fn start_canary(&self, name: &str, canary: NewCanary) -> Result<Canary> {
        let function = self.change_canary(name, Some(canary)).await?;
        function.history.canary.ok_or_else(|| Error::internal("the canary that was started is not there"))
    }

    /// Ends the canary, if there is one. 16 when there is no Function, 1502 when concurrent changes keep winning.
    pub async fn stop_canary(&self, name: &str) -> Result<AffectedRecords> {
        self.change_canary(name, None).await.map(|_| AffectedRecords::ONE)
    }

    /// Ends the canary and starts another one, if any, and returns the Function as it is then. This makes no version.
    async fn change_canary(&self, name: &str, canary: Option<NewCanary>) -> Result<Function> {
        let _turn = self.turn_to_change(&self.get_function(name).await?.name).await?;
        let mut tries = self.tries();
        loop {
            let Versioned { value: mut function, revision } = self.stored_function(name).await?;
            let now = self.inner.ports.clock.now();
            match canary {
                None if function.history.canary.is_none() => return Ok(function),
                None => function.history.end_canary(CanaryEnd::Stopped, now),
                Some(canary) => {
                    let canary = self.canary_of(&function, canary).await?;
                    function.history.end_canary(CanaryEnd::Replaced, now);
                    function.history.canary = Some(canary);
                }
            }
            function.update_timestamp = now;
            if self.inner.store.functions.update(&function, revision).await? {
                let tried = function.history.canary.as_ref().map(|canary| canary.version.get());
                info!(function = %function.name, version = tried, "canary started or stopped");
                self.function_changed(&function).await;
                return Ok(function);
            }
            self.again(&mut tries).await?;
        }
    }

    async fn canary_of(&self, function: &Function, canary: NewCanary) -> Result<Canary> {
        let NewCanary { version, percent, fail_when } = canary;
        if version == function.history.current.number {
            let message = format!("Version {version} is the current one: it gets every run already.");
            return Err(Error::new(ErrorKind::FieldFormat, message));
        }
        let FunctionVersion { configuration, deployment, .. } = self.runnable_version(function, version).await?;
        let started_timestamp = self.inner.ports.clock.now();
        Ok(Canary { version, percent, fail_when, started_timestamp, configuration, deployment })
    }

    fn listed(&self, function: &Function, KeptVersion { version, replaced }: KeptVersion) -> ListedVersion {
        let number = version.note.number;
        let current = number == function.history.current.number;
        ListedVersion { version, replaced, current, runnable: current || self.is_runnable(function, number) }
    }

    /// Whether the version is one of the last ones, or is being tried.
    fn is_runnable(&self, function: &Function, number: VersionNumber) -> bool {
        let is_canary = function.history.canary.as_ref().is_some_and(|canary| canary.version == number);
        let age = function.history.newest.get().saturating_sub(number.get());
        is_canary || age < u32::from(self.inner.settings.runnable_versions)
    }

    async fn version_of(&self, function: &Function, number: VersionNumber) -> Result<KeptVersion> {
        if number == function.history.current.number {
            return Ok(current_of(function));
        }
        let kept = self.inner.store.functions.version(function, number).await?;
        let unknown = || {
            let message = format!("The function '{}' has no version {number}.", function.name);
            Error::new(ErrorKind::VersionUnknown, message)
        };
        kept.ok_or_else(unknown)
    }

    async fn runnable_version(&self, function: &Function, number: VersionNumber) -> Result<FunctionVersion> {
        let version = self.version_of(function, number).await?.version;
        let is_kept = number == function.history.current.number || self.is_runnable(function, number);
        let is_held = async || self.inner.ports.lambda.holds(&function.name, &version.deployment).await;
        if is_kept && is_held().await.map_err(Error::internal)? {
            return Ok(version);
        }
        let message = format!(
            "Version {number} can no longer run: the last {} versions can. Deploy its code again.",
            self.inner.settings.runnable_versions
        );
        Err(Error::new(ErrorKind::VersionUnknown, message))
    }

    /// Shows people and their tools which deployment is current.
    pub(super) async fn point_at_current(&self, function: &Function) {
        if let Err(error) = self.inner.ports.lambda.point_at(&function.name, &function.deployment).await {
            warn!(function = %function.name, %error, "the alias of a function does not name its current version; the next change will try again");
        }
    }

    /// Retires what no longer runs after a change from `old` to `new`. The turn ends only after that: a change back would
    /// deploy the same again, which must not happen while it is being retired.
    pub(super) fn retire_in_background(&self, old: Function, new: Function, turn: Turn) {
        let this = self.clone();
        self.inner.background.spawn(async move {
            let _turn = turn;
            if let Err(error) = this.retire(&old, &new).await {
                warn!(function = %new.name, %error, "older deployments were not retired; the next change will try again");
            }
        });
    }

    async fn retire(&self, old: &Function, new: &Function) -> Result<()> {
        let now = self.inner.ports.clock.now();
        let versions = self.inner.store.functions.versions(new).await?;
        let stays = |kept: &&KeptVersion| {
            self.is_runnable(new, kept.version.note.number)
                || kept.replaced.is_some_and(|replaced| now.since(replaced) < STAYS_FOR)
        };
        let canaries = [&old.history.canary, &new.history.canary].into_iter().flatten();
        let deployments = versions.iter().filter(stays).map(|kept| &kept.version.deployment);
        let kept: Vec<_> = std::iter::once(&new.deployment)
            .chain(canaries.map(|canary| &canary.deployment))
            .chain(deployments)
            .cloned()
            .collect();
        self.inner.ports.lambda.retire(&new.name, &kept).await.map_err(Error::internal)?;
        let forgotten: Vec<_> = versions.iter().skip(MOST_VERSIONS).map(|kept| kept.version.note.number).collect();
        Ok(self.inner.store.functions.forget_versions(new, &forgotten).await?)
    }

    pub(super) fn forget_versions_in_background(&self, function: Function) {
        let this = self.clone();
        self.inner.background.spawn(async move {
            let functions = &this.inner.store.functions;
            let forgotten = async {
                let versions = functions.versions(&function).await?;
                let numbers: Vec<_> = versions.iter().map(|kept| kept.version.note.number).collect();
                functions.forget_versions(&function, &numbers).await
            };
            if let Err(error) = forgotten.await {
                warn!(function = %function.name, %error, "some versions of a deleted function are still stored");
            }
        });
    }

    /// Counts a run of a canary after its answer.
    pub(super) fn judge_in_background(&self, function: &Arc<Function>, end: EndOfRun) {
        if function.history.canary.is_some() {
            let (this, function) = (self.clone(), Arc::clone(function));
            self.inner.background.spawn(async move {
                let inner = &this.inner;
                judge(&inner.store, &inner.ports, &inner.functions, &function, end).await;
            });
        }
    }
}

/// The version that the Function is.
fn current_of(function: &Function) -> KeptVersion {
    KeptVersion { version: FunctionVersion::of(function, function.history.current.clone()), replaced: None }
}
