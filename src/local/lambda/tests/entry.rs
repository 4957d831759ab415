//! A Function's process starts with none of the server's privileges, descriptors and keys, and nothing of the
//! Function's takes effect before they are dropped. Each test runs in both kinds of jail.

use std::{collections::BTreeMap, fs, process::Command, sync::OnceLock};

use serde_json::{Value, json};
use tasklane_model::{FunctionSpec, Runtime};

use super::harness::{World, also_as_an_ordinary_user, environment};
use crate::package::testing;

/// A library that, when it is loaded into a program, prints the program's name and privileges.
const INTRUDER: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
unsigned int la_version(unsigned int version) { return version; }
__attribute__((constructor)) static void begin(void) {
    char line[256], name[64] = "";
    struct rlimit limit;
    getrlimit(RLIMIT_NPROC, &limit);
    FILE *status = fopen("/proc/self/status", "r");
    dprintf(2, "intruder:");
    while (status && fgets(line, sizeof line, status)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "Cap", 3) || !strncmp(line, "Uid:", 4) || !strncmp(line, "Name:", 5)) dprintf(2, " %s", line);
    }
    dprintf(2, " processes:%ld\n", (long)limit.rlim_cur);
}
"#;

/// The intruder as a shared library, compiled once.
fn intruder() -> &'static [u8] {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (source, library) = (folder.path().join("intruder.c"), folder.path().join("intruder.so"));
        fs::write(&source, INTRUDER).unwrap();
        let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().unwrap();
        assert!(made.success());
        fs::read(library).unwrap()
    })
}

const NODE: &[u8] = b"exports.handler = async () => [process.getuid(), process.env.LD_PRELOAD, process.env.OWN]";

/// Checks that an intruder ran with the Function's own privileges only.
#[track_caller]
fn has_no_rights(line: &str) {
    let none = "0000000000000000";
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(line.contains(&format!("{set}:\t{none}")), "{line}");
    }
    assert!(!line.contains("Uid:\t0\t") && line.ends_with("processes:1024"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_code_of_a_function_runs_before_privileges_are_dropped() {
    also_as_an_ordinary_user("entry::no_code_of_a_function_runs_before_privileges_are_dropped").await;
    let world = World::new();
    let package = testing::zip_with_modes(&[
        ("index.js", 0o644, NODE),
        ("evil.so", 0o755, intruder()),
        // Libraries of programs that change users and set limits.
        ("libcap-ng.so.0", 0o755, intruder()),
        ("lib/libsmartcols.so.1", 0o755, intruder()),
    ]);
    for variables in [
        &[("LD_PRELOAD", "/var/task/evil.so"), ("OWN", "kept")][..],
        &[("LD_PRELOAD", "evil.so"), ("LD_LIBRARY_PATH", "/var/task/lib:/var/task:"), ("OWN", "kept")],
        &[("LD_AUDIT", "/var/task/evil.so"), ("OWN", "kept")],
        &[("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=4096"), ("OWN", "kept")],
    ] {
        let function =
            world.deploy_zip(package.clone(), |spec| spec.configuration.environment = environment(variables)).await;
        let ran = world.run(&function, json!({})).await;
        let variables: BTreeMap<_, _> = variables.iter().copied().collect();
        let returned = ran.returned();
        assert_ne!(returned[0], json!(0));
        let preload = variables.get("LD_PRELOAD").map_or(Value::Null, |value| json!(value));
        assert_eq!((&returned[1], &returned[2]), (&preload, &json!("kept")));
        let intruders: Vec<_> = ran.log.iter().filter(|line| line.contains("intruder:")).collect();
        let is_loaded = variables.keys().any(|name| ["LD_PRELOAD", "LD_AUDIT"].contains(name));
        // The library works: it is loaded into the Function's own program, and into no other.
        assert_eq!(intruders.len(), usize::from(is_loaded), "{:?}", ran.log);
        intruders.into_iter().for_each(|line| has_no_rights(line));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packages_libraries_are_loaded_only_into_the_function() {
    also_as_an_ordinary_user("entry::a_packages_libraries_are_loaded_only_into_the_function").await;
    let world = World::new();
    // None of these files is a valid library, so the entry program would not start if it loaded one of them.
    let names = ["libcap-ng.so.0", "libsmartcols.so.1", "libselinux.so.1", "libgcc_s.so.1", "libm.so.6", "libc.so.6"];
    let mut files: Vec<_> = names.iter().map(|name| (*name, 0o755, &b"no library"[..])).collect();
    // A static program loads none of them.
    let source = "#include <stdio.h>\nint main(void) { puts(\"it ran\"); return 0; }";
    let folder = tempfile::tempdir().unwrap();
    let (file, program) = (folder.path().join("main.c"), folder.path().join("main"));
    fs::write(&file, source).unwrap();
    assert!(Command::new("cc").args(["-static", "-o"]).args([&program, &file]).status().unwrap().success());
    let program = fs::read(program).unwrap();
    files.push(("bootstrap", 0o755, &program));
    let function = world.deploy_zip(testing::zip_with_modes(&files), |spec| {
        spec.configuration.set_runtime(Runtime::new("provided.al2023"))
    });
    let ran = world.run(&function.await, json!({})).await;
    assert!(ran.failed().message.ends_with("Runtime exited without providing a reason"), "{:?}", ran.failed());
    assert_eq!(ran.own_lines()[0], "it ran");
}

const DESCRIPTORS: &str = "import os, resource
def handler(event, context):
    own = {n: os.readlink('/proc/self/fd/' + n) for n in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + n)}
    limits = {name: resource.getrlimit(getattr(resource, 'RLIMIT_' + name)) for name in ('NOFILE', 'NPROC', 'CORE')}
    return {'descriptors': own, 'limits': limits}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_function_inherits_no_descriptors_and_has_its_own_limits() {
    let name = "entry::a_function_inherits_no_descriptors_and_has_its_own_limits";
    also_as_an_ordinary_user(name).await;
    let folder = fs::File::open("/").unwrap();
    for world in [World::new(), World::unjailed()] {
        // As a shell or a supervisor could leave one to the server: open in everything that it starts.
        let inherited = nix::unistd::dup(&folder).unwrap();
        let ran = world.run(&world.python(DESCRIPTORS).await, json!({})).await.returned();
        drop(inherited);
        let descriptors = ran["descriptors"].as_object().unwrap();
        for (number, leads_to) in descriptors {
            let leads_to = leads_to.as_str().unwrap();
            // Its standard streams, and files that the interpreter and the bootstrap have opened.
            let own = ["/dev/null", "pipe:", "socket:", "/proc/"].iter().any(|start| leads_to.starts_with(start));
            assert!(own || number.parse::<u32>().unwrap() < 3, "{number} is {leads_to}: {descriptors:?}");
        }
        if world.lambda.unjailed().is_none() {
            assert_eq!(ran["limits"], json!({"NOFILE": [1024, 1024], "NPROC": [1024, 1024], "CORE": [0, 0]}));
        }
    }
}

/// Adds a key to the session keyring, or lists the keys that are there.
const KEYS: &str = "import ctypes, errno, os, platform, struct
libc = ctypes.CDLL(None, use_errno=True)
ADD, KEYCTL = (248, 250) if platform.machine() == 'x86_64' else (217, 219)
SESSION = -3
def handler(event, context):
    if event == 'add':
        return libc.syscall(ADD, b'user', b'tasklane-test', b'secret', 6, SESSION) > 0 or errno.errorcode[ctypes.get_errno()]
    ring = ctypes.create_string_buffer(4096)
    size = libc.syscall(KEYCTL, 11, SESSION, ring, 4096)
    if size < 0:
        return errno.errorcode[ctypes.get_errno()]
    names = []
    for key in struct.unpack(f'{size // 4}i', ring.raw[:size]):
        name = ctypes.create_string_buffer(512)
        libc.syscall(KEYCTL, 6, key, name, 512)
        names.append(name.value.decode())
    return names
";

#[tokio::test(flavor = "multi_thread")]
async fn a_function_sees_neither_the_servers_keys_nor_those_of_others() {
    also_as_an_ordinary_user("entry::a_function_sees_neither_the_servers_keys_nor_those_of_others").await;
    let jailed = World::new();
    let function = jailed.python(KEYS).await;
    assert_eq!(jailed.run(&function, json!("add")).await.returned(), json!("EPERM"));
    assert_eq!(jailed.run(&function, json!("read")).await.returned(), json!("EPERM"));

    // Without a jail it may have keys, but only its own.
    let world = World::unjailed();
    let named = async |name: &str| {
        let name = name.to_owned().try_into().unwrap();
        let change = |spec: &mut FunctionSpec| {
            spec.name = name;
            spec.configuration.set_runtime(Runtime::new("python3.11"));
        };
        world.deploy(&[("index.py", KEYS)], change).await
    };
    let (one, other) = (named("one").await, named("other").await);
    assert_eq!(world.run(&one, json!("add")).await.returned(), json!(true));
    let seen = world.run(&one, json!("read")).await.returned();
    assert!(seen.to_string().contains("tasklane-test"), "{seen}");
    assert_eq!(world.run(&other, json!("read")).await.returned(), json!([]));
}

/// Tries to become root in a user namespace, and to open a socket that bypasses the machine's network.
const DOORS: &str = "import ctypes, errno, os, socket, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def outcome(result):
    return 'done' if result >= 0 else errno.errorcode[ctypes.get_errno()]
def opens(family):
    try:
        socket.socket(family, socket.SOCK_STREAM).close()
        return 'done'
    except OSError as error:
        return errno.errorcode[error.errno]
def handler(event, context):
    return {
        'unshare': outcome(libc.unshare(0x10000000)),
        'clone': subprocess.run(['unshare', '--user', 'true'], capture_output=True).returncode != 0,
        'vsock': opens(40), 'unix': opens(socket.AF_UNIX), 'inet': opens(socket.AF_INET),
        'io_uring': outcome(libc.syscall(425, 1, 0)),
        'thread': subprocess.run(['true']).returncode,
        'status': [line.split() for line in open('/proc/self/status') if line.startswith(('Cap', 'Seccomp:', 'NoNewPrivs'))],
    }
";

#[tokio::test(flavor = "multi_thread")]
async fn user_namespaces_and_dangerous_calls_are_refused() {
    also_as_an_ordinary_user("entry::user_namespaces_and_dangerous_calls_are_refused").await;
    let world = World::new();
    let ran = world.run(&world.python(DOORS).await, json!({})).await.returned();
    assert_eq!((&ran["unshare"], &ran["clone"]), (&json!("EPERM"), &json!(true)));
    assert_eq!((&ran["vsock"], &ran["io_uring"]), (&json!("EAFNOSUPPORT"), &json!("ENOSYS")));
    assert_eq!((&ran["unix"], &ran["inet"], &ran["thread"]), (&json!("done"), &json!("done"), &json!(0)));
    let none = "0000000000000000";
    let mut expected: Vec<_> =
        ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"].map(|name| json!([name, none])).to_vec();
    expected.extend([json!(["NoNewPrivs:", "1"]), json!(["Seccomp:", "2"])]);
    assert_eq!(ran["status"], json!(expected));
}
