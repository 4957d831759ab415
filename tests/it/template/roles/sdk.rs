//! The operations of the SDK's clients, as the SDK's own sources list them, and the IAM actions that the ones used here
//! need.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

/// An operation of AWS, as the SDK's client names it: `put_item` of `aws_sdk_dynamodb`. The parts of a DynamoDB
/// transaction are operations, too (`Put` of `aws_sdk_dynamodb`), because IAM checks them and not the transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    pub sdk: String,
    /// The method of its client.
    pub name: String,
}

/// The parts of a DynamoDB transaction.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html>
const TRANSACTION_PARTS: [&str; 4] = ["Put", "Update", "Delete", "ConditionCheck"];

/// All operations of all SDK crates that this package uses.
pub struct Sdk(BTreeSet<Operation>);

impl Sdk {
    /// Reads the sources of the SDK's crates, in the versions that `Cargo.lock` names.
    pub fn read(root: &Path) -> Self {
        let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let mut operations = BTreeSet::new();
        for package in lock.split("[[package]]") {
            let value = |key: &str| {
                package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'))
            };
            let (Some(name), Some(version)) = (value("name"), value("version")) else { continue };
            // The others are part of `aws-config`, for people's credentials; none of our roles uses them.
            if !name.starts_with("aws-sdk-") || !manifest.contains(&format!("\n{name} = ")) {
                continue;
            }
            let folder = sources_of(&format!("{name}-{version}")).join("src/operation");
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "rs") {
                    let operation = path.file_stem().unwrap().to_str().unwrap().to_owned();
                    operations.insert(Operation { sdk: name.replace('-', "_"), name: operation });
                }
            }
        }
        assert!(
            operations.len() > 100,
            "the SDK's sources do not name their operations where expected: {operations:?}"
        );
        Self(operations)
    }

    /// The operations of this name, of any SDK.
    pub fn operations(&self, name: &str) -> impl Iterator<Item = Operation> {
        self.0.iter().filter(move |operation| operation.name == name).cloned()
    }

    /// The operation behind the path `qualifier::name`: a method of a client, or the creation of its input or of a
    /// transaction's part.
    pub fn of_path(&self, qualifier: &str, name: &str) -> Option<Operation> {
        let (sdk, of) = qualifier.split_once("::")?;
        if let ("builder", Some(operation)) = (name, of.strip_suffix("Input")) {
            let operation = Operation { sdk: sdk.to_owned(), name: snake_case(operation) };
            return self.0.contains(&operation).then_some(operation);
        }
        let operation = Operation { sdk: sdk.to_owned(), name: if of == "Client" { name } else { of }.to_owned() };
        let is_part = sdk == "aws_sdk_dynamodb" && TRANSACTION_PARTS.contains(&of) && name == "builder";
        (is_part || self.0.contains(&operation)).then_some(operation)
    }
}

/// `PutItem` as `put_item`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// The folder in which cargo keeps the sources of a crate.
fn sources_of(package: &str) -> PathBuf {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.unwrap_or_else(|| PathBuf::from(env::var_os("HOME").unwrap()).join(".cargo"));
    let registries = home.join("registry/src");
    let found = fs::read_dir(&registries).into_iter().flatten().flatten().map(|entry| entry.path().join(package));
    found.into_iter().find(|path| path.is_dir()).unwrap_or_else(|| {
        panic!(
            "there is no {package} below {}: this test reads the sources of the SDK, as cargo unpacks them",
            registries.display()
        )
    })
}

/// The IAM actions that the caller of an operation needs.
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>
pub fn actions(operation: &Operation) -> &'static [&'static str] {
    match (operation.sdk.as_str(), operation.name.as_str()) {
        ("aws_sdk_cloudwatchlogs", "create_log_group") => &["logs:CreateLogGroup", "logs:TagResource"],
        ("aws_sdk_cloudwatchlogs", "filter_log_events") => &["logs:FilterLogEvents"],
        ("aws_sdk_cloudwatchlogs", "get_log_events") => &["logs:GetLogEvents"],
        ("aws_sdk_cloudwatchlogs", "put_retention_policy") => &["logs:PutRetentionPolicy"],
        ("aws_sdk_dynamodb", "batch_get_item") => &["dynamodb:BatchGetItem"],
        ("aws_sdk_dynamodb", "delete_item" | "Delete") => &["dynamodb:DeleteItem"],
        ("aws_sdk_dynamodb", "get_item") => &["dynamodb:GetItem"],
        ("aws_sdk_dynamodb", "put_item" | "Put") => &["dynamodb:PutItem"],
        ("aws_sdk_dynamodb", "query") => &["dynamodb:Query"],
        ("aws_sdk_dynamodb", "transact_write_items") => &[],
        ("aws_sdk_dynamodb", "update_item" | "Update") => &["dynamodb:UpdateItem"],
        ("aws_sdk_dynamodb", "ConditionCheck") => &["dynamodb:ConditionCheckItem"],
        ("aws_sdk_eventbridge", "put_events") => &["events:PutEvents"],
        ("aws_sdk_kms", "decrypt") => &["kms:Decrypt"],
        ("aws_sdk_kms", "encrypt") => &["kms:Encrypt"],
        ("aws_sdk_lambda", "create_alias") => &["lambda:CreateAlias"],
        // It passes on a role, tags, layers, a network, and sometimes code in S3, which Lambda looks at in the caller's name.
        ("aws_sdk_lambda", "create_function") => &[
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
            "iam:PassRole",
            "lambda:CreateFunction",
            "lambda:GetLayerVersion",
            "lambda:TagResource",
            "s3:GetObject",
        ],
        ("aws_sdk_lambda", "delete_function") => &["lambda:DeleteFunction"],
        ("aws_sdk_lambda", "get_alias") => &["lambda:GetAlias"],
        // If ListTags is not allowed, the response lacks the tags, without an error.
        ("aws_sdk_lambda", "get_function") => &["lambda:GetFunction", "lambda:ListTags"],
        ("aws_sdk_lambda", "get_function_configuration") => &["lambda:GetFunctionConfiguration"],
        ("aws_sdk_lambda", "invoke") => &["lambda:InvokeFunction"],
        ("aws_sdk_lambda", "list_versions_by_function") => &["lambda:ListVersionsByFunction"],
        ("aws_sdk_lambda", "publish_version") => &["lambda:PublishVersion"],
        ("aws_sdk_lambda", "update_alias") => &["lambda:UpdateAlias"],
        ("aws_sdk_lambda", "update_function_code") => &["lambda:UpdateFunctionCode", "s3:GetObject"],
        ("aws_sdk_lambda", "update_function_configuration") => &[
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
            "iam:PassRole",
            "lambda:GetLayerVersion",
            "lambda:UpdateFunctionConfiguration",
        ],
        ("aws_sdk_secretsmanager", "get_secret_value") => &["secretsmanager:GetSecretValue"],
        ("aws_sdk_ssm", "get_parameters") => &["ssm:GetParameters"],
        // S3 says that an object is missing only to those who may list the bucket.
        ("aws_sdk_s3", "get_object") => &["s3:GetObject", "s3:ListBucket"],
        ("aws_sdk_s3", "put_object") => &["s3:PutObject"],
        ("aws_sdk_sqs", "send_message") => &["sqs:SendMessage"],
        (sdk, name) => panic!(
            "the code of a handler calls {name} of {sdk}: say here which IAM actions that needs (AWS's service \
             authorization reference lists them), give them to the handler's role in template.yaml, and write \
             infra/iam.md again"
        ),
    }
}
