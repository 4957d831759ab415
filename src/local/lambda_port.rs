//! The Lambda port on one machine, so that the local Lambda itself need not know about ports.

use std::sync::Arc;

use tasklane_lambda_local::{LocalLambda, MachineFailure};
use tasklane_model::{Deployment, FunctionName, FunctionSpec, Invocation, InvokeError, InvokeRequest};
use tasklane_ports::{Code, DeployError, HeldCode, Lambda, PortError, PortFuture};

use super::uploads::FileUploads;

/// The local Lambda as a port.
pub struct LambdaPort {
    /// The local Lambda.
    pub lambda: Arc<LocalLambda>,
    /// Where uploaded code is.
    pub uploads: FileUploads,
}

impl Lambda for LambdaPort {
    fn deploy<'a>(
        &'a self,
        spec: &'a FunctionSpec,
        code: Option<Code>,
        current: Option<&'a Deployment>,
    ) -> PortFuture<'a, Result<Deployment, DeployError>> {
        Box::pin(async move {
            let code = match code {
                None => None,
                Some(Code::Zip(zip)) => Some(zip.into()),
                Some(Code::Image) => Some(tasklane_lambda_local::Code::Image),
                Some(Code::Uploaded(upload)) => {
                    let read = self.uploads.read(&upload).await;
                    let zip = read.map_err(|error| PortError::new("read an upload", error))?;
                    Some(zip.ok_or_else(|| PortError::new("read an upload", "it was removed meanwhile"))?.into())
                }
            };
            self.lambda.deploy(spec, code, current).await.map_err(deploy_error)
        })
    }

    fn holds<'a>(
        &'a self,
        function: &'a FunctionName,
        deployment: &'a Deployment,
    ) -> PortFuture<'a, Result<bool, PortError>> {
        Box::pin(async move { self.lambda.holds(function, deployment).map_err(port_error) })
    }

    fn point_at<'a>(&'a self, _: &'a FunctionName, _: &'a Deployment) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }

    fn code_of<'a>(
        &'a self,
        _: &'a FunctionName,
        deployment: &'a Deployment,
    ) -> PortFuture<'a, Result<Option<HeldCode>, PortError>> {
        Box::pin(async move { Ok(self.lambda.code_of(deployment).await.map_err(port_error)?.map(HeldCode::Bytes)) })
    }

    fn retire<'a>(
        &'a self,
        function: &'a FunctionName,
        kept: &'a [Deployment],
    ) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async move { self.lambda.retire(function, kept).map_err(port_error) })
    }

    fn remove<'a>(&'a self, function: &'a FunctionName) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async move { self.lambda.remove(function).await.map_err(port_error) })
    }

    fn invoke<'a>(&'a self, request: InvokeRequest<'a>) -> PortFuture<'a, Result<Invocation, InvokeError>> {
        Box::pin(self.lambda.invoke(request))
    }
}

/// Converts a failure of this machine to a port's error.
pub fn port_error(failure: MachineFailure) -> PortError {
    PortError { action: failure.action, cause: failure.cause }
}

fn deploy_error(error: tasklane_lambda_local::DeployError) -> DeployError {
    match error {
        tasklane_lambda_local::DeployError::InvalidCode(invalid) => DeployError::InvalidCode(invalid.to_string()),
        tasklane_lambda_local::DeployError::InvalidConfiguration(why) => DeployError::InvalidConfiguration(why),
        tasklane_lambda_local::DeployError::Machine(failure) => DeployError::Port(port_error(failure)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use bytes::Bytes;

    use super::*;
    use std::io::Write as _;

    use crate::logs::{DEFAULT_RETENTION, LocalLogs};
    use tasklane_lambda_local::{JailMode, LocalLambdaConfig};
    use tasklane_model::{Configuration, EntryPoint, ObjectId, Outcome, Runtime, Timestamp};
    use tasklane_ports::{LogPage, Logs as _, RunLogQuery};
    use zip::{ZipWriter, write::SimpleFileOptions};

    /// A package with one file.
    fn package(name: &str, mode: u32, content: &[u8]) -> Vec<u8> {
        let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
        zip.write_all(content).unwrap();
        zip.finish().unwrap().into_inner()
    }

    fn spec(runtime: &str) -> FunctionSpec {
        let entry_point = EntryPoint::parse("index.handler").unwrap();
        let configuration = Configuration::new(entry_point, Runtime::new(runtime));
        FunctionSpec { name: FunctionName::parse("f").unwrap(), configuration }
    }

    /// The port, without a jail and with strict runtimes, and its log store.
    fn port(folder: &std::path::Path) -> (LambdaPort, LocalLogs) {
        let logs = LocalLogs::open(folder, DEFAULT_RETENTION, None).unwrap();
        let mut config = LocalLambdaConfig::new(folder, Arc::new(logs.writer().clone()));
        config.jail = JailMode::Off;
        config.strict_runtimes = true;
        let lambda = LocalLambda::new(config).unwrap();
        (LambdaPort { lambda, uploads: FileUploads::open(folder).unwrap() }, logs)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_log_of_a_run_survives_the_removal_of_its_function() {
        let folder = tempfile::tempdir().unwrap();
        let (lambda, logs) = port(folder.path());
        let spec = spec("provided.al2023");
        let bootstrap = "#!/bin/sh\necho starting\nexit 1\n";
        let code = package("bootstrap", 0o755, bootstrap.as_bytes());
        let deployment = lambda.deploy(&spec, Some(Bytes::from(code).into()), None).await.unwrap();
        let correlation = ObjectId::new(Timestamp::EPOCH, 1);
        let (function, time_limit) = (&spec.name, spec.configuration.time_limit);
        let request =
            InvokeRequest { function, deployment: &deployment, payload: "{}".into(), correlation, time_limit };
        let Outcome::Failed(error) = lambda.invoke(request.clone()).await.unwrap().outcome else { panic!("it ran") };
        assert_eq!(error.name, "Runtime.ExitError");

        lambda.remove(function).await.unwrap();
        assert!(matches!(lambda.invoke(request).await, Err(InvokeError::Refused { .. })));
        let page = LogPage { offset: 0, limit: 100 };
        let (from, to) = (Timestamp::EPOCH, Timestamp::LATEST);
        let query = RunLogQuery { function, correlation, request_id: None, from, since: None, to, page };
        let lines: Vec<_> = logs.of_run(query).await.unwrap().into_iter().map(|line| line.message).collect();
        assert!(lines.contains(&"starting".to_owned()), "{lines:?}");
        assert!(lines.last().unwrap().starts_with("REPORT "), "{lines:?}");
        let store = folder.path().join("logs.sqlite");
        assert_eq!(store.metadata().unwrap().permissions().mode() & 0o777, 0o600, "logs may hold secrets");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_errors_of_deployments_are_distinguished() {
        let folder = tempfile::tempdir().unwrap();
        let (lambda, _logs) = port(folder.path());
        let no_zip = lambda.deploy(&spec("provided.al2023"), Some(Bytes::from("no zip").into()), None).await;
        assert!(matches!(&no_zip, Err(DeployError::InvalidCode(why)) if why.contains("zip")), "{no_zip:?}");
        let zip = package("a", 0o644, b"");
        let dotnet = lambda.deploy(&spec("dotnet8"), Some(Bytes::from(zip).into()), None).await;
        assert!(
            matches!(&dotnet, Err(DeployError::InvalidConfiguration(why)) if why.contains("dotnet8")),
            "{dotnet:?}"
        );
        let no_code = lambda.deploy(&spec("provided.al2023"), None, None).await;
        assert!(matches!(no_code, Err(DeployError::Port(_))), "{no_code:?}");
    }
}
