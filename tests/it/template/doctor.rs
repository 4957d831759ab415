//! docs/deploy.md lists the permissions that `tasklane doctor --stack` needs.

use std::{collections::BTreeSet, fs};

use super::{roles::sdk::Sdk, root, text_of};

/// What the store calls for it: the list of Functions.
const OF_THE_STORE: &str = "dynamodb:Query";

#[test]
fn the_document_lists_the_permissions_that_the_doctor_needs() {
    let sdk = Sdk::read(root());
    let mut code = text_of("src/aws/operator/mod.rs");
    for file in fs::read_dir(root().join("src/aws/operator/checks")).unwrap() {
        code.push_str(&fs::read_to_string(file.unwrap().path()).unwrap());
    }
    // Methods that are named like an operation of AWS.
    let called = code.split('.').filter_map(|after| after.split_once("()")).map(|(name, _)| name);
    let needed: BTreeSet<_> = called.filter(|name| sdk.operations(name).next().is_some()).map(action_of).collect();
    assert!(needed.contains("GetAccountSettings"), "{needed:?}");

    let text = text_of("docs/deploy.md");
    let section = text.split("\n## ").find(|section| section.starts_with("The doctor\n")).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `")).filter_map(|row| row.split('|').nth(1));
    let listed = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(|action| *action != OF_THE_STORE);
    let listed: BTreeSet<_> = listed.map(|action| action.split_once(':').unwrap().1.to_owned()).collect();
    assert_eq!(listed, needed, "left: docs/deploy.md, right: src/aws/operator");
}

/// `get_alias` is `GetAlias` in IAM.
fn action_of(operation: &str) -> String {
    operation.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}
