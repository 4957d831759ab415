//! What a Function sets that only AWS Lambda can carry out (contract §20).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{EphemeralStorage, text::checked_text};

/// Options of a Function that only AWS Lambda can carry out. An absent one has Lambda's default, or the stack's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsOptions {
    /// The role that it runs with. Default: the role that all Functions share.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<RoleArn>,
    /// The processor that it runs on. Default: the stack's `FunctionArchitecture`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub architecture: Option<Architecture>,
    /// The size of its `/tmp` in MB. Default: 512.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ephemeral_storage: Option<EphemeralStorage>,
    /// The layers below its code. A later one covers files of an earlier one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub layers: Option<Layers>,
    /// The network that it is connected to. Needs the stack's parameter `AllowVpc`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vpc: Option<Vpc>,
    /// Whether X-Ray traces it by itself. Default: `PassThrough`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tracing: Option<TracingMode>,
    /// How long its log lines are kept, in days. Default: the stack's `LogRetentionDays`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub log_retention_days: Option<LogRetentionDays>,
    /// Whether its versions start from a snapshot. Default: `None`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub snap_start: Option<SnapStart>,
}

impl AwsOptions {
    /// The name of each field, in the order in which people read them.
    pub const FIELDS: [&str; 8] =
        ["role", "architecture", "ephemeralStorage", "layers", "vpc", "tracing", "logRetentionDays", "snapStart"];

    /// The fields that are set and have no effect on one machine: all but layers.
    pub fn only_on_aws(&self) -> Vec<&'static str> {
        let Self { role, architecture, ephemeral_storage, layers, vpc, tracing, log_retention_days, snap_start } = self;
        let set = [
            role.is_some(),
            architecture.is_some(),
            ephemeral_storage.is_some(),
            layers.is_some(),
            vpc.is_some(),
            tracing.is_some(),
            log_retention_days.is_some(),
            snap_start.is_some(),
        ];
        Self::FIELDS
            .into_iter()
            .zip(set)
            .filter(|(name, set)| *set && *name != "layers")
            .map(|(name, _)| name)
            .collect()
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[LayerArn] {
        self.layers.as_ref().map_or(&[], Layers::as_slice)
    }
}

/// The ARN of a role below `/tasklane/<prefix>/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(
    description = "The ARN of a role below the path /tasklane/<prefix>/, with the prefix of the deployment.",
    value_type = String, max_length = 640, example = "arn:aws:iam::123456789012:role/tasklane/prod/invoices"
)]
pub struct RoleArn(String);

/// The string is not a valid [`RoleArn`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be the ARN of a role below /tasklane/<prefix>/, e.g. arn:aws:iam::123456789012:role/tasklane/prod/invoices"
)]
pub struct InvalidRoleArn;

impl RoleArn {
    /// Checks an ARN by this rule. The prefix may be any one: [`RoleArn::is_below`] compares it.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidRoleArn> {
        let text = text.into();
        // IAM's longest ARN has a path of 512 characters and a name of 64.
        // https://docs.aws.amazon.com/IAM/latest/APIReference/API_Role.html
        let fits = text.len() <= 640
            && Arn::parse(&text).is_some_and(|arn| {
                let path = arn.resource.strip_prefix("role/tasklane/").unwrap_or_default();
                let steps: Vec<_> = path.split('/').collect();
                arn.service == "iam"
                    && arn.region.is_empty()
                    && arn.has_account()
                    && steps.len() >= 2
                    && steps.iter().all(|step| is_name(step, "+=,.@_-"))
            });
        if fits { Ok(Self(text)) } else { Err(InvalidRoleArn) }
    }

    /// Whether it is below the path of the deployment with this prefix.
    pub fn is_below(&self, prefix: &str) -> bool {
        let path = self.0.split_once(":role/tasklane/").map_or("", |(_, path)| path);
        path.split_once('/').is_some_and(|(first, _)| first == prefix)
    }
}

checked_text!(RoleArn, InvalidRoleArn);

/// The processor that a Function runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(description = "The processor that a Function runs on.")]
pub enum Architecture {
    /// Intel and AMD.
    #[serde(rename = "x86_64")]
    X86,
    /// Graviton.
    #[serde(rename = "arm64")]
    Arm,
}

impl Architecture {
    /// Each with Lambda's name for it.
    pub const NAMES: [(&'static str, Self); 2] = [(Self::X86.as_str(), Self::X86), (Self::Arm.as_str(), Self::Arm)];

    /// Lambda's name for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm => "arm64",
        }
    }
}

/// Whether X-Ray traces a Function by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(description = "Whether X-Ray samples runs by itself, or follows what the caller decided.")]
pub enum TracingMode {
    /// X-Ray samples runs.
    Active,
    /// X-Ray follows the decision of the caller.
    PassThrough,
}

impl TracingMode {
    /// Each with Lambda's name for it.
    pub const NAMES: [(&'static str, Self); 2] = [("Active", Self::Active), ("PassThrough", Self::PassThrough)];
}

/// Whether new environments of a Function start from a snapshot of an initialized one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(description = "Whether new environments start from a snapshot of an initialized one.")]
pub enum SnapStart {
    /// They do. Lambda makes the snapshot when a version is published.
    PublishedVersions,
    /// They do not.
    None,
}

impl SnapStart {
    /// Each with Lambda's name for it.
    pub const NAMES: [(&'static str, Self); 2] = [("PublishedVersions", Self::PublishedVersions), ("None", Self::None)];
}

/// How long log lines are kept, in days: one of the numbers that CloudWatch Logs accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "i64", into = "i64")]
#[schema(description = "One of the retention periods of CloudWatch Logs, in days.", value_type = i64, minimum = 1, maximum = 3653, example = 30)]
pub struct LogRetentionDays(i32);

/// The number is not a valid [`LogRetentionDays`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a number of days that CloudWatch Logs offers: {}", LogRetentionDays::ALL.map(|days| days.to_string()).join(", "))]
pub struct InvalidLogRetentionDays;

impl LogRetentionDays {
    /// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html>
    pub const ALL: [i32; 22] =
        [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

    /// Checks that CloudWatch Logs offers this number.
    pub fn new(days: i64) -> Result<Self, InvalidLogRetentionDays> {
        let days = i32::try_from(days).map_err(|_| InvalidLogRetentionDays)?;
        if Self::ALL.contains(&days) { Ok(Self(days)) } else { Err(InvalidLogRetentionDays) }
    }

    /// The number.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl TryFrom<i64> for LogRetentionDays {
    type Error = InvalidLogRetentionDays;
    fn try_from(days: i64) -> Result<Self, InvalidLogRetentionDays> {
        Self::new(days)
    }
}

impl From<LogRetentionDays> for i64 {
    fn from(days: LogRetentionDays) -> Self {
        Self::from(days.0)
    }
}

/// The ARN of a version of a layer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(
    description = "The ARN of a version of a layer.", value_type = String, max_length = 256,
    example = "arn:aws:lambda:eu-west-1:123456789012:layer:fonts:3"
)]
pub struct LayerArn(String);

/// The string is not a valid [`LayerArn`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be the ARN of a version of a layer, e.g. arn:aws:lambda:eu-west-1:123456789012:layer:fonts:3")]
pub struct InvalidLayerArn;

impl LayerArn {
    /// Checks an ARN by Lambda's rule.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidLayerArn> {
        let text = text.into();
        let fits = text.len() <= 256
            && Arn::parse(&text).is_some_and(|arn| {
                let parts: Vec<_> = arn.resource.split(':').collect();
                let [kind, name, version] = parts[..] else { return false };
                arn.service == "lambda"
                    && is_name(arn.region, "-")
                    && arn.has_account()
                    && kind == "layer"
                    && name.len() <= 140
                    && is_name(name, "_-")
                    && !version.is_empty()
                    && version.bytes().all(|byte| byte.is_ascii_digit())
            });
        if fits { Ok(Self(text)) } else { Err(InvalidLayerArn) }
    }

    /// The ARN of the layer, without the version.
    pub fn layer(&self) -> &str {
        self.0.rsplit_once(':').map_or(&self.0, |(layer, _)| layer)
    }
}

checked_text!(LayerArn, InvalidLayerArn);

/// The layers of a Function, lowest first: at most five, each layer once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
#[schema(description = "At most five layers, lowest first, each layer once.", value_type = Vec<LayerArn>, max_items = 5)]
pub struct Layers(Vec<LayerArn>);

/// The list is not valid [`Layers`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLayers {
    /// An element is not a layer.
    #[error("must be a list, and each element {0}")]
    Arn(#[from] InvalidLayerArn),
    /// Lambda accepts five.
    #[error("must have at most 5 layers")]
    TooMany,
    /// Lambda accepts one version of each.
    #[error("must have each layer only once, in one version")]
    Twice,
}

impl Layers {
    /// Checks the layers by Lambda's rules.
    pub fn parse(arns: impl IntoIterator<Item = String>) -> Result<Self, InvalidLayers> {
        let arns = arns.into_iter().map(LayerArn::parse).collect::<Result<Vec<_>, _>>()?;
        if arns.len() > 5 {
            return Err(InvalidLayers::TooMany);
        }
        let mut layers: Vec<_> = arns.iter().map(LayerArn::layer).collect();
        layers.sort_unstable();
        layers.dedup();
        if layers.len() < arns.len() { Err(InvalidLayers::Twice) } else { Ok(Self(arns)) }
    }

    /// The layers, lowest first.
    pub fn as_slice(&self) -> &[LayerArn] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for Layers {
    type Error = InvalidLayers;
    fn try_from(arns: Vec<String>) -> Result<Self, InvalidLayers> {
        Self::parse(arns)
    }
}

impl From<Layers> for Vec<String> {
    fn from(layers: Layers) -> Self {
        layers.0.into_iter().map(String::from).collect()
    }
}

/// The part of a private network that a Function is connected to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Vpc {
    /// Its subnets.
    pub subnet_ids: SubnetIds,
    /// Its security groups.
    pub security_group_ids: SecurityGroupIds,
}

macro_rules! ids {
    ($name:ident, $invalid:ident, $start:literal, $most:literal, $rule:literal, $description:literal) => {
        #[doc = $description]
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "Vec<String>", into = "Vec<String>")]
        #[schema(description = $description, value_type = Vec<String>, min_items = 1)]
        pub struct $name(Vec<String>);

        #[doc = concat!("The list is not valid [`", stringify!($name), "`].")]
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error($rule)]
        pub struct $invalid;

        impl $name {
            /// The ids.
            pub fn as_slice(&self) -> &[String] {
                &self.0
            }
        }

        impl TryFrom<Vec<String>> for $name {
            type Error = $invalid;
            fn try_from(ids: Vec<String>) -> Result<Self, $invalid> {
                let is_id =
                    |id: &String| id.strip_prefix($start).is_some_and(|rest| rest.len() <= 64 && is_name(rest, ""));
                if (1..=$most).contains(&ids.len()) && ids.iter().all(is_id) { Ok(Self(ids)) } else { Err($invalid) }
            }
        }

        impl From<$name> for Vec<String> {
            fn from(ids: $name) -> Self {
                ids.0
            }
        }
    };
}

ids! {
    SubnetIds, InvalidSubnetIds, "subnet-", 16, "must be a list of 1 to 16 ids of subnets, such as subnet-0a1b2c3d",
    "1 to 16 ids of subnets."
}
ids! {
    SecurityGroupIds, InvalidSecurityGroupIds, "sg-", 5,
    "must be a list of 1 to 5 ids of security groups, such as sg-0a1b2c3d", "1 to 5 ids of security groups."
}

/// `arn:<partition>:<service>:<region>:<account>:<resource>`
struct Arn<'a> {
    service: &'a str,
    region: &'a str,
    account: &'a str,
    resource: &'a str,
}

impl<'a> Arn<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let (arn, partition) = (parts.next()?, parts.next()?);
        let arn = (arn == "arn" && partition.starts_with("aws") && is_name(partition, "-")).then_some(Self {
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        });
        arn.filter(|arn| !arn.resource.is_empty())
    }

    fn has_account(&self) -> bool {
        self.account.len() == 12 && self.account.bytes().all(|byte| byte.is_ascii_digit())
    }
}

/// Whether a text has ASCII letters, digits and these characters only, and at least one.
fn is_name(text: &str, others: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_below_the_path_of_its_deployment() {
        let role = RoleArn::parse("arn:aws:iam::123456789012:role/tasklane/prod/invoices").unwrap();
        assert!(role.is_below("prod") && !role.is_below("pro") && !role.is_below("prod/invoices"));
        assert!(RoleArn::parse("arn:aws-us-gov:iam::123456789012:role/tasklane/prod/team/a+b=c").is_ok());
        for wrong in [
            "",
            "invoices",
            "arn:aws:iam::123456789012:role/invoices",
            "arn:aws:iam::123456789012:role/tasklane/invoices",
            "arn:aws:iam::123456789012:role/tasklane/prod/",
            "arn:aws:iam::123456789012:role/tasklane//a",
            "arn:aws:iam::123456789012:role/tasklane/prod/a b",
            "arn:aws:iam::1234:role/tasklane/prod/a",
            "arn:aws:iam:eu-west-1:123456789012:role/tasklane/prod/a",
            "arn:aws:sts::123456789012:role/tasklane/prod/a",
            "arn:aws:iam::123456789012:user/tasklane/prod/a",
            "arn:gcp:iam::123456789012:role/tasklane/prod/a",
        ] {
            assert_eq!(RoleArn::parse(wrong), Err(InvalidRoleArn), "{wrong}");
        }
    }

    #[test]
    fn layers_are_versions_of_different_layers() {
        let arn = |name: &str| format!("arn:aws:lambda:eu-west-1:123456789012:layer:{name}");
        let layers = Layers::parse([arn("b:1"), arn("a:12")]).unwrap();
        assert_eq!(layers.as_slice()[0].as_str(), arn("b:1"), "the order matters");
        assert_eq!(Layers::parse([arn("a:1"), arn("a:2")]), Err(InvalidLayers::Twice));
        assert_eq!(
            Layers::parse(["a", "b", "c", "d", "e", "f"].map(|n| arn(&format!("{n}:1")))),
            Err(InvalidLayers::TooMany)
        );
        for wrong in ["", "a", "a:", "a:x", "a:1:2", "a b:1"] {
            assert_eq!(LayerArn::parse(arn(wrong)), Err(InvalidLayerArn), "{wrong}");
        }
    }

    #[test]
    fn networks_have_subnets_and_security_groups() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert!(SubnetIds::try_from(ids(&["subnet-0a1b"])).is_ok());
        assert_eq!(SubnetIds::try_from(ids(&[])), Err(InvalidSubnetIds));
        assert_eq!(SubnetIds::try_from(ids(&["sg-0a1b"])), Err(InvalidSubnetIds));
        assert_eq!(SecurityGroupIds::try_from(ids(&["sg-"])), Err(InvalidSecurityGroupIds));
        assert_eq!(SecurityGroupIds::try_from(ids(&["sg-a"; 6])), Err(InvalidSecurityGroupIds));
    }

    #[test]
    fn log_lines_are_kept_for_one_of_the_periods_that_exist() {
        assert_eq!(LogRetentionDays::new(30).unwrap().get(), 30);
        assert!(InvalidLogRetentionDays.to_string().ends_with(
            "1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653"
        ));
        for wrong in [0, 2, 31, 4000, i64::MAX] {
            assert_eq!(LogRetentionDays::new(wrong), Err(InvalidLogRetentionDays), "{wrong}");
        }
    }

    #[test]
    fn what_has_no_effect_on_one_machine_is_named() {
        let options = AwsOptions {
            architecture: Some(Architecture::Arm),
            layers: Some(Layers::parse([]).unwrap()),
            snap_start: Some(SnapStart::None),
            ..AwsOptions::default()
        };
        assert_eq!(options.only_on_aws(), ["architecture", "snapStart"]);
        let json = r#"{"architecture":"arm64","layers":[],"snapStart":"None"}"#;
        assert_eq!(serde_json::to_string(&options).unwrap(), json);
        assert_eq!(serde_json::from_str::<AwsOptions>(json).unwrap(), options);
    }
}
