//! One stack in CloudFormation.

use std::{collections::BTreeMap, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_cloudformation::{
    Client,
    error::ProvideErrorMetadata as _,
    types::{Capability, ChangeSetStatus, ChangeSetType, Parameter, Stack, Tag},
};

use super::{
    artifacts::Artifacts,
    changes::{Change, Plan},
    error::DeployError,
    events::{Event, Seen},
    handlers::Handlers,
    stack_file::StackFile,
};

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_secs(2);

/// How long a change set may take: CloudFormation only compares.
const MOST_LOOKS_AT_A_CHANGE_SET: usize = 150;

/// The status of a stack that has a change set and nothing else.
const IN_REVIEW: &str = "REVIEW_IN_PROGRESS";

/// Changes one stack.
#[derive(Clone)]
pub struct Deployer {
    pub(crate) cloudformation: Client,
    pub(crate) s3: aws_sdk_s3::Client,
    /// Its name in CloudFormation.
    pub(crate) name: String,
    account: String,
    pub(crate) region: String,
    pause: Duration,
}

impl Deployer {
    /// For the stack with this name.
    ///
    /// # Errors
    /// When AWS does not say whose credentials these are.
    pub async fn new(sdk: &SdkConfig, name: &str) -> Result<Self, DeployError> {
        let identity = aws_sdk_sts::Client::new(sdk).get_caller_identity().send().await;
        let identity = identity.map_err(|error| DeployError::of("ask whose AWS credentials these are", &error))?;
        // In the path, as an emulator needs it, and S3 accepts it.
        let emulated = sdk.endpoint_url().is_some();
        let s3 = aws_sdk_s3::config::Builder::from(sdk).force_path_style(emulated).build();
        Ok(Self {
            cloudformation: Client::new(sdk),
            s3: aws_sdk_s3::Client::from_conf(s3),
            name: name.to_owned(),
            account: identity.account.unwrap_or_default(),
            region: sdk.region().map(ToString::to_string).unwrap_or_default(),
            pause: if emulated { PAUSE / 20 } else { PAUSE },
        })
    }

    /// The account that the credentials belong to.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Sends the artifacts, and asks CloudFormation what would change. A stack whose first deployment failed, and which is
    /// empty therefore, is deleted first.
    ///
    /// # Errors
    /// When another change is in progress, or CloudFormation does not accept the parameters.
    pub async fn plan(&self, file: &StackFile, handlers: &Handlers) -> Result<Plan, DeployError> {
        let current = self.stack().await?.map(|stack| status_of(&stack));
        let is_new = match current.as_deref() {
            None | Some(IN_REVIEW) => true,
            Some("ROLLBACK_COMPLETE" | "DELETE_COMPLETE") => {
                self.delete(|_| ()).await?;
                true
            }
            Some(status) if status.ends_with("_IN_PROGRESS") => {
                return Err(DeployError::Busy { stack: self.name.clone(), status: status.to_owned() });
            }
            Some(_) => false,
        };
        let artifacts = Artifacts { client: &self.s3, account: &self.account, region: &self.region };
        let template = artifacts.upload(handlers).await?;
        let change_set = format!("tasklane-{}", super::template_hash());
        self.forget_change_set(&change_set).await;
        let parameters = file
            .parameters
            .iter()
            .map(|(name, value)| Parameter::builder().parameter_key(name).parameter_value(value).build());
        let create = self.cloudformation.create_change_set().stack_name(&self.name).change_set_name(&change_set);
        let create = create
            .change_set_type(if is_new { ChangeSetType::Create } else { ChangeSetType::Update })
            .template_url(template.url)
            .set_parameters(Some(parameters.collect()))
            .capabilities(Capability::CapabilityIam)
            .capabilities(Capability::CapabilityAutoExpand)
            .tags(Tag::builder().key("tasklane:version").value(env!("CARGO_PKG_VERSION")).build());
        create.send().await.map_err(|error| match error.code() {
            Some("ValidationError") => DeployError::Refused(error.message().unwrap_or("it gives no reason").to_owned()),
            _ => DeployError::of("ask CloudFormation what would change", &error),
        })?;
        let changes = self.changes_of(&change_set).await?;
        Ok(Plan { is_new, changes, change_set })
    }

    /// Waits until CloudFormation has compared, and returns the differences.
    async fn changes_of(&self, change_set: &str) -> Result<Vec<Change>, DeployError> {
        for _ in 0..MOST_LOOKS_AT_A_CHANGE_SET {
            let describe =
                || self.cloudformation.describe_change_set().stack_name(&self.name).change_set_name(change_set);
            let action = "read what CloudFormation would change";
            let answer = describe().send().await.map_err(|error| DeployError::of(action, &error))?;
            match answer.status() {
                Some(ChangeSetStatus::CreateComplete) => {
                    let mut changes: Vec<_> =
                        answer.changes().iter().filter_map(|c| c.resource_change()).map(Change::of).collect();
                    let mut next = answer.next_token().map(str::to_owned);
                    while let Some(token) = next {
                        let page = describe().next_token(token).send().await;
                        let page = page.map_err(|error| DeployError::of(action, &error))?;
                        changes.extend(page.changes().iter().filter_map(|c| c.resource_change()).map(Change::of));
                        next = page.next_token().map(str::to_owned);
                    }
                    return Ok(changes);
                }
                Some(ChangeSetStatus::Failed) => {
                    let reason = answer.status_reason().unwrap_or("it gives no reason").to_owned();
                    self.forget_change_set(change_set).await;
                    let nothing = ["didn't contain changes", "No updates are to be performed"];
                    if nothing.iter().any(|words| reason.contains(words)) {
                        return Ok(Vec::new());
                    }
                    return Err(DeployError::Refused(reason));
                }
                _ => tokio::time::sleep(self.pause).await,
            }
        }
        let status = "still comparing after five minutes".to_owned();
        Err(DeployError::Busy { stack: self.name.clone(), status })
    }

    /// Drops a plan that is not wanted, and the stack, if it has nothing but this plan.
    ///
    /// # Errors
    /// When AWS refuses.
    pub async fn drop_plan(&self, plan: &Plan) -> Result<(), DeployError> {
        self.forget_change_set(&plan.change_set).await;
        if plan.is_new {
            let delete = self.cloudformation.delete_stack().stack_name(&self.name).send().await;
            delete.map_err(|error| DeployError::of("remove the empty stack", &error))?;
        }
        Ok(())
    }

    async fn forget_change_set(&self, name: &str) {
        // One that does not exist, or cannot be deleted, is met again where it matters.
        let _ = self.cloudformation.delete_change_set().stack_name(&self.name).change_set_name(name).send().await;
    }

    /// Carries a plan out, and tells each event.
    ///
    /// # Errors
    /// When a resource failed; CloudFormation undoes the whole change then.
    pub async fn execute(&self, plan: &Plan, tell: impl Fn(&Event)) -> Result<(), DeployError> {
        let mut seen = Seen::default();
        seen.new_ones(&self.events().await?);
        let execute = self.cloudformation.execute_change_set().stack_name(&self.name).change_set_name(&plan.change_set);
        execute.send().await.map_err(|error| DeployError::of("start the change", &error))?;
        let wanted = if plan.is_new { "CREATE_COMPLETE" } else { "UPDATE_COMPLETE" };
        self.follow(seen, wanted, tell).await
    }

    /// Follows the events until the stack is at rest.
    pub(crate) async fn follow(&self, mut seen: Seen, wanted: &str, tell: impl Fn(&Event)) -> Result<(), DeployError> {
        let mut failures = Vec::new();
        loop {
            let stack = self.stack().await?;
            for event in seen.new_ones(&self.events().await?) {
                tell(&event);
                if event.is_failure() && !event.is_consequence() {
                    failures.push(event);
                }
            }
            let status = stack.map_or_else(|| "DELETE_COMPLETE".to_owned(), |stack| status_of(&stack));
            if status == wanted {
                return Ok(());
            }
            // The change set is not yet being executed.
            if status != IN_REVIEW && !status.ends_with("_IN_PROGRESS") {
                let why = failures.iter().map(|event| {
                    format!(
                        "{} ({}): {}",
                        event.resource,
                        event.kind,
                        event.reason.as_deref().unwrap_or("no reason given")
                    )
                });
                return Err(DeployError::Failed { stack: self.name.clone(), status, why: why.collect() });
            }
            tokio::time::sleep(self.pause).await;
        }
    }

    /// The outputs of the stack, by name.
    ///
    /// # Errors
    /// When there is no such stack.
    pub async fn outputs(&self) -> Result<BTreeMap<String, String>, DeployError> {
        let stack = self.stack().await?.ok_or_else(|| self.no_stack())?;
        let output = |output: &aws_sdk_cloudformation::types::Output| {
            Some((output.output_key()?.to_owned(), output.output_value()?.to_owned()))
        };
        Ok(stack.outputs().iter().filter_map(output).collect())
    }

    pub(crate) async fn stack(&self) -> Result<Option<Stack>, DeployError> {
        match self.cloudformation.describe_stacks().stack_name(&self.name).send().await {
            Ok(answer) => Ok(answer.stacks.unwrap_or_default().into_iter().next()),
            Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => Ok(None),
            Err(error) => Err(DeployError::of("look at the stack", &error)),
        }
    }

    pub(crate) async fn events(&self) -> Result<Vec<aws_sdk_cloudformation::types::StackEvent>, DeployError> {
        match self.cloudformation.describe_stack_events().stack_name(&self.name).send().await {
            Ok(answer) => Ok(answer.stack_events.unwrap_or_default()),
            Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => Ok(Vec::new()),
            Err(error) => Err(DeployError::of("read the events of the stack", &error)),
        }
    }

    /// The same stack, by another name of it.
    pub(crate) fn named(&self, name: String) -> Self {
        Self { name, ..self.clone() }
    }

    pub(crate) fn no_stack(&self) -> DeployError {
        DeployError::NoStack { stack: self.name.clone(), region: self.region.clone() }
    }
}

pub(crate) fn status_of(stack: &Stack) -> String {
    stack.stack_status().map(|status| status.as_str().to_owned()).unwrap_or_default()
}
