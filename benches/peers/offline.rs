//! The Serverless Framework's local server: npm `serverless` 3 with `serverless-offline` 13.

use std::{fs, net::SocketAddr, process::Command};

use anyhow::Context as _;

use crate::{
    child::{Child, free_address},
    context::Context,
    functions::Language,
    packages,
};

/// A running `serverless offline` that answers `GET /hello`.
pub struct Offline {
    pub address: SocketAddr,
    _child: Child,
    _folder: tempfile::TempDir,
}

impl Offline {
    pub async fn start(context: &Context) -> anyhow::Result<Self> {
        let packages = packages::npm(context, "serverless", false)?;
        // Inside the folder of the packages, so that node finds them.
        let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&packages)?;
        Language::Node.write(folder.path())?;
        fs::write(
            folder.path().join("serverless.yml"),
            "service: bench\nframeworkVersion: '3'\nplugins: [serverless-offline]\n\
             provider:\n  name: aws\n  runtime: nodejs20.x\n  stage: dev\n\
             functions:\n  hello:\n    handler: index.handler\n    events:\n      - httpApi: 'GET /hello'\n",
        )?;
        let (address, lambda, websocket) = (free_address()?, free_address()?, free_address()?);
        let mut command = Command::new("node");
        command.arg(packages.join("node_modules/serverless/bin/serverless.js")).args(["offline", "start"]);
        command.args(["--host", "127.0.0.1", "--httpPort", &address.port().to_string()]);
        command.args(["--lambdaPort", &lambda.port().to_string(), "--websocketPort", &websocket.port().to_string()]);
        command.env("SLS_TELEMETRY_DISABLED", "1").env("SLS_NOTIFICATIONS_MODE", "off").env("CI", "1");
        command.env("HOME", folder.path()).current_dir(folder.path());
        let mut child = Child::start(&mut command, &folder.path().join("log"))?;
        child.listens(address).await.context("serverless offline")?;
        Ok(Self { address, _child: child, _folder: folder })
    }
}
