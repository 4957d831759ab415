//! Secrets that a Function gets as environment variables: where they are, never what they are (contract §20).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Secret,
    environment::{InvalidEnvironment, check_variable_name},
    text::checked_text,
};

/// Where a secret is: `ssm:/tasklane/<prefix>/…`, or `secretsmanager:tasklane/<prefix>/…#key`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(
    description = "Where a secret is: a parameter of Systems Manager, or a secret of Secrets Manager. The part after # names a field of a secret that is a JSON object.",
    value_type = String, max_length = 1024, example = "secretsmanager:tasklane/prod/database#password"
)]
pub struct SecretReference(String);

/// The string is not a valid [`SecretReference`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be ssm:/tasklane/<prefix>/<name> or secretsmanager:tasklane/<prefix>/<name>, the latter perhaps with #<key>"
)]
pub struct InvalidSecretReference;

/// What a [`SecretReference`] leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretPlace<'a> {
    /// The parameter of Systems Manager with this name.
    Parameter(&'a str),
    /// The secret of Secrets Manager with this name.
    Secret {
        /// Its name.
        name: &'a str,
        /// The field of it, which then is a JSON object. Absent: all of it.
        key: Option<&'a str>,
    },
}

impl SecretPlace<'_> {
    /// The value, in what is stored there: all of it, or the field that the key names. The error says what is wrong, without the
    /// value.
    pub fn value_in(self, stored: &str) -> Result<Secret, &'static str> {
        let Self::Secret { key: Some(key), .. } = self else { return Ok(Secret::new(stored)) };
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(stored).map_err(|_| "it is not a JSON object, so it has no fields")?;
        match fields.get(key) {
            Some(serde_json::Value::String(value)) => Ok(Secret::new(value)),
            Some(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => {
                Ok(Secret::new(value.to_string()))
            }
            Some(_) => Err("the field is not a string"),
            None => Err("it has no such field"),
        }
    }
}

impl SecretReference {
    /// Checks a reference by this rule. The prefix may be any one: [`SecretReference::is_below`] compares it.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidSecretReference> {
        let text = text.into();
        let is_path = |path: &str, others: &str| {
            let steps: Vec<_> = path.split('/').collect();
            let is_step = |step: &&str| {
                !["", ".", ".."].contains(step) && step.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
            };
            steps.len() >= 2 && steps.iter().all(is_step)
        };
        // Characters as in https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html and
        // https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
        let fits = text.len() <= 1024
            && match text.split_once(':') {
                Some(("ssm", name)) => name.strip_prefix("/tasklane/").is_some_and(|path| is_path(path, "_.-")),
                Some(("secretsmanager", secret)) => {
                    let (name, key) = secret.split_once('#').map_or((secret, None), |(name, key)| (name, Some(key)));
                    name.strip_prefix("tasklane/").is_some_and(|path| is_path(path, "_+=.@-"))
                        && key.is_none_or(|key| !key.is_empty() && !key.chars().any(char::is_control))
                }
                _ => false,
            };
        if fits { Ok(Self(text)) } else { Err(InvalidSecretReference) }
    }

    /// What it leads to.
    pub fn place(&self) -> SecretPlace<'_> {
        match self.0.split_once(':') {
            Some(("ssm", name)) => SecretPlace::Parameter(name),
            _ => {
                let secret = self.0.strip_prefix("secretsmanager:").unwrap_or(&self.0);
                let (name, key) = secret.split_once('#').map_or((secret, None), |(name, key)| (name, Some(key)));
                SecretPlace::Secret { name, key }
            }
        }
    }

    /// Whether it leads to a secret of the deployment with this prefix.
    pub fn is_below(&self, prefix: &str) -> bool {
        let name = match self.place() {
            SecretPlace::Parameter(name) | SecretPlace::Secret { name, .. } => name.trim_start_matches('/'),
        };
        name.split('/').nth(1) == Some(prefix)
    }
}

checked_text!(SecretReference, InvalidSecretReference);

/// The secrets of a Function, by the name of the variable that holds each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, SecretReference>", into = "BTreeMap<String, SecretReference>")]
pub struct Secrets(BTreeMap<String, SecretReference>);

/// Lambda would refuse the variables, or they are too many.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecrets {
    /// A name that no variable can have.
    #[error(transparent)]
    Variable(#[from] InvalidEnvironment),
    /// Each costs a request when the Function is deployed.
    #[error("there are {0} secrets; at most {most} are possible", most = Secrets::MOST)]
    TooMany(usize),
}

impl Secrets {
    /// How many a Function may have.
    pub const MOST: usize = 50;

    /// Checks the names of the variables.
    pub fn new(secrets: BTreeMap<String, SecretReference>) -> Result<Self, InvalidSecrets> {
        if secrets.len() > Self::MOST {
            return Err(InvalidSecrets::TooMany(secrets.len()));
        }
        secrets.keys().try_for_each(|name| check_variable_name(name))?;
        Ok(Self(secrets))
    }

    /// The names of the variables and where the value of each is, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SecretReference)> {
        self.0.iter().map(|(name, reference)| (name.as_str(), reference))
    }

    /// Where the value of this variable is, if it is a secret.
    pub fn get(&self, variable: &str) -> Option<&SecretReference> {
        self.0.get(variable)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<BTreeMap<String, SecretReference>> for Secrets {
    type Error = InvalidSecrets;
    fn try_from(secrets: BTreeMap<String, SecretReference>) -> Result<Self, InvalidSecrets> {
        Self::new(secrets)
    }
}

impl From<Secrets> for BTreeMap<String, SecretReference> {
    fn from(secrets: Secrets) -> Self {
        secrets.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_leads_to_a_place_of_its_deployment() {
        let parse = |text: &str| SecretReference::parse(text).unwrap();
        let parameter = parse("ssm:/tasklane/prod/db/password");
        assert_eq!(parameter.place(), SecretPlace::Parameter("/tasklane/prod/db/password"));
        assert!(parameter.is_below("prod") && !parameter.is_below("pro") && !parameter.is_below("db"));
        let secret = parse("secretsmanager:tasklane/prod/db#pass word");
        assert_eq!(secret.place(), SecretPlace::Secret { name: "tasklane/prod/db", key: Some("pass word") });
        assert!(secret.is_below("prod") && !secret.is_below("tasklane"));
        assert_eq!(
            parse("secretsmanager:tasklane/prod/db").place(),
            SecretPlace::Secret { name: "tasklane/prod/db", key: None }
        );
        for wrong in [
            "",
            "password",
            "ssm:tasklane/prod/a",
            "ssm:/other/prod/a",
            "ssm:/tasklane/prod",
            "ssm:/tasklane/prod/",
            "ssm:/tasklane/prod/../other",
            "ssm:/tasklane/prod/a b",
            "ssm:/tasklane/prod/a#key",
            "secretsmanager:/tasklane/prod/a",
            "secretsmanager:tasklane/prod/a#",
            "secretsmanager:tasklane//a",
            "vault:tasklane/prod/a",
        ] {
            assert_eq!(SecretReference::parse(wrong), Err(InvalidSecretReference), "{wrong}");
        }
    }

    #[test]
    fn the_variables_follow_the_rules_of_lambda() {
        let reference = SecretReference::parse("ssm:/tasklane/prod/a").unwrap();
        let with = |name: &str| Secrets::new(BTreeMap::from([(name.to_owned(), reference.clone())]));
        assert!(with("DB_PASSWORD").is_ok());
        assert!(matches!(with("AWS_REGION"), Err(InvalidSecrets::Variable(InvalidEnvironment::Reserved(_)))));
        assert!(matches!(with("1A"), Err(InvalidSecrets::Variable(InvalidEnvironment::Name(_)))));
        let many = (0..51).map(|i| (format!("A{i}"), reference.clone())).collect();
        assert_eq!(Secrets::new(many), Err(InvalidSecrets::TooMany(51)));
    }

    #[test]
    fn a_key_picks_a_field() {
        let value = |text: &str, key| {
            let place = SecretPlace::Secret { name: "tasklane/prod/db", key };
            place.value_in(text).map(|value| value.expose().to_owned())
        };
        assert_eq!(value("{\"a\":\"s3cret\"}", None).unwrap(), "{\"a\":\"s3cret\"}");
        assert_eq!(value("{\"a\":\"s3cret\",\"port\":5432}", Some("a")).unwrap(), "s3cret");
        assert_eq!(value("{\"a\":\"s3cret\",\"port\":5432}", Some("port")).unwrap(), "5432");
        for wrong in ["s3cret", "{\"b\":\"s3cret\"}", "{\"a\":{\"s3cret\":1}}", "{\"a\":null}"] {
            let why = value(wrong, Some("a")).unwrap_err();
            assert!(!why.contains("s3cret"), "{why}");
        }
        assert_eq!(SecretPlace::Parameter("/tasklane/prod/a").value_in("s3cret").unwrap().expose(), "s3cret");
    }
}
