//! `tasklane run --inspect`: a run under a debugger.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use tasklane_model::{Configuration, Environment, RuntimeFamily, TimeLimit};

use crate::output;

/// The variable with Node.js's own options.
const OPTIONS: &str = "NODE_OPTIONS";

/// Lets Node.js wait for a debugger on this port, and gives the run as much time as there is.
///
/// # Errors
/// When the Function does not run in Node.js.
pub(super) fn prepare(configuration: &mut Configuration, port: u16) -> anyhow::Result<()> {
    match configuration.runtime() {
        Some(runtime) if runtime.family() == RuntimeFamily::Node => {}
        Some(runtime) => bail!("--inspect is for Functions in Node.js, and this one's runtime is {}", runtime.as_str()),
        None => {
            bail!("--inspect is for Functions in Node.js that are packed from a folder, and this one runs an image")
        }
    }
    let mut variables: BTreeMap<_, _> =
        configuration.environment.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let options = variables.entry(OPTIONS.to_owned()).or_default();
    *options = format!("{options} --inspect-brk=127.0.0.1:{port}").trim().to_owned();
    configuration.environment = Environment::parse(variables).context("with the debugger's option")?;
    configuration.time_limit = TimeLimit::MAX;
    output::note(&format!("waiting for a debugger on 127.0.0.1:{port}: open chrome://inspect, or attach your editor"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use tasklane_model::{EntryPoint, Runtime};

    use super::*;

    #[test]
    fn the_options_of_the_function_stay() {
        let of = |runtime: &str| Configuration::new(EntryPoint::parse("index.handler").unwrap(), Runtime::new(runtime));
        let mut node = of("nodejs22.x");
        let variables = BTreeMap::from([(OPTIONS.to_owned(), "--enable-source-maps".to_owned())]);
        node.environment = Environment::parse(variables).unwrap();
        prepare(&mut node, 9300).unwrap();
        let variables: Vec<_> = node.environment.iter().collect();
        assert_eq!(variables, [(OPTIONS, "--enable-source-maps --inspect-brk=127.0.0.1:9300")]);
        assert_eq!(node.time_limit, TimeLimit::MAX);
        assert!(prepare(&mut of("python3.13"), 9229).unwrap_err().to_string().contains("python3.13"));
    }
}
