//! Where credentials are found, and to whom they are sent.

use std::fs;

use super::*;

/// Files under a working directory `w` and a home `h`, and variables; nobody is at the terminal.
fn search(args: ConnectArgs, files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<String, String> {
    search_asking(args, files, variables, &|_| false)
}

fn search_asking(
    args: ConnectArgs,
    files: &[(&str, &str)],
    variables: &[(&str, &str)],
    confirm: &dyn Fn(&str) -> bool,
) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in files {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
    let home = dir.path().join("h");
    let working_dir = dir.path().join("w");
    let around =
        Surroundings { variable: &lookup, working_dir: &working_dir, home: Some(&home), confirm, note: &|_| () };
    let args = ConnectArgs { credentials: args.credentials.map(|file| dir.path().join(file)), ..args };
    match args.search(&around) {
        Ok((base, Credential::Bearer(token))) => Ok(format!("{base} bearer {}", token.expose())),
        Ok((base, Credential::OAuth1(keys))) => Ok(format!("{base} oauth1 {}", keys.consumer_key)),
        Err(e) => Err(format!("{e:#}").replace(&format!("{}/", dir.path().display()), "")),
    }
}

const HERE: (&str, &str) = ("w/.tasklane/credentials", "API_HOST=localhost:1\nAPI_ACCESS_TOKEN=here");
const MINE: (&str, &str) = ("h/.tasklane/credentials", "API_HOST=localhost:2\nAPI_ACCESS_TOKEN=mine");
const EXH: (&str, &str) = (
    "h/.exh/credentials",
    "API_HOST=exh.example.com\nAPI_OAUTH_CONSUMER_KEY=exh\nAPI_OAUTH_CONSUMER_SECRET=a\nAPI_OAUTH_TOKEN=b\nAPI_OAUTH_TOKEN_SECRET=c",
);
const NAMED: (&str, &str) = ("named", "API_HOST=localhost:3\nAPI_ACCESS_TOKEN=named");
const VARIABLES: &[(&str, &str)] = &[("API_HOST", "localhost:4"), ("API_ACCESS_TOKEN", "variable")];

fn flags(host: Option<&str>, credentials: Option<&str>, access_token: Option<&str>) -> ConnectArgs {
    ConnectArgs {
        host: host.map(str::to_owned),
        url: None,
        credentials: credentials.map(PathBuf::from),
        access_token: access_token.map(str::to_owned),
    }
}

#[test]
fn the_nearest_place_wins() {
    let none = || flags(None, None, None);
    let all = [HERE, MINE, EXH, NAMED];
    assert_eq!(search(flags(None, Some("named"), None), &all, VARIABLES), ok("http://localhost:3 bearer named"));
    assert_eq!(search(none(), &all, VARIABLES), ok("http://localhost:4 bearer variable"));
    assert_eq!(search(none(), &all, &[]), ok("http://localhost:1 bearer here"));
    assert_eq!(search(none(), &[MINE, EXH], &[]), ok("http://localhost:2 bearer mine"));
    assert_eq!(search(none(), &[EXH], &[]), ok("https://api.exh.example.com oauth1 exh"));
}

#[test]
fn a_file_above_the_working_directory_is_found_but_not_the_homes_or_one_above_that() {
    let dir = tempfile::tempdir().unwrap();
    let nearest = |working_dir: &str, home: &str| {
        let (working_dir, home) = (dir.path().join(working_dir), dir.path().join(home));
        let around = Surroundings {
            variable: &|_| None,
            working_dir: &working_dir,
            home: Some(&home),
            confirm: &|_| false,
            note: &|_| (),
        };
        nearest_file(&around).strip_prefix(dir.path()).unwrap().display().to_string()
    };
    for folder in ["p/.tasklane", "home/.tasklane", ".tasklane"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
        fs::write(dir.path().join(folder).join("credentials"), "").unwrap();
    }
    assert_eq!(nearest("p", "home"), "p/.tasklane/credentials");
    assert_eq!(nearest("p/a/b", "home"), "p/.tasklane/credentials");
    assert_eq!(nearest("home/a", "home"), "home/a/.tasklane/credentials", "which does not exist");
    assert_eq!(nearest("q", "home"), "q/.tasklane/credentials", "the folder above is also above the home folder");
}

const STRANGER: (&str, &str) = ("w/.tasklane/credentials", "API_HOST=evil.example\nAPI_ACCESS_TOKEN=bait");

fn ok(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

#[test]
fn a_credential_is_sent_only_to_the_host_that_it_was_found_with() {
    let host = |host: &str| flags(Some(host), None, None);
    assert_eq!(search(host("127.0.0.1:1"), &[HERE, MINE], &[]), ok("http://127.0.0.1:1 bearer here"), "its own");
    assert_eq!(search(host("localhost:2"), &[HERE, MINE], VARIABLES), ok("http://localhost:2 bearer mine"));
    assert_eq!(search(host("exh.example.com"), &[HERE, MINE, EXH], &[]), ok("https://api.exh.example.com oauth1 exh"));
    insta::assert_snapshot!(search(host("localhost:9"), &[HERE, MINE], VARIABLES).unwrap_err(), @"the credentials in the environment (API_ACCESS_TOKEN, API_OAUTH_…) are for http://localhost:4, and credentials are sent only to the host that they were found with. Set --access-token or API_ACCESS_TOKEN for this service, or name a file with --credentials");
    // A host in the environment works like the flag.
    assert!(search(flags(None, None, None), &[HERE], &[("API_HOST", "localhost:8")]).is_err());
    assert_eq!(
        search(flags(None, None, None), &[HERE, MINE], &[("API_HOST", "localhost:2")]),
        ok("http://localhost:2 bearer mine")
    );
    // A credential without a host may be used with any.
    assert_eq!(
        search(host("localhost:9"), &[], &[("API_ACCESS_TOKEN", "loose")]),
        ok("http://localhost:9 bearer loose")
    );
    // Naming both is explicit.
    let both = flags(Some("localhost:9"), Some("named"), None);
    assert_eq!(search(both, &[NAMED], VARIABLES), ok("http://localhost:9 bearer named"));
}

#[test]
fn a_token_of_the_command_line_is_not_sent_to_a_host_that_the_working_directory_names() {
    let token = |host| flags(host, None, Some("flag"));
    assert_eq!(search(token(Some("localhost:9")), &[HERE], VARIABLES), ok("http://localhost:9 bearer flag"));
    assert_eq!(search(token(None), &[HERE], VARIABLES), ok("http://localhost:4 bearer flag"));
    assert_eq!(search(token(None), &[HERE, MINE], &[]), ok("http://localhost:2 bearer flag"));
    for place in [HERE, STRANGER] {
        let refused = search_asking(token(None), &[place], &[], &|_| true);
        assert_eq!(refused, Err("which service? Set --host or API_HOST".to_owned()));
    }
}

#[test]
fn a_host_that_only_the_working_directory_names_must_be_this_machine_or_be_confirmed() {
    insta::assert_snapshot!(search(flags(None, None, None), &[STRANGER, MINE], &[]).unwrap_err(), @"w/.tasklane/credentials names the service https://api.evil.example. It is not on this machine, and the author of this directory chose it. If you trust it, use --host evil.example");
    for almost in ["localhost.evil.example", "http://127.0.0.1.evil.example", "https://evil.example/localhost"] {
        let text = format!("API_HOST={almost}\nAPI_ACCESS_TOKEN=bait");
        search(flags(None, None, None), &[("w/.tasklane/credentials", &text)], &[]).unwrap_err();
    }
    let asked = std::cell::RefCell::new(String::new());
    let yes = |question: &str| {
        asked.replace(question.to_owned());
        true
    };
    let confirmed = search_asking(flags(None, None, None), &[STRANGER], &[], &yes);
    assert_eq!(confirmed, ok("https://api.evil.example bearer bait"));
    assert!(asked.borrow().contains("https://api.evil.example") && asked.borrow().contains("w/.tasklane/credentials"));
    let named = flags(Some("evil.example"), None, None);
    assert_eq!(search(named, &[STRANGER], &[]), ok("https://api.evil.example bearer bait"), "named, so confirmed");
}

#[test]
fn a_url_is_used_unchanged_with_credentials_that_are_meant_for_it() {
    let url = |url: &str, credentials: Option<&str>| ConnectArgs {
        url: Some(url.to_owned()),
        ..flags(None, credentials, None)
    };
    let stage = "https://abc.execute-api.eu-west-1.amazonaws.com/prod";
    assert_eq!(search(url(stage, Some("named")), &[NAMED], VARIABLES), Ok(format!("{stage} bearer named")));
    assert!(search(url(stage, None), &[HERE, EXH], &[]).unwrap_err().contains("only to the host"));
    assert!(search(url("example.com", None), &[HERE], &[]).unwrap_err().contains("expected a URL"), "no scheme");
}

#[test]
fn a_file_that_others_can_write_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials");
    fs::write(&path, MINE.1).unwrap();
    for (mode, is_read) in [(0o600, true), (0o400, true), (0o644, true), (0o664, false), (0o602, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(read(&path, &|_| ()).map_err(|e| e.kind()).is_ok(), is_read, "{mode:o}");
    }
}

#[test]
fn the_error_lists_the_places_that_were_searched() {
    insta::assert_snapshot!(search(flags(None, None, None), &[], &[]).unwrap_err(), @"no credentials found in the environment (API_ACCESS_TOKEN, API_OAUTH_…), w/.tasklane/credentials, h/.tasklane/credentials, h/.exh/credentials. Start a service with `tasklane dev`, or name a file with --credentials");
    insta::assert_snapshot!(search(flags(None, Some("nowhere"), None), &[HERE], &[]).unwrap_err(), @"nowhere cannot be read: No such file or directory (os error 2)");
    insta::assert_snapshot!(search(flags(None, Some("named"), None), &[HERE, ("named", "API_HOST=x")], &[]).unwrap_err(), @"named holds no credentials: expected API_ACCESS_TOKEN, or the four API_OAUTH_… values");
    insta::assert_snapshot!(search(flags(None, None, None), &[HERE], &[("API_OAUTH_TOKEN", "s3cret")]).unwrap_err(), @"the credentials in the environment (API_ACCESS_TOKEN, API_OAUTH_…) are incomplete: API_OAUTH_CONSUMER_KEY, API_OAUTH_CONSUMER_SECRET, API_OAUTH_TOKEN_SECRET are missing");
    insta::assert_snapshot!(search(flags(None, None, None), &[], &[("API_ACCESS_TOKEN", "s3cret")]).unwrap_err(), @"the credentials in the environment (API_ACCESS_TOKEN, API_OAUTH_…) have no API_HOST; use --host");
    insta::assert_snapshot!(search(flags(None, None, Some("s3cret")), &[], &[]).unwrap_err(), @"which service? Set --host or API_HOST");
}
