//! AWS's Runtime Interface Emulator with AWS's own runtime clients.

use std::{net::SocketAddr, path::Path, process::Command};

use anyhow::Context as _;

use crate::{
    child::{Child, free_address},
    context::Context,
    functions::Language,
    http::Call,
    packages,
};

/// A running emulator of one Function. The Function's process starts with the first call.
pub struct Rie {
    pub address: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

/// The path of an invocation.
const PATH: &str = "/2015-03-31/functions/function/invocations";

impl Rie {
    /// The emulator with the hello Function and AWS's client for that language.
    pub async fn start(context: &Context, language: Language) -> anyhow::Result<Self> {
        let python = packages::python(context)?;
        let mut arguments = Vec::new();
        match language {
            Language::Node => {
                let client = packages::npm(context, "ric", true)?.join("node_modules/aws-lambda-ric/bin/index.mjs");
                arguments.extend(["node".to_owned(), client.display().to_string()]);
            }
            Language::Python => {
                let program = python.join("bin/python").display().to_string();
                arguments.extend([program, "-m".to_owned(), "awslambdaric".to_owned()]);
            }
        }
        arguments.push("index.handler".to_owned());
        let folder = context.scratch()?;
        language.write(folder.path())?;
        Self::of(&python, folder, &arguments, &[]).await
    }

    /// The emulator with this program and these variables.
    pub async fn of_program(context: &Context, program: &Path, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let python = packages::python(context)?;
        let arguments = [program.display().to_string(), "handler".to_owned()];
        Self::of(&python, context.scratch()?, &arguments, variables).await
    }

    async fn of(
        python: &Path,
        folder: tempfile::TempDir,
        arguments: &[String],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let (address, runtime_api) = (free_address()?, free_address()?);
        let mut command = Command::new(packages::rie(python)?);
        command.args(["--runtime-interface-emulator-address", &address.to_string()]);
        command.args(["--runtime-api-address", &runtime_api.to_string()]);
        command.args(arguments).current_dir(folder.path());
        command.env("LAMBDA_TASK_ROOT", folder.path()).env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256");
        // Lambda does not set its root certificates.
        command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
        command.envs(variables.iter().copied());
        let mut child = Child::start(&mut command, &folder.path().join("log"))?;
        child.listens(address).await.context("aws-lambda-rie")?;
        Ok(Self { address, child, _folder: folder })
    }

    pub fn call(&self, event: &str) -> Call {
        Call::post(self.address, PATH, event.to_owned())
    }

    /// The end of the emulator's and the Function's output.
    pub fn said(&self) -> String {
        self.child.said()
    }
}
