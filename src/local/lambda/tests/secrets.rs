//! Secrets, whose values come from a source of this machine.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::json;
use tasklane_model::{Secret, SecretReference, Secrets};

use super::harness::{World, environment, spec};
use crate::{DeployError, SecretSource, package::testing};

#[derive(Clone, Default)]
struct Values(Arc<Mutex<BTreeMap<String, String>>>);

impl SecretSource for Values {
    fn read(&self, _: &str, reference: &SecretReference) -> Result<Secret, String> {
        let values = self.0.lock().unwrap();
        values.get(reference.as_str()).map(Secret::new).ok_or_else(|| "there is no value".to_owned())
    }
}

const AT: &str = "ssm:/tasklane/dev/token";

fn token() -> Secrets {
    Secrets::new(BTreeMap::from([("TOKEN".to_owned(), SecretReference::parse(AT).unwrap())])).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_a_variable_and_is_written_nowhere() {
    let values = Values::default();
    values.0.lock().unwrap().insert(AT.to_owned(), "s3cret-value".to_owned());
    let world = World::with(|config| config.secrets = Arc::new(values.clone()));
    let function = world
        .deploy(&[("index.js", "exports.handler = async () => [process.env.TOKEN, process.env.OWN];")], |spec| {
            spec.configuration.environment = environment(&[("OWN", "own")]);
            spec.configuration.secrets = token();
        })
        .await;
    assert_eq!(world.run(&function, json!({})).await.returned(), json!(["s3cret-value", "own"]));
    let found = std::process::Command::new("grep").args(["-rl", "s3cret-value"]).arg(world.folder.path()).output();
    assert_eq!(String::from_utf8_lossy(&found.unwrap().stdout), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_whose_secret_has_no_value_is_not_deployed() {
    let values = Values::default();
    let world = World::with(|config| config.secrets = Arc::new(values.clone()));
    let mut spec = spec("f");
    spec.configuration.secrets = token();
    let code = testing::zip(&[("index.js", "exports.handler = async () => 1;")]);
    let deploy = async || world.lambda.deploy(&spec, Some(code.clone().into()), None).await;
    let Err(DeployError::InvalidConfiguration(why)) = deploy().await else { panic!("it was deployed") };
    assert_eq!(why, "The secret 'TOKEN' (ssm:/tasklane/dev/token) cannot be read: there is no value.");
    values.0.lock().unwrap().insert(AT.to_owned(), "s3cret".repeat(700));
    let Err(DeployError::InvalidConfiguration(why)) = deploy().await else { panic!("it was deployed") };
    assert!(why.contains("at most 4096") && !why.contains("s3cret"), "{why}");
}
