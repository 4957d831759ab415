//! Hostile Functions: each tries to get out of the jail, and fails.

use std::fs;

use serde_json::json;
use tasklane_model::{FunctionSpec, MemoryLimit, Runtime, TimeLimit};

use super::harness::{Deployed, World, environment};

/// Tries one thing and returns the result as a string: `got: …` or `error: …`.
const NODE: &str = r#"
const fs = require('fs'), net = require('net'), cp = require('child_process');
const tries = {
  read: (file) => fs.readFileSync(file, 'utf8'),
  list: (folder) => fs.readdirSync(folder).join(' '),
  write: (file) => { fs.writeFileSync(file, 'x'); return 'written'; },
  remove: (file) => { fs.rmSync(file); return 'removed'; },
  signal: (pid) => { process.kill(Number(pid), 'SIGKILL'); return 'killed'; },
  shell: (line) => cp.execSync(line, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }),
  connect: (port) => new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), '127.0.0.1', () =>
      socket.write('POST /2018-06-01/runtime/invocation/x/response HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'));
    let text = '';
    socket.on('data', (data) => (text += data)).on('error', reject).on('close', () => resolve(text));
  }),
};
exports.handler = async ([what, on]) => {
  try { return 'got: ' + (await tries[what](on)); } catch (error) { return 'error: ' + (error.code ?? error.message); }
};
"#;

const PYTHON: &str = r#"
import errno, os, signal, socket, subprocess
def connect(port):
    with socket.create_connection(('127.0.0.1', int(port)), 1) as s:
        s.sendall(b'POST /2018-06-01/runtime/invocation/x/response HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
        return s.recv(1000).decode()
def write(file):
    with open(file, 'w') as f: f.write('x')
    return 'written'
tries = {
    'read': lambda file: open(file).read(),
    'list': lambda folder: ' '.join(sorted(os.listdir(folder))),
    'write': write,
    'remove': lambda file: os.remove(file) or 'removed',
    'signal': lambda pid: os.kill(int(pid), signal.SIGKILL) or 'killed',
    'shell': lambda line: subprocess.run(line, shell=True, check=True, capture_output=True, text=True).stdout,
    'connect': connect,
}
def handler(event, context):
    what, on = event
    try:
        return 'got: ' + tries[what](on)
    except OSError as error:
        return 'error: ' + errno.errorcode.get(error.errno, str(error))
    except Exception as error:
        return 'error: ' + type(error).__name__
"#;

struct Hostile {
    world: World,
    function: Deployed,
}

impl Hostile {
    /// One in each language, each in a world of its own.
    async fn each() -> [Self; 2] {
        let (a, b) = (World::new(), World::new());
        let (node, python) = (a.node(NODE).await, b.python(PYTHON).await);
        [Self { world: a, function: node }, Self { world: b, function: python }]
    }

    async fn tries(&self, what: &str, on: impl ToString) -> String {
        self.world.run(&self.function, json!([what, on.to_string()])).await.returned().as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn is_refused(&self, answer: &str, codes: &[&str]) {
        let refused = codes.iter().any(|code| answer == format!("error: {code}"));
        assert!(refused, "{}: {answer}", self.function.spec.configuration.runtime().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn code_is_read_only_and_at_lambdas_path() {
    for hostile in Hostile::each().await {
        let code = hostile.tries("list", "/var/task").await;
        assert!(code == "got: index.js" || code == "got: index.py", "{code}");
        assert_eq!(hostile.tries("shell", "pwd").await.trim(), "got: /var/task");
        let file = format!("/var/task/{}", &code[5..]);
        for target in [file.as_str(), "/var/task/new", "/var/runtime/index.mjs", "/usr/new", "/new", "/dev/new"] {
            hostile.is_refused(&hostile.tries("write", target).await, &["EROFS", "EACCES", "EPERM"]);
        }
        hostile.is_refused(&hostile.tries("remove", &file).await, &["EROFS", "EACCES", "EPERM"]);
        let chmod = hostile.tries("shell", format!("chmod u+w {file} && echo x > {file}")).await;
        assert!(chmod.starts_with("error: "), "{chmod}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_has_its_own_tmp_with_lambdas_512_mb() {
    for hostile in Hostile::each().await {
        let mark = format!("/tmp/mark-{}", hostile.world.new_id());
        assert_eq!(hostile.tries("list", "/tmp").await, "got: ");
        assert_eq!(hostile.tries("write", &mark).await, "got: written");
        assert!(!std::path::Path::new(&mark).exists(), "it is not on the machine");
        assert_eq!(hostile.tries("read", &mark).await, "got: x", "a warm run finds it");
        let other = hostile.world.deploy(&[("index.js", NODE)], |spec| {
            spec.name = "other".to_owned().try_into().unwrap();
        });
        let ran = hostile.world.run(&other.await, json!(["list", "/tmp"])).await;
        assert_eq!(ran.returned(), json!("got: "), "no other Function's");
        let filled = "head -c 600000000 /dev/zero > /tmp/full; stat -c %s /tmp/full";
        let filled = hostile.tries("shell", format!("({filled}) 2>/dev/null || true; rm -f /tmp/full")).await;
        let bytes: u64 = filled.trim().trim_start_matches("got: ").parse().unwrap();
        assert!((500_000_000..=536_870_912).contains(&bytes), "{bytes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_programs_of_the_machine_are_visible() {
    for hostile in Hostile::each().await {
        let data = hostile.world.folder.path().canonicalize().unwrap();
        fs::write(data.join("credentials"), "API_ACCESS_TOKEN=secret").unwrap();
        for secret in [data.join("credentials"), data.join("database.sqlite"), data.join("lambda/run")] {
            let tried = hostile.tries(if secret.is_dir() { "list" } else { "read" }, secret.display()).await;
            hostile.is_refused(&tried, &["ENOENT", "EACCES"]);
        }
        // Folders that hold secrets of users or of the machine, or files that could start something outside of the
        // jail.
        for folder in ["/root", "/home", "/run", "/var", "/mnt", "/srv", "/sys", "/boot", "/etc"] {
            let listed = hostile.tries("list", folder).await;
            let seen: Vec<_> = listed.trim_start_matches("got: ").split_whitespace().collect();
            let expected: &[&str] = match folder {
                // An interpreter may be installed there, but nothing else is visible.
                "/root" | "/home" => &[".pyenv", "linuxbrew"],
                "/run" => &["tasklane"],
                "/var" => &["node_modules", "runtime", "task"],
                "/etc" => &[
                    "alternatives",
                    "ca-certificates",
                    "crypto-policies",
                    "gai.conf",
                    "group",
                    "host.conf",
                    "hosts",
                    "java-8-openjdk",
                    "java-11-openjdk",
                    "java-17-openjdk",
                    "java-21-openjdk",
                    "java-25-openjdk",
                    "ld.so.cache",
                    "ld.so.conf",
                    "ld.so.conf.d",
                    "localtime",
                    "mime.types",
                    "nsswitch.conf",
                    "os-release",
                    "passwd",
                    "pki",
                    "protocols",
                    "resolv.conf",
                    "services",
                    "ssl",
                ],
                _ => &[],
            };
            let unexpected: Vec<_> = seen.iter().filter(|name| !expected.contains(name)).collect();
            assert!(unexpected.is_empty() || listed == "error: ENOENT", "{folder}: {listed}");
        }
        for file in ["/etc/shadow", "/proc/kcore", "/proc/1/environ", "/proc/1/root/etc/shadow"] {
            let tried = hostile.tries("read", file).await;
            assert!(tried.starts_with("error: ") || tried == "got: ", "{file}: {tried}");
        }
        for file in ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger"] {
            hostile.is_refused(&hostile.tries("write", file).await, &["EROFS", "EACCES", "EPERM", "ENOENT"]);
        }
        let passwd = hostile.tries("read", "/etc/passwd").await;
        assert!(passwd.starts_with("got: sbx_user1051:") && passwd.lines().count() == 1, "{passwd}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_other_processes_nor_the_servers_privileges_are_available() {
    for hostile in Hostile::each().await {
        let sleeper = tokio::process::Command::new("sleep").arg("86451.5").kill_on_drop(true).spawn().unwrap();
        let commands = hostile.tries("shell", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").await;
        assert!(!commands.contains("86451.5") && !commands.contains("tasklane"), "{commands}");
        for pid in [sleeper.id().unwrap(), std::process::id()] {
            hostile.is_refused(&hostile.tries("signal", pid).await, &["ESRCH", "EPERM"]);
        }
        // It may signal every process that it can see: the server and the machine are not affected.
        let _ = hostile.world.run(&hostile.function, json!(["signal", "-1"])).await;
        assert!(sleeper.id().is_some_and(|pid| fs::metadata(format!("/proc/{pid}")).is_ok()));

        let status = hostile.tries("read", "/proc/self/status").await;
        for none in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(status.contains(&format!("{none}:\t0000000000000000")), "{status}");
        }
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        let files = hostile.tries("shell", "ls -l /proc/self/fd/ | grep -v pipe").await;
        assert!(!files.contains("memfd") && !files.contains("tasklane"), "{files}");
        assert!(hostile.tries("shell", "mount -t tmpfs none /tmp").await.starts_with("error: "));
        assert!(hostile.tries("shell", "su -c id").await.starts_with("error: "));
        let own_root =
            hostile.tries("shell", "unshare -rm sh -c 'mount --bind / /tmp && umount /var/task; ls /tmp'").await;
        assert!(!own_root.contains("home") && !own_root.contains("root"), "{own_root}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_environment_and_other_functions_are_hidden() {
    for hostile in Hostile::each().await {
        let other = hostile
            .world
            .deploy(&[("index.js", "exports.handler = async () => process.env.AWS_LAMBDA_RUNTIME_API")], |spec| {
                spec.name = "other".to_owned().try_into().unwrap();
                spec.configuration.environment = environment(&[("PASSWORD", "of-the-other")]);
            })
            .await;
        let api = hostile.world.run(&other, json!({})).await.returned();
        let port = api.as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        let everything = hostile.tries("shell", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; env; ls -R /run").await;
        assert!(!everything.contains("of-the-other") && !everything.contains("CARGO"), "{everything}");
        // Tries to use the other's Runtime API, as the other's process would.
        let heard = hostile.tries("connect", &port).await;
        assert!(!heard.contains("HTTP/1.1"), "{heard}");
        assert_eq!(hostile.world.run(&other, json!({})).await.returned(), api, "the other goes on");
    }
}

/// A Function with its own client, which knows only `AWS_LAMBDA_RUNTIME_API`.
#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_api_on_loopback_serves_its_own_process() {
    let world = World::new();
    let own = "const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
exports.handler = async () => (await fetch(`http://${host}:${port}/2018-06-01/runtime/invocation/x/response`, { method: 'POST' })).status";
    assert_eq!(world.run(&world.node(own).await, json!({})).await.returned(), json!(400));
}

/// Starts processes until it fails, and ends them.
const BOMB: &str = "import os, signal, time
def handler(event, context):
    children = []
    try:
        for _ in range(3000):
            pid = os.fork()
            if pid == 0:
                time.sleep(60)
                os._exit(0)
            children.append(pid)
    except OSError:
        pass
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return len(children)
";

#[tokio::test(flavor = "multi_thread")]
async fn a_function_has_as_many_processes_as_in_lambda_and_no_more() {
    let roomy = |spec: &mut FunctionSpec| {
        spec.configuration.set_runtime(Runtime::new("python3.11"));
        spec.configuration.memory_limit = MemoryLimit::new(4096).unwrap();
        spec.configuration.time_limit = TimeLimit::new(60).unwrap();
    };
    let world = World::new();
    let ran = world.run(&world.deploy(&[("index.py", BOMB)], roomy).await, json!({})).await;
    let started = ran.returned().as_u64().unwrap();
    assert!((900..1024).contains(&started), "{started}");

    // Without a jail the kernel does not limit them, but the server counts.
    let world = World::unjailed();
    let ran = world.run(&world.deploy(&[("index.py", BOMB)], roomy).await, json!({})).await;
    assert!(ran.failed().message.ends_with("signal: killed"), "{:?}", ran.failed());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_cannot_take_much_more_than_its_memory_between_two_checks() {
    let world = World::new();
    let function = world.python("def handler(event, context):\n    return len(bytearray(3 << 30))\n").await;
    let ran = world.run(&function, json!({})).await;
    assert!(["MemoryError", "Runtime.ExitError"].contains(&ran.failed().name.as_str()), "{:?}", ran.failed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_functions_variables_have_no_effect_outside_of_the_jail() {
    let world = World::new();
    let function = world
        .deploy(&[("index.js", "exports.handler = async () => process.env.LD_PRELOAD")], |spec| {
            spec.configuration.environment =
                environment(&[("LD_PRELOAD", "/var/task/none.so"), ("SECRET", "in-no-command-line")]);
        })
        .await;
    let ran = world.run(&function, json!({})).await;
    assert_eq!(ran.returned(), json!("/var/task/none.so"));
    // The loader complains once, in the Function's own process: bubblewrap, outside of the jail, did not get the
    // variable.
    assert!(!ran.log.iter().any(|line| line.contains("bwrap")), "{:?}", ran.log);
    assert!(!super::limits::is_running("in-no-command-line"));
}

/// Shows that the attempts above fail because of the jail.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_jail_the_same_attempts_succeed() {
    let (a, b) = (World::unjailed(), World::unjailed());
    assert_eq!(a.lambda.unjailed(), Some("it is switched off"));
    let (node, python) = (a.node(NODE).await, b.python(PYTHON).await);
    for hostile in [Hostile { world: a, function: node }, Hostile { world: b, function: python }] {
        let secret = hostile.world.folder.path().join("credentials");
        fs::write(&secret, "secret").unwrap();
        assert_eq!(hostile.tries("read", secret.display()).await, "got: secret");
        assert_eq!(hostile.tries("write", hostile.world.folder.path().join("new").display()).await, "got: written");
        let commands = hostile.tries("shell", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").await;
        assert!(commands.contains("tasklane"), "{commands}");
        let mut sleeper = tokio::process::Command::new("sleep").arg("60").kill_on_drop(true).spawn().unwrap();
        assert_eq!(hostile.tries("signal", sleeper.id().unwrap()).await, "got: killed");
        sleeper.wait().await.unwrap();
        let api = "exports.handler = async () => process.env.AWS_LAMBDA_RUNTIME_API";
        let other = |spec: &mut FunctionSpec| spec.name = "other".to_owned().try_into().unwrap();
        let other = hostile.world.deploy(&[("index.js", api)], other).await;
        let api = hostile.world.run(&other, json!({})).await.returned();
        let heard = hostile.tries("connect", api.as_str().unwrap().rsplit(':').next().unwrap()).await;
        assert!(heard.contains("HTTP/1.1 400"), "{heard}");
    }
}
