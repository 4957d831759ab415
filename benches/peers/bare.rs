//! The limit: the same processes with the same bootstraps, driven by a loop that does nothing else.
//!
//! The body of each HTTP request goes to the process that asks for the next invocation, and its response goes back. No
//! records, no log, no permissions, no limits. With `writes`, also the two writes of a direct execution, in the
//! embedded store. The loop runs in a separate process (this program again), like the service.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::Context as _;
use bytes::Bytes;
use hot_paths::engine::{Writes, running_task};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex, mpsc, oneshot},
};

use crate::{
    args::BareArgs,
    child::{Child, free_address},
    context::Context,
    dev::Dev,
    functions::Language,
    packages,
};

#[derive(Serialize, Deserialize)]
struct Setup {
    listen: SocketAddr,
    processes: usize,
    program: PathBuf,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

/// A running loop.
pub struct Bare {
    pub address: SocketAddr,
    _child: Child,
    _folder: tempfile::TempDir,
}

impl Bare {
    /// Starts a loop with this many processes of the hello Function, started in the same way as `dev` starts its own.
    pub async fn start(
        context: &Context,
        dev: &Dev,
        language: Language,
        processes: usize,
        writes: bool,
    ) -> anyhow::Result<Self> {
        let folder = context.scratch()?;
        let code = folder.path().join("code");
        language.write(&code)?;
        let bootstraps = Dev::bootstraps(&dev.data_dir);
        let path = packages::path(context)?;
        let (program, arguments) = match language {
            Language::Node => {
                let heap = ["--expose-gc", "--max-semi-space-size=12", "--max-old-space-size=231"];
                let mut arguments: Vec<_> = heap.map(str::to_owned).into();
                arguments.push(bootstraps.join("index.mjs").display().to_string());
                (where_is("node", &["-p", "process.execPath"], &path)?, arguments)
            }
            Language::Python => {
                let bootstrap = bootstraps.join("bootstrap.py").display().to_string();
                let arguments = vec!["-u".to_owned(), "-B".to_owned(), bootstrap];
                (where_is("python3", &["-c", "import sys; print(sys.executable)"], &path)?, arguments)
            }
        };
        let environment = [
            ("_HANDLER", "index.handler".to_owned()),
            ("AWS_EXECUTION_ENV", format!("AWS_Lambda_{}", language.runtime())),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_FUNCTION_NAME", "hello".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/hello".to_owned()),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "stream".to_owned()),
            ("LAMBDA_TASK_ROOT", code.display().to_string()),
            ("LAMBDA_RUNTIME_DIR", bootstraps.display().to_string()),
            ("PATH", path),
            ("TZ", ":UTC".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
        let listen = free_address()?;
        let setup = Setup { listen, processes, program, arguments, environment };
        fs::write(folder.path().join("bare.json"), serde_json::to_vec(&setup)?)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--bare-loop").arg(folder.path());
        if writes {
            command.arg("--writes").arg(folder.path().join("database.sqlite"));
        }
        let mut child = Child::start(&mut command, &folder.path().join("log"))?;
        child.listens(listen).await.context("the bare loop")?;
        Ok(Self { address: listen, _child: child, _folder: folder })
    }
}

/// The program that a version manager's shim would start.
fn where_is(name: &str, question: &[&str], path: &str) -> anyhow::Result<PathBuf> {
    let output = Command::new(name)
        .args(question)
        .env("PATH", path)
        .output()
        .with_context(|| format!("{name} does not start"))?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

// --- The process of the loop ------------------------------------------------------------------------------------------

/// An invocation, and the sender for its response.
type Invocation = (Bytes, oneshot::Sender<Bytes>);

/// Serves until it is killed.
pub async fn serve(args: &BareArgs) -> anyhow::Result<()> {
    let setup: Setup = serde_json::from_slice(&fs::read(args.folder.join("bare.json"))?)?;
    let writes = match &args.writes {
        Some(database) => Some(Arc::new(Writes::open(database).await?)),
        None => None,
    };
    // The first process to ask takes the invocation that has waited longest.
    let (invocations, queue) = mpsc::channel::<Invocation>(1024);
    let queue = Arc::new(Mutex::new(queue));
    let mut processes = Vec::new();
    for _ in 0..setup.processes {
        processes.push(start_process(&setup, &args.folder, queue.clone()).await?);
    }
    let listener = TcpListener::bind(setup.listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (invocations, writes) = (invocations.clone(), writes.clone());
        serve_connection(stream, move |request| front(request, invocations.clone(), writes.clone()));
    }
}

async fn front(
    request: Request<Incoming>,
    invocations: mpsc::Sender<Invocation>,
    writes: Option<Arc<Writes>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let done = async move {
        let body = request.into_body().collect().await.map_err(|_| ())?.to_bytes();
        let begun = match &writes {
            Some(writes) => {
                let task = running_task(writes.next_id(), "hello");
                Some((writes, writes.begin(&task).await.map_err(|_| ())?, task))
            }
            None => None,
        };
        let (answer, answered) = oneshot::channel();
        invocations.send((body, answer)).await.map_err(|_| ())?;
        let result = answered.await.map_err(|_| ())?;
        if let Some((writes, run, task)) = begun {
            writes.complete(&task, &run).await.map_err(|_| ())?;
        }
        Ok::<_, ()>(plain(StatusCode::OK, result))
    };
    let broken = |()| plain(StatusCode::INTERNAL_SERVER_ERROR, Bytes::from_static(b"the loop broke"));
    Ok(done.await.unwrap_or_else(broken))
}

async fn start_process(
    setup: &Setup,
    folder: &Path,
    queue: Arc<Mutex<mpsc::Receiver<Invocation>>>,
) -> anyhow::Result<tokio::process::Child> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let current: Arc<Mutex<Option<oneshot::Sender<Bytes>>>> = Arc::default();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (queue, current) = (queue.clone(), current.clone());
            serve_connection(stream, move |request| runtime_api(request, queue.clone(), current.clone()));
        }
    });
    let mut command = tokio::process::Command::new(&setup.program);
    command.args(&setup.arguments).env_clear().envs(&setup.environment);
    command.env("AWS_LAMBDA_RUNTIME_API", address.to_string()).current_dir(folder.join("code"));
    command.stdin(Stdio::null()).kill_on_drop(true);
    Ok(command.spawn()?)
}

async fn runtime_api(
    request: Request<Incoming>,
    queue: Arc<Mutex<mpsc::Receiver<Invocation>>>,
    current: Arc<Mutex<Option<oneshot::Sender<Bytes>>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() == Method::GET {
        let Some((event, answer)) = queue.lock().await.recv().await else {
            return Ok(plain(StatusCode::GONE, Bytes::new()));
        };
        *current.lock().await = Some(answer);
        let mut response = plain(StatusCode::OK, event);
        let headers = [
            ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
            ("lambda-runtime-deadline-ms", "4102444800000"),
            ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:hello"),
            ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0"),
        ];
        for (name, value) in headers {
            response.headers_mut().insert(name, http::HeaderValue::from_static(value));
        }
        return Ok(response);
    }
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    if let Some(answer) = current.lock().await.take() {
        let _ = answer.send(body);
    }
    Ok(plain(StatusCode::ACCEPTED, Bytes::from_static(b"{\"status\":\"OK\"}")))
}

fn serve_connection<F, R>(stream: TcpStream, handler: F)
where
    F: Fn(Request<Incoming>) -> R + Send + 'static,
    R: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    tokio::spawn(async move {
        let service = service_fn(handler);
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    });
}

fn plain(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}
