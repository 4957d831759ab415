use std::{fs, os::unix::fs::PermissionsExt, os::unix::fs::symlink};

use super::*;

/// A machine of its own, whose interpreters are scripts that say what they are.
struct Machine {
    folder: tempfile::TempDir,
    environment: Vec<(String, PathBuf)>,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let environment =
            vec![("HOME".to_owned(), folder.path().join("home")), ("PATH".to_owned(), folder.path().join("bin"))];
        Self { folder, environment }
    }

    fn set(mut self, variable: &str, folder: &str) -> Self {
        self.environment.push((variable.to_owned(), self.folder.path().join(folder)));
        self
    }

    /// An interpreter that says that it has this version, and notes that it was started.
    fn with(self, program: &str, version: &str) -> Self {
        let started = self.started();
        let answer = if program.ends_with("/java") {
            format!("printf '    %s = %s\\n' java.home \"${{0%/bin/java}}\" java.version {version} >&2")
        } else {
            format!("printf '%s\\n' \"$0\" {version} '' '' ''")
        };
        let says = format!("#!/bin/sh\necho \"$0\" >> '{}'\n{answer}\n", started.display());
        self.with_script(program, &says)
    }

    fn with_script(self, program: &str, script: &str) -> Self {
        let file = self.folder.path().join(program);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn started(&self) -> PathBuf {
        self.folder.path().join("started")
    }

    fn runtimes(&self) -> Runtimes {
        let environment = self.environment.iter().map(|(name, folder)| (name.into(), folder.into()));
        Runtimes { managers: Managers::new(environment, self.folder.path()), ..Runtimes::default() }
    }

    /// What is found for a runtime: whether it is the wanted version, how it was found, and its program on this machine.
    async fn found(&self, runtime: &str) -> (bool, String, String) {
        let support = self.runtimes().support(&Runtime::new(runtime)).await;
        let (is_exact, found) = match &*support {
            Support::Exact(found) => (true, found),
            Support::OtherVersion(found) => (false, found),
            other => panic!("{runtime}: {other:?}"),
        };
        let program = found.program.strip_prefix(self.folder.path()).unwrap();
        (is_exact, found.source.to_string(), program.display().to_string())
    }
}

#[tokio::test]
async fn interpreters_are_found_in_the_folder_of_every_version_manager() {
    for (manager, runtime, variable, program, version) in [
        ("nvm", "nodejs22.x", "", "home/.nvm/versions/node/v22.3.0/bin/node", "22.3.0"),
        ("nvm", "nodejs22.x", "NVM_DIR=own", "own/versions/node/v22.3.0/bin/node", "22.3.0"),
        ("fnm", "nodejs22.x", "", "home/.local/share/fnm/node-versions/v22.3.0/installation/bin/node", "22.3.0"),
        ("fnm", "nodejs22.x", "XDG_DATA_HOME=own", "own/fnm/node-versions/v22.3.0/installation/bin/node", "22.3.0"),
        ("fnm", "nodejs22.x", "FNM_DIR=own", "own/node-versions/v22.3.0/installation/bin/node", "22.3.0"),
        ("Volta", "nodejs22.x", "", "home/.volta/tools/image/node/22.3.0/bin/node", "22.3.0"),
        ("Volta", "nodejs22.x", "VOLTA_HOME=own", "own/tools/image/node/22.3.0/bin/node", "22.3.0"),
        ("mise", "nodejs22.x", "", "home/.local/share/mise/installs/node/22.3.0/bin/node", "22.3.0"),
        ("mise", "python3.13", "MISE_DATA_DIR=own", "own/installs/python/3.13.1/bin/python3.13", "3.13.1"),
        ("asdf", "nodejs22.x", "", "home/.asdf/installs/nodejs/22.3.0/bin/node", "22.3.0"),
        ("asdf", "python3.13", "ASDF_DATA_DIR=own", "own/installs/python/3.13.1/bin/python3.13", "3.13.1"),
        ("nodenv", "nodejs22.x", "", "home/.nodenv/versions/22.3.0/bin/node", "22.3.0"),
        ("n", "nodejs22.x", "", "usr/local/n/versions/node/22.3.0/bin/node", "22.3.0"),
        ("pyenv", "python3.13", "", "home/.pyenv/versions/3.13.1/bin/python3.13", "3.13.1"),
        ("pyenv", "python3.13", "PYENV_ROOT=own", "own/versions/3.13.1/bin/python3.13", "3.13.1"),
        (
            "uv",
            "python3.13",
            "",
            "home/.local/share/uv/python/cpython-3.13.1-linux-x86_64-gnu/bin/python3.13",
            "3.13.1",
        ),
        (
            "uv",
            "python3.13",
            "UV_PYTHON_INSTALL_DIR=own",
            "own/cpython-3.13.1-macos-aarch64-none/bin/python3.13",
            "3.13.1",
        ),
        ("python.org", "python3.13", "", "Library/Frameworks/Python.framework/Versions/3.13/bin/python3.13", "3.13.1"),
        ("rbenv", "ruby3.4", "", "home/.rbenv/versions/3.4.1/bin/ruby", "3.4.1"),
        ("rbenv", "ruby3.4", "RBENV_ROOT=own", "own/versions/3.4.1/bin/ruby", "3.4.1"),
        ("RVM", "ruby3.4", "", "home/.rvm/rubies/ruby-3.4.1/bin/ruby", "3.4.1"),
        ("ruby-install", "ruby3.4", "", "opt/rubies/ruby-3.4.1/bin/ruby", "3.4.1"),
        ("mise", "ruby3.4", "", "home/.local/share/mise/installs/ruby/3.4.1/bin/ruby", "3.4.1"),
        ("asdf", "ruby3.4", "", "home/.asdf/installs/ruby/3.4.1/bin/ruby", "3.4.1"),
        ("SDKMAN!", "java21", "", "home/.sdkman/candidates/java/21.0.2-tem/bin/java", "21.0.2"),
        ("SDKMAN!", "java17.al2023", "SDKMAN_DIR=own", "own/candidates/java/17.0.9-amzn/bin/java", "17.0.9"),
        ("mise", "java21", "", "home/.local/share/mise/installs/java/temurin-21.0.2+13.0.LTS/bin/java", "21.0.2"),
        ("asdf", "java21", "", "home/.asdf/installs/java/corretto-21.0.2.13.1/bin/java", "21.0.2.13.1"),
        ("jenv", "java21", "", "home/.jenv/versions/openjdk64-21.0.2/bin/java", "21.0.2"),
        ("IntelliJ IDEA", "java21", "", "home/.jdks/openjdk-21.0.2/bin/java", "21.0.2"),
        ("/usr/lib/jvm", "java21", "", "usr/lib/jvm/java-21-openjdk-amd64/bin/java", "21.0.2"),
        ("/usr/lib/jvm", "java8.al2", "", "usr/lib/jvm/java-1.8.0-openjdk/bin/java", "1.8.0_402"),
        (
            "JavaVirtualMachines",
            "java21",
            "",
            "Library/Java/JavaVirtualMachines/temurin-21.jdk/Contents/Home/bin/java",
            "21.0.2",
        ),
        ("JAVA_HOME", "java21", "JAVA_HOME=opt/jdk-21.0.2", "opt/jdk-21.0.2/bin/java", "21.0.2"),
        ("Homebrew", "ruby3.4", "", "opt/homebrew/opt/ruby@3.4/bin/ruby", "3.4.1"),
        ("Homebrew", "nodejs22.x", "", "opt/homebrew/opt/node@22/bin/node", "22.3.0"),
        ("Homebrew", "python3.13", "", "home/linuxbrew/.linuxbrew/opt/python@3.13/bin/python3.13", "3.13.1"),
        ("Homebrew", "nodejs22.x", "HOMEBREW_PREFIX=own", "own/opt/node@22/bin/node", "22.3.0"),
    ] {
        let mut machine = Machine::new().with(program, version);
        if let Some((name, folder)) = variable.split_once('=') {
            // What the manager's variable names counts, and not its usual folder.
            machine = machine.set(name, folder).with("home/.nvm/versions/node/v22.9.9/bin/other", "22.9.9");
        }
        assert_eq!(machine.found(runtime).await, (true, manager.to_owned(), program.to_owned()), "{variable}");
    }
}

#[tokio::test]
async fn the_newest_patch_of_the_wanted_version_is_used_and_only_it_is_started() {
    let newest = "home/.volta/tools/image/node/22.10.0/bin/node";
    let machine = Machine::new()
        .with("home/.nvm/versions/node/v22.9.0/bin/node", "22.9.0")
        .with("home/.nvm/versions/node/v24.1.0/bin/node", "24.1.0")
        .with("home/.nvm/versions/node/v22.11.0-rc.1/bin/node", "22.11.0-rc.1")
        .with("home/.asdf/installs/nodejs/lts/bin/node", "22.99.0")
        .with(newest, "22.10.0");
    assert_eq!(machine.found("nodejs22.x").await, (true, "Volta".to_owned(), newest.to_owned()));
    assert_eq!(fs::read_to_string(machine.started()).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn the_path_comes_first_unless_it_has_another_version() {
    let elsewhere = "home/.nvm/versions/node/v22.9.0/bin/node";
    let machine = Machine::new().with("bin/node", "22.1.0").with(elsewhere, "22.9.0");
    assert_eq!(machine.found("nodejs22.x").await, (true, "PATH".to_owned(), "bin/node".to_owned()));
    let machine = Machine::new().with("bin/node", "20.1.0").with(elsewhere, "22.9.0");
    assert_eq!(machine.found("nodejs22.x").await, (true, "nvm".to_owned(), elsewhere.to_owned()));
    // Neither is 24.
    assert_eq!(machine.found("nodejs24.x").await, (false, "PATH".to_owned(), "bin/node".to_owned()));
    let machine = Machine::new().with("bin/python3", "3.11.1").with("bin/python3.13", "3.13.2");
    assert_eq!(machine.found("python3.13").await, (true, "PATH".to_owned(), "bin/python3.13".to_owned()));
}

#[tokio::test]
async fn without_the_wanted_version_the_next_newer_one_is_used_or_else_the_newest() {
    let machine = Machine::new()
        .with("home/.nvm/versions/node/v18.1.0/bin/node", "18.1.0")
        .with("home/.nvm/versions/node/v20.2.0/bin/node", "20.2.0")
        .with("home/.nvm/versions/node/v24.3.0/bin/node", "24.3.0");
    for (runtime, used) in [("nodejs22.x", "v24.3.0"), ("nodejs26.x", "v24.3.0"), ("nodejs.x", "v24.3.0")] {
        let program = format!("home/.nvm/versions/node/{used}/bin/node");
        assert_eq!(machine.found(runtime).await, (false, "nvm".to_owned(), program), "{runtime}");
    }
}

#[tokio::test]
async fn what_does_not_work_is_passed_over() {
    let works = "home/.nvm/versions/node/v22.1.0/bin/node";
    let machine = Machine::new()
        // As the wrapper of a version manager that has nothing to run.
        .with_script("bin/node", "#!/bin/sh\necho 'no version is set' >&2\nexit 126\n")
        .with_script("home/.nvm/versions/node/v22.9.0/bin/node", "#!/bin/sh\nexit 1\n")
        .with("home/.volta/tools/image/node/22.8.0/bin/node", "20.0.0")
        .with(works, "22.1.0");
    assert_eq!(machine.found("nodejs22.x").await, (true, "nvm".to_owned(), works.to_owned()));
    let nothing = Machine::new().with("elsewhere/node", "22.1.0");
    let support = nothing.runtimes().support(&Runtime::new("nodejs22.x")).await;
    let Support::Missing(why) = &*support else { panic!("{support:?}") };
    assert_eq!(
        why,
        "no node on the PATH or in a version manager's folder; install Node.js 22, for example with nvm, fnm, Volta, mise, \
         asdf or Homebrew"
    );
}

#[tokio::test]
async fn homebrew_s_links_say_which_release_a_formula_is() {
    let cellar = "opt/homebrew/Cellar/node/26.1.0_1";
    let machine = Machine::new().with(&format!("{cellar}/bin/node"), "26.1.0");
    let opt = machine.folder.path().join("opt/homebrew/opt");
    fs::create_dir(&opt).unwrap();
    symlink("../Cellar/node/26.1.0_1", opt.join("node")).unwrap();
    let program = "opt/homebrew/opt/node/bin/node".to_owned();
    assert_eq!(machine.found("nodejs26.x").await, (true, "Homebrew".to_owned(), program));
}

#[tokio::test]
async fn another_version_runs_with_one_notice_and_an_unknown_language_does_not_run() {
    let runtimes = Runtimes::new(PathBuf::new());
    let old = Runtime::new("python3.4");
    let support = runtimes.support(&old).await;
    assert!(matches!(*support, Support::OtherVersion(_)), "{support:?}");
    let program = |runtime: &Runtime| Program::Zip {
        entry_point: tasklane_model::EntryPoint::parse("index.handler").unwrap(),
        runtime: runtime.clone(),
    };
    assert!(runtimes.first_notice(&program(&old), &support).unwrap().contains("this machine's Python 3."));
    assert_eq!(runtimes.first_notice(&program(&old), &support), None);
    assert!(support.require_exact(&program(&old)).unwrap_err().contains("python3.4"));

    let dotnet = runtimes.support(&Runtime::new("dotnet8")).await;
    assert!(
        matches!(*dotnet, Support::Missing(_)) && dotnet.require_exact(&program(&Runtime::new("dotnet8"))).is_err()
    );
    assert_eq!(*runtimes.support(&Runtime::new("provided.al2023")).await, Support::Bootstrap);
}
