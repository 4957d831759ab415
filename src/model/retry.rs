//! When a failed run is retried, and how often.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MaxRetries, RetrySeconds};

/// What happens after a failed run: `{enabled, errorsToRetry, errorsNotToRetry?, strategy?}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// Whether failed runs are retried.
    pub enabled: bool,
    /// The names of the errors that are retried; an empty list means every error.
    #[serde(default)]
    pub errors_to_retry: Vec<String>,
    /// The names of the errors that are never retried, whatever `errorsToRetry` says.
    #[serde(default, skip_serializing_if = "ErrorNames::is_empty")]
    #[schema(required = false)]
    pub errors_not_to_retry: ErrorNames,
    /// How often and when. By default, three times: after 2, 5 and 10 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<RetryStrategy>,
}

impl RetryPolicy {
    /// Whether the policy retries a run that failed with an error of this name.
    pub fn covers(&self, error_name: &str) -> bool {
        let names = |list: &[String]| list.iter().any(|name| name == error_name);
        self.enabled
            && !names(self.errors_not_to_retry.as_slice())
            && (self.errors_to_retry.is_empty() || names(&self.errors_to_retry))
    }

    /// Whether it has the parts that the upstream service does not know.
    pub fn is_extended(&self) -> bool {
        !self.errors_not_to_retry.is_empty() || self.strategy.is_some()
    }
}

/// A new retry policy. The parts that the upstream service does not know keep their values if they are absent, so that its
/// clients do not remove them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicyChange {
    /// See [`RetryPolicy::enabled`].
    pub enabled: bool,
    /// See [`RetryPolicy::errors_to_retry`].
    pub errors_to_retry: Vec<String>,
    /// See [`RetryPolicy::errors_not_to_retry`]; `Some(None)` removes the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors_not_to_retry: Option<Option<ErrorNames>>,
    /// See [`RetryPolicy::strategy`]; `Some(None)` removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Option<RetryStrategy>>,
}

impl RetryPolicyChange {
    /// A policy that retries every error.
    pub fn every_error() -> Self {
        Self { enabled: true, ..Self::default() }
    }

    /// Changes a policy.
    pub fn apply_to(&self, policy: &mut RetryPolicy) {
        policy.enabled = self.enabled;
        policy.errors_to_retry.clone_from(&self.errors_to_retry);
        if let Some(names) = &self.errors_not_to_retry {
            policy.errors_not_to_retry = names.clone().unwrap_or_default();
        }
        if let Some(strategy) = &self.strategy {
            policy.strategy = *strategy;
        }
    }
}

/// How often a failed run is retried, and after what delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", try_from = "RetryStrategyFields")]
pub struct RetryStrategy {
    /// How many retries there are at most: a chain has one Task more.
    max_retries: MaxRetries,
    /// How the delay grows from one retry to the next.
    backoff: Backoff,
    /// The delay before the first retry.
    base_seconds: RetrySeconds,
    /// The longest delay. At least `baseSeconds`.
    max_seconds: RetrySeconds,
    /// Whether each delay is between half of it and all of it, at random, so that Tasks that failed together are not retried
    /// together.
    jitter: bool,
}

/// How the delay grows from one retry to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Backoff {
    /// It does not.
    Fixed,
    /// It doubles.
    #[default]
    Exponential,
}

impl Backoff {
    /// Every backoff with its name.
    pub const NAMES: [(&'static str, Self); 2] = [("fixed", Self::Fixed), ("exponential", Self::Exponential)];
}

/// How often a failed run is retried, and after what delay. Absent fields get their defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryStrategyFields {
    /// How many retries there are at most: a chain has one Task more. Default: 3.
    pub max_retries: Option<MaxRetries>,
    /// How the delay grows from one retry to the next. Default: `exponential`.
    pub backoff: Option<Backoff>,
    /// The delay before the first retry. Default: 2, or `maxSeconds` if that is less.
    pub base_seconds: Option<RetrySeconds>,
    /// The longest delay. Default: 3600, or `baseSeconds` if that is more.
    pub max_seconds: Option<RetrySeconds>,
    /// Whether each delay is between half of it and all of it, at random. Default: true.
    pub jitter: Option<bool>,
}

/// The longest delay of a [`RetryStrategy`] is shorter than its first one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'maxSeconds' is less than 'baseSeconds'")]
pub struct ContradictoryDelays;

impl TryFrom<RetryStrategyFields> for RetryStrategy {
    type Error = ContradictoryDelays;

    fn try_from(fields: RetryStrategyFields) -> Result<Self, ContradictoryDelays> {
        let RetryStrategyFields { max_retries, backoff, base_seconds, max_seconds, jitter } = fields;
        let base = base_seconds.unwrap_or_else(|| RetrySeconds::BASE.min(max_seconds.unwrap_or(RetrySeconds::MAX)));
        let max = max_seconds.unwrap_or_else(|| RetrySeconds::LONGEST.max(base));
        if max < base {
            return Err(ContradictoryDelays);
        }
        Ok(Self {
            max_retries: max_retries.unwrap_or_default(),
            backoff: backoff.unwrap_or_default(),
            base_seconds: base,
            max_seconds: max,
            jitter: jitter.unwrap_or(true),
        })
    }
}

impl RetryStrategy {
    /// The delay before the next run, given the number of runs before the failed one; `None` if there is no next run.
    /// With [`RetryStrategy::jitter`], this is the longest that it may be.
    pub fn delay(self, earlier_runs: usize) -> Option<Duration> {
        if earlier_runs >= usize::from(self.max_retries.get()) {
            return None;
        }
        let base = u64::from(self.base_seconds.get());
        let seconds = match self.backoff {
            Backoff::Fixed => base,
            Backoff::Exponential => {
                let factor = u32::try_from(earlier_runs).ok().and_then(|runs| 1_u64.checked_shl(runs));
                base.saturating_mul(factor.unwrap_or(u64::MAX))
            }
        };
        Some(Duration::from_secs(seconds.min(u64::from(self.max_seconds.get()))))
    }

    /// Whether each delay is between half of it and all of it, at random.
    pub fn jitter(self) -> bool {
        self.jitter
    }
}

impl fmt::Display for RetryStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { max_retries, backoff, base_seconds, max_seconds, jitter } = self;
        write!(f, "at most {max_retries}, after {base_seconds} s")?;
        match backoff {
            Backoff::Fixed => f.write_str(" each")?,
            Backoff::Exponential => write!(f, ", doubling up to {max_seconds} s")?,
        }
        if *jitter { f.write_str(", with jitter") } else { Ok(()) }
    }
}

/// Names of errors: at most 100, of 1–256 characters each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
#[schema(value_type = Vec<String>, max_items = 100)]
pub struct ErrorNames(Vec<String>);

/// The list is not valid [`ErrorNames`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be at most 100 strings of 1 to 256 characters each")]
pub struct InvalidErrorNames;

impl TryFrom<Vec<String>> for ErrorNames {
    type Error = InvalidErrorNames;
    fn try_from(names: Vec<String>) -> Result<Self, InvalidErrorNames> {
        let fits = names.len() <= 100 && names.iter().all(|name| (1..=256).contains(&name.chars().count()));
        if fits { Ok(Self(names)) } else { Err(InvalidErrorNames) }
    }
}

impl From<ErrorNames> for Vec<String> {
    fn from(names: ErrorNames) -> Self {
        names.0
    }
}

impl ErrorNames {
    /// The names as strings.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn strategy(json: serde_json::Value) -> RetryStrategy {
        serde_json::from_value(json).unwrap()
    }

    fn delays(strategy: RetryStrategy) -> Vec<u64> {
        (0..).map_while(|runs| strategy.delay(runs)).map(|delay| delay.as_secs()).collect()
    }

    #[test]
    fn a_policy_covers_every_error_until_it_names_some() {
        let mut policy = RetryPolicy { enabled: true, ..RetryPolicy::default() };
        assert!(policy.covers("Anything"));
        policy.errors_to_retry = vec!["CONNECTION_ERROR".into()];
        assert!(policy.covers("CONNECTION_ERROR") && !policy.covers("Anything"));
        policy.enabled = false;
        assert!(!policy.covers("CONNECTION_ERROR"));
    }

    #[test]
    fn an_error_that_is_not_to_be_retried_is_not_even_if_it_is_also_to_be_retried() {
        let never = ErrorNames::try_from(vec!["INVALID".to_owned()]).unwrap();
        let mut policy = RetryPolicy { enabled: true, errors_not_to_retry: never, ..RetryPolicy::default() };
        assert!(policy.covers("Anything") && !policy.covers("INVALID"));
        policy.errors_to_retry = vec!["INVALID".into(), "OTHER".into()];
        assert!(policy.covers("OTHER") && !policy.covers("INVALID"));
    }

    #[test]
    fn delays_double_up_to_the_longest_or_stay_the_same() {
        assert_eq!(delays(strategy(json!({}))), [2, 4, 8]);
        assert_eq!(
            delays(strategy(json!({ "maxRetries": 6, "baseSeconds": 3, "maxSeconds": 20 }))),
            [3, 6, 12, 20, 20, 20]
        );
        assert_eq!(delays(strategy(json!({ "backoff": "fixed", "baseSeconds": 7 }))), [7, 7, 7]);
        assert_eq!(delays(strategy(json!({ "maxRetries": 0 }))), [0; 0]);
        let longest = delays(strategy(json!({ "maxRetries": 50, "baseSeconds": 86400 })));
        assert_eq!((longest.len(), longest[49]), (50, 86400));
    }

    #[test]
    fn a_default_never_contradicts_a_value() {
        assert_eq!(delays(strategy(json!({ "maxSeconds": 1 }))), [1, 1, 1]);
        assert_eq!(delays(strategy(json!({ "baseSeconds": 7200 }))), [7200, 7200, 7200]);
        let contradictory = serde_json::from_value::<RetryStrategy>(json!({ "baseSeconds": 10, "maxSeconds": 9 }));
        assert!(contradictory.unwrap_err().to_string().contains("maxSeconds"));
    }

    #[test]
    fn a_change_keeps_what_upstream_clients_do_not_know() {
        let mut policy = RetryPolicy {
            enabled: true,
            errors_to_retry: vec!["A".to_owned()],
            errors_not_to_retry: ErrorNames::try_from(vec!["B".to_owned()]).unwrap(),
            strategy: Some(strategy(json!({ "maxRetries": 5 }))),
        };
        let before = policy.clone();
        RetryPolicyChange::default().apply_to(&mut policy);
        assert_eq!(policy, RetryPolicy { enabled: false, errors_to_retry: Vec::new(), ..before });
        let removal =
            RetryPolicyChange { errors_not_to_retry: Some(None), strategy: Some(None), ..RetryPolicyChange::default() };
        removal.apply_to(&mut policy);
        assert_eq!(policy, RetryPolicy::default());
        assert_eq!(serde_json::to_value(&removal).unwrap()["strategy"], json!(null));
    }
}
