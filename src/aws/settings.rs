//! The settings of a deployed stack, which its handlers read from their environment.

use std::{str::FromStr, time::Duration};

use tasklane_auth::oidc::{InvalidOidcConfig, OidcConfig};
use tasklane_http::{CorsOrigins, InvalidPublicUrl, PublicUrl};
use tasklane_service::Settings;

/// The settings of one stack. `template.yaml` writes them into the environment of each handler.
#[derive(Clone, Debug, PartialEq)]
pub struct StackSettings {
    /// The prefix of the names of its tables and Functions.
    pub prefix: String,
    /// How many queued Tasks may run at once.
    pub task_concurrency: u16,
    /// How many direct executions may be in progress at once.
    pub direct_concurrency: u16,
    /// How many queued Tasks one dispatcher may run at once.
    pub runs_per_dispatcher: usize,
    /// The number of partitions for each day of Tasks.
    pub shards: u8,
    /// How long finished Tasks and API Requests are kept. Forever when absent.
    pub retention: Option<Duration>,
    /// How long a request may wait for a Task to end.
    pub longest_wait: Duration,
    /// How many of the last versions of a Function stay runnable.
    pub runnable_versions: u16,
    /// The queue that invokes dispatchers.
    pub wakeup_queue_url: String,
    /// The bus for `task_failed` events.
    pub event_bus: String,
    /// The KMS key that seals OAuth secrets.
    pub secrets_key: String,
    /// The ARN of the role that Functions run with.
    pub execution_role: String,
    /// The architecture that Functions run on, by its name in Lambda.
    pub function_architecture: String,
    /// How long Functions' log lines are kept, in days. Forever when absent.
    pub log_retention_days: Option<i32>,
    /// Whether Functions may be connected to networks.
    pub allow_vpc: bool,
    /// The bucket for large zips.
    pub code_bucket: Option<String>,
    /// The URL of the service in API Gateway.
    pub gateway_url: Option<String>,
    /// The URL that clients use, if it differs from that.
    pub public_url: Option<PublicUrl>,
    /// The web pages that may read responses.
    pub cors_origins: CorsOrigins,
    /// The issuer whose JWTs are accepted. No JWT is accepted when absent.
    pub oidc: Option<OidcConfig>,
}

/// A setting that is missing or invalid.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the environment variable {name} {why}; template.yaml sets it")]
pub struct InvalidSetting {
    name: String,
    why: String,
}

impl StackSettings {
    /// Reads them from this process's environment.
    #[allow(clippy::disallowed_methods)]
    pub fn from_environment() -> Result<Self, InvalidSetting> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// The URL that clients use.
    pub fn url(&self) -> Option<String> {
        let public = self.public_url.as_ref().map(|url| format!("{}://{}", url.scheme(), url.authority()));
        public.or_else(|| self.gateway_url.clone())
    }

    /// Reads them from any environment, such as that of a handler in Lambda.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSetting> {
        let optional = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| optional(name).ok_or_else(|| invalid(name, "is not set"));
        let days: u16 = number(&optional, "TASKLANE_RETENTION_DAYS", 0)?;
        let log_days: i32 = number(&optional, "TASKLANE_LOG_RETENTION_DAYS", 0)?;
        let task_concurrency = number(&optional, "TASKLANE_TASK_CONCURRENCY", 5)?;
        let direct_concurrency = number(&optional, "TASKLANE_DIRECT_CONCURRENCY", 0)?;
        Ok(Self {
            prefix: text("TASKLANE_PREFIX")?,
            task_concurrency,
            direct_concurrency: if direct_concurrency == 0 { task_concurrency } else { direct_concurrency },
            // Lambda sets this one.
            runs_per_dispatcher: runs_within(number(&optional, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 128)?),
            shards: number(&optional, "TASKLANE_SHARDS", 1)?,
            retention: (days > 0).then(|| Duration::from_secs(u64::from(days) * 24 * 60 * 60)),
            longest_wait: Duration::from_secs(number(&optional, "TASKLANE_MAX_WAIT_SECONDS", 5)?),
            runnable_versions: number(&optional, "TASKLANE_RUNNABLE_VERSIONS", Settings::RUNNABLE_VERSIONS)?,
            wakeup_queue_url: text("TASKLANE_WAKEUP_QUEUE_URL")?,
            event_bus: text("TASKLANE_EVENT_BUS")?,
            secrets_key: text("TASKLANE_SECRETS_KEY")?,
            execution_role: text("TASKLANE_EXECUTION_ROLE")?,
            function_architecture: optional("TASKLANE_FUNCTION_ARCHITECTURE").unwrap_or_else(|| "x86_64".to_owned()),
            log_retention_days: (log_days > 0).then_some(log_days),
            allow_vpc: optional("TASKLANE_ALLOW_VPC").as_deref() == Some("true"),
            code_bucket: optional("TASKLANE_CODE_BUCKET"),
            gateway_url: optional("TASKLANE_GATEWAY_URL"),
            public_url: optional("TASKLANE_PUBLIC_URL")
                .map(|url| url.parse())
                .transpose()
                .map_err(|error: InvalidPublicUrl| invalid("TASKLANE_PUBLIC_URL", error.to_string()))?,
            cors_origins: optional("TASKLANE_CORS_ORIGINS").unwrap_or_default().split(',').collect(),
            oidc: oidc(&optional)?,
        })
    }
}

/// How many runs a process with this much memory, in MB, may hold. It needs some for itself, and for each run a
/// response of up to 6 MB plus overhead: running out of memory would end all of its runs. The limit of 64 is for
/// connections and file descriptors, of which each run needs one.
fn runs_within(megabytes: usize) -> usize {
    const OWN: usize = 64;
    const EACH: usize = 7;
    (megabytes.saturating_sub(OWN) / EACH).clamp(1, 64)
}

fn oidc(optional: &impl Fn(&str) -> Option<String>) -> Result<Option<OidcConfig>, InvalidSetting> {
    const ISSUER: &str = "TASKLANE_OIDC_ISSUER";
    const AUDIENCE: &str = "TASKLANE_OIDC_AUDIENCE";
    let Some(issuer) = optional(ISSUER) else { return Ok(None) };
    let issuer = issuer.parse().map_err(|error: InvalidOidcConfig| invalid(ISSUER, error.to_string()))?;
    let audiences = optional(AUDIENCE).unwrap_or_default();
    let mut config = OidcConfig::new(issuer, audiences.split(',').map(str::trim))
        .map_err(|error| invalid(AUDIENCE, error.to_string()))?;
    if let Some(claim) = optional("TASKLANE_OIDC_PERMISSIONS_CLAIM") {
        config = config.with_permissions_claim(claim);
    }
    Ok(Some(config.with_permissions_prefix(optional("TASKLANE_OIDC_PERMISSIONS_PREFIX").unwrap_or_default())))
}

fn number<T: FromStr<Err: std::fmt::Display>>(
    optional: &impl Fn(&str) -> Option<String>,
    name: &str,
    default: T,
) -> Result<T, InvalidSetting> {
    let Some(value) = optional(name) else { return Ok(default) };
    value.parse().map_err(|error| invalid(name, format!("is '{value}': {error}")))
}

fn invalid(name: &str, why: impl Into<String>) -> InvalidSetting {
    InvalidSetting { name: name.to_owned(), why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: [(&str, &str); 5] = [
        ("TASKLANE_PREFIX", "dev"),
        ("TASKLANE_WAKEUP_QUEUE_URL", "https://sqs/q"),
        ("TASKLANE_EVENT_BUS", "dev"),
        ("TASKLANE_SECRETS_KEY", "key"),
        ("TASKLANE_EXECUTION_ROLE", "role"),
    ];

    fn read(more: &[(&str, &str)]) -> Result<StackSettings, InvalidSetting> {
        let variables: Vec<_> = more.iter().chain(&LEAST).collect();
        StackSettings::read(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn empty_and_zero_mean_absent() {
        let settings = read(&[("TASKLANE_RETENTION_DAYS", "0"), ("TASKLANE_PUBLIC_URL", "")]).unwrap();
        assert_eq!((settings.retention, settings.public_url, settings.task_concurrency), (None, None, 5));
        let settings = read(&[("TASKLANE_RETENTION_DAYS", "2"), ("TASKLANE_LOG_RETENTION_DAYS", "30")]).unwrap();
        assert_eq!(settings.retention, Some(Duration::from_secs(2 * 86_400)));
        assert_eq!(settings.log_retention_days, Some(30));
    }

    #[test]
    fn direct_executions_have_as_many_slots_as_tasks_by_default() {
        let read = |more: &[(&str, &str)]| read(more).unwrap().direct_concurrency;
        assert_eq!(read(&[]), 5);
        assert_eq!(read(&[("TASKLANE_TASK_CONCURRENCY", "9"), ("TASKLANE_DIRECT_CONCURRENCY", "0")]), 9);
        assert_eq!(read(&[("TASKLANE_TASK_CONCURRENCY", "9"), ("TASKLANE_DIRECT_CONCURRENCY", "2")]), 2);
    }

    #[test]
    fn the_runs_of_a_dispatcher_follow_from_its_memory() {
        let holds = |memory| read(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory)]).unwrap().runs_per_dispatcher;
        assert_eq!([holds("128"), holds("256"), holds("512"), holds("3008")], [9, 27, 64, 64]);
    }

    #[test]
    fn origins_are_separated_by_commas() {
        let read = |text: &str| read(&[("TASKLANE_CORS_ORIGINS", text)]).unwrap().cors_origins;
        assert_eq!((read(""), read("*")), (CorsOrigins::None, CorsOrigins::Any));
        let listed = vec!["https://a.example".to_owned(), "https://b.example".to_owned()];
        assert_eq!(read("https://a.example, https://b.example"), CorsOrigins::Listed(listed));
    }

    #[test]
    fn an_issuer_needs_an_audience() {
        let issuer = ("TASKLANE_OIDC_ISSUER", "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab1");
        assert_eq!(read(&[]).unwrap().oidc, None);
        assert_eq!(read(&[("TASKLANE_OIDC_ISSUER", ""), ("TASKLANE_OIDC_AUDIENCE", "a")]).unwrap().oidc, None);
        let settings =
            read(&[issuer, ("TASKLANE_OIDC_AUDIENCE", "a, b"), ("TASKLANE_OIDC_PERMISSIONS_CLAIM", "scope")]);
        let oidc = settings.unwrap().oidc.unwrap();
        assert_eq!(
            (oidc.issuer().as_str(), oidc.permissions_claim(), oidc.permissions_prefix()),
            (issuer.1, "scope", "")
        );
        assert_eq!(oidc.audiences(), ["a", "b"]);
        let error = read(&[issuer]).unwrap_err().to_string();
        assert!(error.contains("TASKLANE_OIDC_AUDIENCE"), "{error}");
        let error = read(&[("TASKLANE_OIDC_ISSUER", "http://issuer.example")]).unwrap_err().to_string();
        assert!(error.contains("TASKLANE_OIDC_ISSUER"), "{error}");
    }

    #[test]
    fn a_missing_or_invalid_setting_is_named() {
        let error = StackSettings::read(|_| None).unwrap_err();
        assert!(error.to_string().contains("TASKLANE_PREFIX is not set"), "{error}");
        let error = read(&[("TASKLANE_SHARDS", "many")]).unwrap_err();
        assert!(error.to_string().contains("TASKLANE_SHARDS is 'many'"), "{error}");
    }
}
