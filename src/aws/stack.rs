//! A deployed stack: connects the tables, the ports on AWS, and the parts that use them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_lambda::types::Architecture;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use tasklane_adapters::HttpDocuments;
use tasklane_auth::{AuthSettings, Authenticator, GuessSettings, oidc::Issuer};
use tasklane_dispatch::{Dispatcher, FunctionDirectory, Idle, SlotLimits, SlotPolicy, Slots, Ticker};
use tasklane_http::{HttpConfig, Router};
use tasklane_ports::{Clock, Ids, Ports, SystemChance, SystemClock, Wakeup};
use tasklane_service::{Core, Limits, Service, Settings, UnknownRuntimes};
use tasklane_store::{RunnerId, RunsIn, ScheduleParts, Store, StoreConfig};
use tokio_util::task::TaskTracker;

use super::{
    AwsLambda, CloudWatchLogs, EventBridgeEvents, KmsSecretBox, LambdaSettings, S3Objects, S3Uploads, SqsWakeups,
    StackSettings, config, database, http_client,
};

/// Everything of a stack that a process on AWS uses.
pub struct Stack {
    /// The settings from the template.
    pub settings: StackSettings,
    /// The tables.
    pub store: Store,
    /// The ports.
    pub ports: Ports,
    /// Seals the secrets of credentials.
    pub secrets: KmsSecretBox,
    core: Core,
    downloads: SharedHttpConnector,
    in_flight: TaskTracker,
}

/// How long a caller waits for a Function before the response says that it is still running. API Gateway gives up after
/// 30 s, part of which goes to starting the handler and authenticating the caller.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>
const ANSWER_WITHIN: Duration = Duration::from_secs(27);

/// How long any request may take from its arrival. After that the caller gets the contract's error, before the
/// gateway's own.
const ANSWER_ANYTHING_WITHIN: Duration = Duration::from_secs(29);

/// How long a process caches a credential. With the cache, most requests cost no read.
const KEEP_CREDENTIALS: Duration = Duration::from_secs(3);

/// The longest delay of the response to a wrong credential. A waiting process serves no other callers and costs money, so
/// with a longer delay, an attacker could use up the account's concurrency with few requests.
const GUESSES_WAIT_AT_MOST: Duration = Duration::from_millis(300);

impl Stack {
    /// With clients of this configuration. Makes no call.
    pub fn new(sdk: &SdkConfig, settings: StackSettings) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids = Arc::new(Ids::new(Arc::new(SystemChance)));
        let lambda = LambdaSettings {
            prefix: settings.prefix.clone(),
            execution_role: settings.execution_role.clone(),
            architecture: Architecture::from(settings.function_architecture.as_str()),
            log_retention_days: settings.log_retention_days,
            allow_vpc: settings.allow_vpc,
            code_bucket: settings.code_bucket.clone(),
        };
        let downloads = http_client::downloads();
        let of_lambda = sdk.to_builder().http_client(http_client::for_invocations(Arc::clone(&clock))).build();
        let ports = Ports {
            lambda: Arc::new(AwsLambda::new(&of_lambda, downloads.clone(), lambda, Arc::clone(&clock))),
            wakeups: Arc::new(SqsWakeups::new(sdk, &settings.wakeup_queue_url)),
            events: Arc::new(EventBridgeEvents::new(sdk, &settings.event_bus)),
            logs: Arc::new(CloudWatchLogs::new(sdk, &settings.prefix, Arc::clone(&clock))),
            objects: Arc::new(S3Objects::new(sdk, settings.code_bucket.clone())),
            uploads: Arc::new(S3Uploads::new(sdk, &settings.prefix, settings.code_bucket.clone())),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
            chance: Arc::new(SystemChance),
        };
        let tables = StoreConfig {
            shards: settings.shards,
            retention: settings.retention,
            schedules: ScheduleParts::ON_AWS,
            runs_in: RunsIn::Register,
            ..StoreConfig::new(&settings.prefix)
        };
        let store = Store::new(config::client(sdk, database::client), tables, Arc::clone(&clock), &SystemChance);
        let secrets = KmsSecretBox::new(sdk, &settings.secrets_key);
        let limits = Limits {
            // No two processes share a name: a frozen one that wakes up must find only its own runs and slots.
            holder: RunnerId::new(format!("aws-{}", hex::encode(ids.secret::<8>()))),
            policy: SlotPolicy::Shared,
            slots: SlotLimits { tasks: settings.task_concurrency, direct: settings.direct_concurrency },
            runs_per_dispatcher: Some(settings.runs_per_dispatcher),
        };
        let of_service = service_settings(&settings);
        let core = Core::assemble(store.clone(), ports.clone(), Arc::new(secrets.clone()), of_service, limits);
        Self { settings, store, ports, secrets, core, downloads, in_flight: TaskTracker::new() }
    }

    pub fn service(&self) -> Service {
        self.core.service.clone()
    }

    pub fn slots(&self) -> &Slots {
        &self.core.slots
    }

    /// The HTTP API.
    pub fn router(&self, service: Service) -> Router {
        let authenticator = Authenticator::new(
            Arc::new(self.store.credentials.clone()),
            Arc::new(self.secrets.clone()),
            Arc::new(self.store.nonces.clone()),
            Arc::clone(&self.ports.clock),
            AuthSettings { keep_credentials: KEEP_CREDENTIALS, guesses: GuessSettings { most: GUESSES_WAIT_AT_MOST } },
        );
        let issuer = self.settings.oidc.clone().map(|config| {
            let documents = HttpDocuments::new(self.downloads.clone());
            Arc::new(Issuer::new(config, Arc::new(documents), Arc::clone(&self.ports.clock)))
        });
        let config = HttpConfig {
            public_url: self.settings.public_url.clone(),
            cors: self.settings.cors_origins.clone(),
            answer_patience: ANSWER_ANYTHING_WITHIN,
            ..HttpConfig::default()
        };
        tasklane_http::router(service, Arc::new(authenticator.trusting(issuer)), config, self.in_flight.clone())
    }

    /// Waits for work that continues after its caller was answered.
    pub async fn drain(&self, service: &Service) {
        self.in_flight.close();
        self.in_flight.wait().await;
        self.in_flight.reopen();
        service.drain().await;
        if self.core.slots.give_back(Idle::Scarce).await {
            service.wake(Wakeup::NOW).await;
        }
    }

    pub fn dispatcher(&self) -> Dispatcher {
        self.core.dispatcher.clone()
    }

    pub fn ticker(&self) -> Ticker {
        self.core.ticker.clone()
    }

    /// The cache of Functions.
    pub fn functions(&self) -> &FunctionDirectory {
        &self.core.functions
    }
}

fn service_settings(stack: &StackSettings) -> Settings {
    Settings {
        prefix: stack.prefix.clone(),
        // One environment of a Lambda function handles one request at a time, so this limit is never reached: Lambda
        // limits how many run at once.
        api_concurrency: 20,
        // The gateway throttles anonymous callers before they get here.
        anonymous_concurrency: None,
        record_before_answer: true,
        answer_within: Some(ANSWER_WITHIN),
        longest_wait: stack.longest_wait,
        // If its wake-up was lost, the next tick finds the Task.
        starts_within: Duration::from_secs(65),
        runnable_versions: stack.runnable_versions,
        unknown_runtimes: UnknownRuntimes::LeftToLambda,
        inspected: BTreeSet::new(),
        // No environment sees what the others write.
        feed: None,
        history: None,
        rehearsal: None,
    }
}
