//! A Function's environment variables.

use std::{collections::BTreeMap, fmt};

use super::shorten;

/// A Function's environment variables. The values are the user's secrets: `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

/// Lambda would refuse the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEnvironment {
    /// A name that is not `[A-Za-z][A-Za-z0-9_]+`.
    #[error("the environment variable '{0}' has an invalid name: it must match [A-Za-z][A-Za-z0-9_]+")]
    Name(String),
    /// A name that Lambda sets itself.
    #[error("the environment variable '{0}' is reserved: Lambda sets it itself")]
    Reserved(String),
    /// Too large in total.
    #[error("the environment variables take {0} bytes, names and values together; Lambda accepts at most 4096")]
    TooLarge(usize),
    /// A NUL byte in a value.
    #[error("the environment variable '{0}' has a NUL character in its value")]
    Nul(String),
}

/// The names that Lambda sets itself and refuses in a configuration.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>
const RESERVED_VARIABLES: &[&str] = &[
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];

impl Environment {
    /// The largest environment that Lambda accepts, in bytes of names and values together.
    pub const MAX_BYTES: usize = 4096;

    /// Checks an environment by Lambda's rules.
    pub fn parse(variables: BTreeMap<String, String>) -> Result<Self, InvalidEnvironment> {
        for (name, value) in &variables {
            check_variable_name(name)?;
            if value.contains('\0') {
                return Err(InvalidEnvironment::Nul(name.clone()));
            }
        }
        let bytes = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > Self::MAX_BYTES { Err(InvalidEnvironment::TooLarge(bytes)) } else { Ok(Self(variables)) }
    }

    /// What is wrong with an environment that takes this many bytes together with its secrets.
    pub fn too_large_with_secrets(bytes: usize) -> String {
        format!(
            "With their secrets, the environment variables take {bytes} bytes, names and values together; Lambda accepts at most \
             {}.",
            Self::MAX_BYTES
        )
    }

    /// The names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Checks that Lambda accepts a variable with this name.
pub(crate) fn check_variable_name(name: &str) -> Result<(), InvalidEnvironment> {
    if RESERVED_VARIABLES.contains(&name) {
        return Err(InvalidEnvironment::Reserved(name.to_owned()));
    }
    let mut bytes = name.bytes();
    let fits = name.len() >= 2
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fits { Ok(()) } else { Err(InvalidEnvironment::Name(shorten(name).to_owned())) }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_follow_the_rules_of_lambda() {
        let parse = |name: &str, value: &str| Environment::parse(BTreeMap::from([(name.to_owned(), value.to_owned())]));
        assert!(parse("CLIENT_ID", "").is_ok());
        assert_eq!(parse("AWS_REGION", "x"), Err(InvalidEnvironment::Reserved("AWS_REGION".into())));
        assert_eq!(parse("1A", "x"), Err(InvalidEnvironment::Name("1A".into())));
        assert!(parse("AB", &"x".repeat(4094)).is_ok());
        assert_eq!(parse("AB", &"x".repeat(4095)), Err(InvalidEnvironment::TooLarge(4097)));
    }

    #[test]
    fn debug_hides_the_values() {
        let environment = Environment::parse(BTreeMap::from([("API_KEY".into(), "s3cret".into())])).unwrap();
        assert_eq!(format!("{environment:?}"), r#"{"API_KEY"}"#);
    }
}
