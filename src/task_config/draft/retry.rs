//! The property `retryPolicy`.

use serde_json::{Map, Value};
use tasklane_model::{
    Backoff, ErrorNames, MaxRetries, RetryPolicyChange, RetrySeconds, RetryStrategy, RetryStrategyFields,
};

use super::{Check, Problem};

pub(in super::super) const PROPERTIES: &[&str] = &["enabled", "errorsToRetry", "errorsNotToRetry", "strategy"];
pub(in super::super) const STRATEGY_PROPERTIES: &[&str] =
    &["maxRetries", "backoff", "baseSeconds", "maxSeconds", "jitter"];

impl Check {
    pub(super) fn retry_policy(&mut self, value: &Value) -> Option<RetryPolicyChange> {
        let properties = self.object("retryPolicy", value)?;
        self.names("retryPolicy.", properties, PROPERTIES);
        let Some(enabled) = properties.get("enabled") else {
            self.problems.push(Problem::Missing { property: "retryPolicy.enabled".to_owned() });
            return None;
        };
        let enabled = self.boolean("retryPolicy.enabled", enabled)?;
        let errors_to_retry = match properties.get("errorsToRetry") {
            None => Vec::new(),
            Some(names) => self.error_names("retryPolicy.errorsToRetry", names)?,
        };
        let errors_not_to_retry = match properties.get("errorsNotToRetry") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(names) => {
                const PROPERTY: &str = "retryPolicy.errorsNotToRetry";
                let names = self.error_names(PROPERTY, names)?;
                Some(Some(
                    ErrorNames::try_from(names).map_or_else(|rule| self.refuse(PROPERTY, rule.to_string()), Some)?,
                ))
            }
        };
        let strategy = match properties.get("strategy") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(strategy) => Some(Some(self.retry_strategy(strategy)?)),
        };
        Some(RetryPolicyChange { enabled, errors_to_retry, errors_not_to_retry, strategy })
    }

    fn retry_strategy(&mut self, value: &Value) -> Option<RetryStrategy> {
        let properties = self.object("retryPolicy.strategy", value)?;
        self.names("retryPolicy.strategy.", properties, STRATEGY_PROPERTIES);
        let before = self.problems.len();
        let fields = RetryStrategyFields {
            max_retries: self.strategy_number(properties, "maxRetries", MaxRetries::new),
            backoff: self.optional(properties, "backoff", |check, value| {
                check.one_of("retryPolicy.strategy.backoff", value, &Backoff::NAMES)
            }),
            base_seconds: self.strategy_number(properties, "baseSeconds", RetrySeconds::new),
            max_seconds: self.strategy_number(properties, "maxSeconds", RetrySeconds::new),
            jitter: self
                .optional(properties, "jitter", |check, value| check.boolean("retryPolicy.strategy.jitter", value)),
        };
        if self.problems.len() > before {
            return None;
        }
        fields.try_into().map_or_else(
            |_| self.refuse("retryPolicy.strategy.maxSeconds", "must not be less than 'baseSeconds'"),
            Some,
        )
    }

    fn strategy_number<T, E: std::fmt::Display>(
        &mut self,
        properties: &Map<String, Value>,
        name: &str,
        new: impl FnOnce(i64) -> Result<T, E>,
    ) -> Option<T> {
        let property = format!("retryPolicy.strategy.{name}");
        self.optional(properties, name, |check, value| check.number(&property, value, new))
    }

    fn error_names(&mut self, property: &str, value: &Value) -> Option<Vec<String>> {
        let names =
            value.as_array().and_then(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect());
        names.or_else(|| self.refuse(property, "must be a list of error names"))
    }
}
