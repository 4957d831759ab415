//! A Lambda that does as it is told.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::Value;
use tasklane_model::{CodeSha256, Deployment, FunctionName, ImageReference, ObjectId, Timestamp};
use tasklane_ports::{
    Clock, Code, DeployError, FunctionError, FunctionSpec, HeldCode, Invocation, InvokeError, InvokeRequest, Lambda,
    Outcome, PortError, PortFuture,
};
use tasklane_runtime::lock::Lock;

/// One invocation.
#[derive(Clone, Debug)]
pub struct TestCall {
    /// The Task or API Request.
    pub correlation: ObjectId,
    /// The version of the Function that ran.
    pub version: String,
    /// The event.
    pub event: Value,
    /// When.
    pub at: Timestamp,
}

/// A hook that runs before Functions are deployed or removed.
type OnChange = Arc<dyn Fn(&str) -> BoxFuture<'static, ()> + Send + Sync>;

type Behaviour = Arc<dyn Fn(TestCall) -> BoxFuture<'static, Result<Invocation, InvokeError>> + Send + Sync>;

/// Runs a closure for each Function, and records its invocations.
pub struct TestLambda {
    clock: Arc<dyn Clock>,
    behaviours: Lock<HashMap<FunctionName, Behaviour>>,
    calls: Lock<Vec<TestCall>>,
    on_change: Lock<Option<OnChange>>,
    changes: Lock<Vec<&'static str>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
    deployments: AtomicUsize,
    code: Lock<HashMap<CodeSha256, Bytes>>,
    images: Lock<HashMap<ImageReference, CodeSha256>>,
    gone: Lock<BTreeSet<String>>,
    pointed_at: Lock<Option<String>>,
    kept: Lock<BTreeSet<String>>,
}

impl TestLambda {
    /// A Lambda whose Functions return `null`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            behaviours: Lock::default(),
            calls: Lock::default(),
            on_change: Lock::default(),
            changes: Lock::default(),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            deployments: AtomicUsize::new(0),
            code: Lock::default(),
            images: Lock::default(),
            gone: Lock::default(),
            pointed_at: Lock::default(),
            kept: Lock::default(),
        }
    }

    /// Sets what the Function does from now on.
    pub fn behave<F>(&self, function: &str, behaviour: impl Fn(TestCall) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<Invocation, InvokeError>> + Send + 'static,
    {
        let name = FunctionName::parse(function).expect("a test's function name");
        let behaviour: Behaviour = Arc::new(move |call| Box::pin(behaviour(call)));
        self.behaviours.lock().insert(name, behaviour);
    }

    /// Awaited whenever a Function is deployed (`deploy`) or removed (`remove`), before that is done.
    pub fn on_change<F>(&self, act: impl Fn(&str) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let act: OnChange = Arc::new(move |change| Box::pin(act(change)));
        *self.on_change.lock() = Some(act);
    }

    /// The deployments (`deploy`) and removals (`remove`) so far, in order.
    pub fn changes(&self) -> Vec<&'static str> {
        self.changes.lock().clone()
    }

    async fn change(&self, change: &'static str) {
        let act = self.on_change.lock().clone();
        if let Some(act) = act {
            act(change).await;
        }
        self.changes.lock().push(change);
    }

    /// Takes this long and returns `null`.
    pub fn take(&self, function: &str, duration: Duration) {
        self.behave(function, move |_| async move {
            tokio::time::sleep(duration).await;
            Ok(Self::returned("null"))
        });
    }

    /// Throws an error of this name, always.
    pub fn throw(&self, function: &str, name: &'static str) {
        self.behave(function, move |_| async move { Ok(Self::threw(name)) });
    }

    /// A run that returned this JSON.
    pub fn returned(json: &str) -> Invocation {
        Invocation { request_id: "request".to_owned(), outcome: Outcome::Returned(Bytes::from(json.to_owned())) }
    }

    /// A run that threw.
    pub fn threw(name: &str) -> Invocation {
        let error = FunctionError { name: name.to_owned(), message: "as told".to_owned(), trace: Vec::new() };
        Invocation { request_id: "request".to_owned(), outcome: Outcome::Failed(error) }
    }

    /// The invocations so far, in order.
    pub fn calls(&self) -> Vec<TestCall> {
        self.calls.lock().clone()
    }

    /// The most that ran at once.
    pub fn most_running(&self) -> usize {
        self.most_running.load(Ordering::SeqCst)
    }

    /// Lets this name of a container image lead to an image with this content.
    pub fn tag(&self, image: &str, content: &[u8]) {
        let image = ImageReference::parse(image).expect("a test's image");
        self.images.lock().insert(image, CodeSha256::of(content));
    }

    /// Lets a deployment go, as somebody with access to Lambda can.
    pub fn lose(&self, version: &str) {
        self.gone.lock().insert(version.to_owned());
    }

    /// The deployment that people and their tools see.
    pub fn pointed_at(&self) -> Option<String> {
        self.pointed_at.lock().clone()
    }

    /// The deployments that were kept when others were retired last.
    pub fn kept(&self) -> BTreeSet<String> {
        self.kept.lock().clone()
    }

    /// The number of deployments.
    pub fn deployments(&self) -> usize {
        self.deployments.load(Ordering::SeqCst)
    }
}

impl Lambda for TestLambda {
    fn deploy<'a>(
        &'a self,
        spec: &'a FunctionSpec,
        code: Option<Code>,
        current: Option<&'a Deployment>,
    ) -> PortFuture<'a, Result<Deployment, DeployError>> {
        let number = self.deployments.fetch_add(1, Ordering::SeqCst) + 1;
        Box::pin(async move {
            self.change("deploy").await;
            let code_sha256 = match (&code, current) {
                (Some(Code::Zip(code)), _) if code.is_empty() => {
                    return Err(DeployError::InvalidCode("an empty zip".to_owned()));
                }
                (Some(Code::Zip(code)), _) => {
                    let hash = CodeSha256::of(code);
                    self.code.lock().insert(hash, code.clone());
                    hash
                }
                (Some(Code::Uploaded(upload)), _) => upload.sha256,
                (Some(Code::Image), _) => match spec.configuration.image() {
                    Some(image) => self
                        .images
                        .lock()
                        .get(image)
                        .copied()
                        .ok_or_else(|| DeployError::InvalidConfiguration(format!("there is no image {image}")))?,
                    None => return Err(DeployError::InvalidCode("no image".to_owned())),
                },
                (None, Some(current)) => current.code_sha256,
                (None, None) => return Err(DeployError::InvalidCode("no code".to_owned())),
            };
            Ok(Deployment { version: number.to_string(), code_sha256 })
        })
    }

    fn holds<'a>(&'a self, _: &'a FunctionName, deployment: &'a Deployment) -> PortFuture<'a, Result<bool, PortError>> {
        Box::pin(async { Ok(!self.gone.lock().contains(&deployment.version)) })
    }

    fn point_at<'a>(
        &'a self,
        _: &'a FunctionName,
        deployment: &'a Deployment,
    ) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async {
            *self.pointed_at.lock() = Some(deployment.version.clone());
            Ok(())
        })
    }

    fn code_of<'a>(
        &'a self,
        _: &'a FunctionName,
        deployment: &'a Deployment,
    ) -> PortFuture<'a, Result<Option<HeldCode>, PortError>> {
        Box::pin(async { Ok(self.code.lock().get(&deployment.code_sha256).cloned().map(HeldCode::Bytes)) })
    }

    fn retire<'a>(&'a self, _: &'a FunctionName, kept: &'a [Deployment]) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async {
            *self.kept.lock() = kept.iter().map(|kept| kept.version.clone()).collect();
            Ok(())
        })
    }

    fn remove<'a>(&'a self, _: &'a FunctionName) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async {
            self.change("remove").await;
            Ok(())
        })
    }

    fn invoke<'a>(&'a self, request: InvokeRequest<'a>) -> PortFuture<'a, Result<Invocation, InvokeError>> {
        Box::pin(async move {
            let call = TestCall {
                correlation: request.correlation,
                version: request.deployment.version.clone(),
                event: serde_json::from_slice(&request.payload).expect("an event is JSON"),
                at: self.clock.now(),
            };
            self.calls.lock().push(call.clone());
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_running.fetch_max(running, Ordering::SeqCst);
            let behaviour = self.behaviours.lock().get(request.function).cloned();
            let invocation = match behaviour {
                Some(behaviour) => behaviour(call).await,
                None => Ok(Self::returned("null")),
            };
            self.running.fetch_sub(1, Ordering::SeqCst);
            invocation
        })
    }
}
