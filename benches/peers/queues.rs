//! The queues that people choose otherwise, each with a server and a worker in node, and tasklane as one more.

use std::{
    collections::HashMap,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::{
    child::{Child, free_address},
    context::Context,
    dev::Dev,
    functions, http, packages,
};

/// How many jobs run at once.
pub const SLOTS: u16 = 64;

/// A queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    Tasklane,
    BullMq,
    BullMqSandboxed,
    GraphileWorker,
    PgBoss,
    Restate,
}

impl Peer {
    pub const ALL: [Self; 6] =
        [Self::Tasklane, Self::Restate, Self::GraphileWorker, Self::BullMqSandboxed, Self::BullMq, Self::PgBoss];

    /// As `infra/bench/queues/peers.mjs` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tasklane => "tasklane",
            Self::BullMq => "bullmq",
            Self::BullMqSandboxed => "bullmq-sandboxed",
            Self::GraphileWorker => "graphile-worker",
            Self::PgBoss => "pg-boss",
            Self::Restate => "restate",
        }
    }

    /// For people.
    pub fn described(self) -> &'static str {
        match self {
            Self::Tasklane => "tasklane",
            Self::BullMq => "BullMQ",
            Self::BullMqSandboxed => "BullMQ, sandboxed",
            Self::GraphileWorker => "graphile-worker",
            Self::PgBoss => "pg-boss",
            Self::Restate => "Restate",
        }
    }
}

/// A queue that runs, with everything that belongs to it.
pub struct Queue {
    peer: Peer,
    /// Where it is, for the programs in `infra/bench/queues`.
    env: HashMap<&'static str, String>,
    programs: PathBuf,
    /// Ended in this order.
    children: Vec<Child>,
    dev: Option<Dev>,
    folder: tempfile::TempDir,
}

impl Queue {
    /// Starts it with a no-op that tells a listener of this port when it begins, if there is one.
    pub async fn start(context: &Context, peer: Peer, starts: Option<u16>) -> anyhow::Result<Self> {
        let programs = packages::npm(context, "queues", false)?;
        for program in ["peers.mjs", "worker.mjs", "sandboxed.mjs", "client.mjs"] {
            fs::copy(context.repository.join("infra/bench/queues").join(program), programs.join(program))?;
        }
        let env = HashMap::from([("SLOTS", SLOTS.to_string())]);
        let folder = context.scratch()?;
        let mut queue = Self { peer, env, programs, children: Vec::new(), dev: None, folder };
        if let Some(port) = starts {
            queue.env.insert("STARTS", port.to_string());
        }
        match peer {
            Peer::Tasklane => queue.tasklane(context, starts).await?,
            Peer::BullMq | Peer::BullMqSandboxed => queue.redis().await?,
            Peer::GraphileWorker | Peer::PgBoss => queue.postgres().await?,
            Peer::Restate => queue.restate().await?,
        }
        Ok(queue)
    }

    /// Runs the client and returns what it has measured.
    pub async fn measure(&self, what: &str, jobs: u64) -> anyhow::Result<Value> {
        let mut client = self.node("client.mjs");
        client.args([self.peer.name(), what, &jobs.to_string()]).stderr(Stdio::piped());
        let output = tokio::task::spawn_blocking(move || client.output()).await??;
        if !output.status.success() {
            bail!("the client of {}: {}", self.peer.name(), String::from_utf8_lossy(&output.stderr));
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("the client of {}", self.peer.name()))
    }

    /// The memory of the server, without workers, in MB.
    pub fn memory(&self) -> anyhow::Result<f64> {
        let id = match (&self.dev, self.children.first()) {
            (Some(dev), _) => dev.id(),
            (None, Some(server)) => server.id(),
            (None, None) => bail!("nothing runs"),
        };
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes / 1024.0)
    }

    fn node(&self, program: &str) -> Command {
        let mut node = Command::new("node");
        node.arg(self.programs.join(program)).envs(&self.env).current_dir(&self.programs);
        node
    }

    async fn tasklane(&mut self, context: &Context, starts: Option<u16>) -> anyhow::Result<()> {
        let tell = starts.map_or_else(String::new, |port| {
            format!(
                "const socket = require('net').connect({port}, '127.0.0.1');\n\
                 const tell = data => socket.write(`${{data.id}} ${{performance.timeOrigin + performance.now()}}\\n`);\n"
            )
        });
        let call = if starts.is_some() { "tell(event.data);" } else { "" };
        let code = format!("{tell}exports.handler = async event => {{ {call} }};\n");
        let dev = Dev::start_with(context, SLOTS, |folder| functions::write_code(folder, "noop", &code)).await?;
        let credentials = fs::read_to_string(dev.data_dir.join("credentials"))?;
        let token = credentials.lines().find_map(|line| line.strip_prefix("API_ACCESS_TOKEN="));
        let token = token.context("there is no API_ACCESS_TOKEN in the credentials")?;
        self.env.insert("TASKLANE", format!("http://{}", dev.address));
        self.env.insert("AUTHORIZATION", format!("Bearer {}", token.trim_matches(['\'', '"'])));
        self.dev = Some(dev);
        Ok(())
    }

    async fn redis(&mut self) -> anyhow::Result<()> {
        let address = free_address()?;
        let mut redis = Command::new("redis-server");
        redis.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""]);
        // Each acknowledged write is on the disk.
        redis.args(["--appendonly", "yes", "--appendfsync", "always", "--dir"]).arg(self.folder.path());
        self.server(&mut redis, address).await.context("redis-server (Debian: apt-get install redis-server)")?;
        self.env.insert("REDIS", format!("redis://{address}"));
        self.worker(None).await
    }

    async fn postgres(&mut self) -> anyhow::Result<()> {
        let programs = postgres_programs()?;
        let (address, data) = (free_address()?, self.folder.path().join("postgres"));
        fs::create_dir(&data)?;
        let user = if nix::unistd::geteuid().is_root() {
            // PostgreSQL refuses to run as root.
            let user = nix::unistd::User::from_name("postgres")?.context("there is no user postgres")?;
            for folder in [self.folder.path(), data.as_path()] {
                chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
            }
            Some("postgres")
        } else {
            None
        };
        let as_user = |program: &str| match user {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(programs.join(program));
                command
            }
            None => Command::new(programs.join(program)),
        };
        let mut initdb = as_user("initdb");
        initdb.args(["--auth=trust", "--username=bench", "--no-instructions", "-D"]).arg(&data);
        packages::succeed(initdb.current_dir("/"), "initdb")?;
        let mut server = as_user("postgres");
        server.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &address.port().to_string(), "-k", ""]);
        self.server(server.current_dir("/"), address).await.context("postgres")?;
        self.env.insert("POSTGRES", format!("postgres://bench@{address}/postgres"));
        // It creates the tables.
        let until = Instant::now() + Duration::from_secs(60);
        while let Err(error) = self.measure("create", 0).await {
            if Instant::now() > until {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.worker(None).await
    }

    async fn restate(&mut self) -> anyhow::Result<()> {
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
        let package = format!("node_modules/@restatedev/restate-server-linux-{architecture}/bin/restate-server");
        let (ingress, admin, node, service) = (free_address()?, free_address()?, free_address()?, free_address()?);
        let mut restate = Command::new(self.programs.join(package));
        restate.arg("--base-dir").arg(self.folder.path().join("restate")).current_dir(self.folder.path());
        restate
            .env("RESTATE_INGRESS__BIND_ADDRESS", ingress.to_string())
            .env("RESTATE_ADMIN__BIND_ADDRESS", admin.to_string())
            .env("RESTATE_BIND_ADDRESS", node.to_string())
            .env("RESTATE_ADVERTISED_ADDRESS", format!("http://{node}"))
            .env("RESTATE_TELEMETRY_DISABLED", "true")
            .env("DO_NOT_TRACK", "1");
        self.server(&mut restate, ingress).await.context("restate-server")?;
        self.env.insert("RESTATE", format!("http://{ingress},http://{admin}"));
        self.worker(Some(service)).await?;
        let body = json!({ "uri": format!("http://{service}") }).to_string();
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            match http::Call::post(admin, "/deployments", body.clone()).once().await {
                Ok((200..300, _)) => return Ok(()),
                answer if Instant::now() > until => bail!("Restate does not take the service: {answer:?}"),
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn server(&mut self, command: &mut Command, address: SocketAddr) -> anyhow::Result<()> {
        let mut child = Child::start(command, &self.folder.path().join("server.log"))?;
        child.listens(address).await?;
        self.children.push(child);
        Ok(())
    }

    /// Starts the worker, which may listen on an address, and waits until it works.
    async fn worker(&mut self, address: Option<SocketAddr>) -> anyhow::Result<()> {
        let mut command = self.node("worker.mjs");
        command.arg(self.peer.name());
        if let Some(address) = address {
            command.arg(address.port().to_string());
        }
        let log = self.folder.path().join("worker.log");
        let child = Child::start(&mut command, &log)?;
        let until = Instant::now() + Duration::from_secs(60);
        while !child.said().lines().any(|line| line == "ready") {
            if Instant::now() > until {
                bail!("the worker of {} is not ready:\n{}", self.peer.name(), child.said());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Before the server, so that it does not complain.
        self.children.push(child);
        Ok(())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // The worker first, so that it does not complain about the server.
        while let Some(child) = self.children.pop() {
            drop(child);
        }
    }
}

/// A port on loopback that was free a moment ago.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The folder of PostgreSQL's programs: Debian has one for each version.
fn postgres_programs() -> anyhow::Result<PathBuf> {
    let root = Path::new("/usr/lib/postgresql");
    let mut versions: Vec<_> = fs::read_dir(root)
        .with_context(|| format!("no PostgreSQL below {} (Debian: apt-get install postgresql)", root.display()))?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|programs| programs.join("postgres").exists())
        .collect();
    versions.sort();
    versions.pop().with_context(|| format!("no PostgreSQL below {}", root.display()))
}
