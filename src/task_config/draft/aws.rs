//! The properties `aws` and `secrets`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tasklane_model::{
    Architecture, AwsOptions, EphemeralStorage, LogRetentionDays, RoleArn, SecretReference, Secrets, SnapStart,
    TracingMode, Vpc,
};

use super::Check;

/// The properties of `aws.vpc`.
pub(crate) const VPC_PROPERTIES: &[&str] = &["subnetIds", "securityGroupIds"];

impl Check {
    /// `Some(None)` if it is to be removed.
    pub(super) fn aws(&mut self, value: &Value) -> Option<Option<AwsOptions>> {
        if value.is_null() {
            return Some(None);
        }
        let properties = self.object("aws", value)?;
        self.names("aws.", properties, &AwsOptions::FIELDS);
        let before = self.problems.len();
        let options = AwsOptions {
            role: self
                .given(properties, "role", |check, name, value| check.parsed(name, value, |text| RoleArn::parse(text))),
            architecture: self.given(properties, "architecture", |check, name, value| {
                check.one_of(name, value, &Architecture::NAMES)
            }),
            ephemeral_storage: self.given(properties, "ephemeralStorage", |check, name, value| {
                check.number(name, value, EphemeralStorage::new)
            }),
            layers: self.given(properties, "layers", |check, name, value| check.list(name, value)),
            vpc: self.given(properties, "vpc", |check, _, value| check.vpc(value)),
            tracing: self
                .given(properties, "tracing", |check, name, value| check.one_of(name, value, &TracingMode::NAMES)),
            log_retention_days: self.given(properties, "logRetentionDays", |check, name, value| {
                check.number(name, value, LogRetentionDays::new)
            }),
            snap_start: self
                .given(properties, "snapStart", |check, name, value| check.one_of(name, value, &SnapStart::NAMES)),
        };
        (self.problems.len() == before).then_some(Some(options))
    }

    fn vpc(&mut self, value: &Value) -> Option<Vpc> {
        let properties = self.object("aws.vpc", value)?;
        self.names("aws.vpc.", properties, VPC_PROPERTIES);
        let (Some(subnets), Some(groups)) = (properties.get("subnetIds"), properties.get("securityGroupIds")) else {
            return self.refuse("aws.vpc", "must have 'subnetIds' and 'securityGroupIds'");
        };
        let subnet_ids = self.list("aws.vpc.subnetIds", subnets);
        let security_group_ids = self.list("aws.vpc.securityGroupIds", groups);
        Some(Vpc { subnet_ids: subnet_ids?, security_group_ids: security_group_ids? })
    }

    /// `null` and an empty object remove them.
    pub(super) fn secrets(&mut self, value: &Value) -> Option<Secrets> {
        if value.is_null() {
            return Some(Secrets::default());
        }
        let mut secrets = BTreeMap::new();
        let before = self.problems.len();
        for (name, value) in self.object("secrets", value)? {
            let reference = self.parsed(&format!("secrets.{name}"), value, |text| SecretReference::parse(text));
            secrets.extend(reference.map(|reference| (name.clone(), reference)));
        }
        if self.problems.len() > before {
            return None;
        }
        Secrets::new(secrets).map_or_else(|rule| self.refuse("secrets", format!("is wrong: {rule}")), Some)
    }

    /// A property of `aws`, unless it is absent or `null`.
    fn given<T>(
        &mut self,
        properties: &Map<String, Value>,
        name: &str,
        read: impl FnOnce(&mut Self, &str, &Value) -> Option<T>,
    ) -> Option<T> {
        let value = properties.get(name).filter(|value| !value.is_null())?;
        read(self, &format!("aws.{name}"), value)
    }

    /// A list of strings with a rule of its own.
    fn list<T: TryFrom<Vec<String>, Error: std::fmt::Display>>(&mut self, property: &str, value: &Value) -> Option<T> {
        let strings = value.as_array().and_then(|list| {
            list.iter().map(|element| element.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        match strings {
            Some(strings) => T::try_from(strings).map_or_else(|rule| self.refuse(property, rule.to_string()), Some),
            None => self.refuse(property, "must be a list of strings"),
        }
    }
}
