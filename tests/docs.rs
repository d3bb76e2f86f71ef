//! Holds README and docs/ to what tidegate does: every example is parsed or run, every name and link exists.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tidegate::plan::{CODES, Severity, parse_file};
use tidegate::serve::metrics::METRICS;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(root().join(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// README and every page of docs/, as paths from the root.
fn pages() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = docs
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| path.strip_prefix(root()).unwrap().to_owned())
        .collect();
    pages.push("README.md".into());
    pages.sort();
    pages
}

/// A fenced block of a page.
struct Block {
    language: String,
    text: String,
    /// Page and line, for people.
    at: String,
}

fn blocks(page: &Path) -> Vec<Block> {
    let text = read(page);
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let body: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let at = format!("{}:{}", page.display(), number + 1);
        blocks.push(Block { language: language.to_owned(), text: body.join("\n") + "\n", at });
    }
    blocks
}

/// The value of a marker comment, e.g. `# refused: PL07`.
fn marker<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(name)?.strip_prefix(": "))
}

/// A part of `spec` put into the smallest plan: what the part does not say itself is filled in.
fn whole(text: &str) -> String {
    if text.contains("apiVersion:") {
        return text.to_owned();
    }
    const REST: [&str; 3] = [
        "service: web",
        "versions: {v1: {labels: {version: v1}}, v2: {labels: {version: v2}}, v3: {labels: {version: v3}}}",
        "traffic: {v1: 100}",
    ];
    let given = |line: &str| text.lines().any(|other| other.split(':').next() == line.split(':').next());
    let mut plan =
        "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {name: web, namespace: shop}\nspec:\n"
            .to_owned();
    for line in text.lines().chain(REST.into_iter().filter(|line| !given(line))) {
        plan.push_str(&format!("  {line}\n"));
    }
    plan
}

#[test]
fn every_plan_in_the_docs_is_accepted_or_refused_as_it_says() {
    let mut count = 0;
    let is_plan = |block: &Block| block.language == "yaml" && !block.text.contains("kind: Configuration");
    for block in pages().iter().flat_map(|page| blocks(page)).filter(is_plan) {
        let text = whole(&block.text);
        let file = parse_file("plan.yaml", text.as_bytes());
        let found: BTreeSet<&str> = file.findings.iter().map(|finding| finding.code).collect();
        let meant: BTreeSet<&str> = ["refused", "warned"]
            .iter()
            .filter_map(|name| marker(&block.text, name))
            .flat_map(|m| m.split(' '))
            .collect();
        assert_eq!(found, meant, "{}: {:#?}\n{text}", block.at, file.findings);
        let refused = marker(&block.text, "refused").is_some();
        assert_eq!(file.has_errors(), refused, "{}: {:?}", block.at, file.findings);
        assert!(refused || !file.documents.is_empty(), "{}: no document", block.at);
        count += 1;
    }
    assert!(count > 25, "only {count} examples were found");
}

#[test]
fn every_configuration_in_the_docs_is_accepted_and_every_field_of_it_is_described() {
    let mut count = 0;
    for block in pages().iter().flat_map(|page| blocks(page)).filter(|block| block.text.contains("kind: Configuration"))
    {
        let read = tidegate::config::configuration(Path::new("tidegate.yaml"), block.text.as_bytes());
        assert!(read.is_ok(), "{}: {read:?}", block.at);
        count += 1;
    }
    assert!(count > 0);
    let operations = read("docs/operations.md");
    let schema = tidegate::config::schema();
    let fields_of = |list: &str| schema["properties"][list]["items"]["properties"].as_object().unwrap().keys();
    for field in fields_of("clusters").chain(fields_of("repositories")) {
        let described = operations.contains(&format!("`{field}`")) || operations.contains(&format!("[].{field}`"));
        assert!(described, "docs/operations.md does not describe `{field}`");
    }
}

/// One `$ command` of a console block, with the lines that it is said to print.
struct Session {
    command: String,
    output: Vec<String>,
    at: String,
}

fn sessions(block: &Block) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    // What the demo prints has commands in it that a reader could type.
    let is_demo = block.text.starts_with("$ tidegate demo");
    for line in block.text.lines() {
        match line.strip_prefix("$ ").filter(|_| !is_demo || sessions.is_empty()) {
            Some(command) => {
                sessions.push(Session { command: command.to_owned(), output: Vec::new(), at: block.at.clone() });
            }
            None => {
                sessions.last_mut().unwrap_or_else(|| panic!("{}: no command", block.at)).output.push(line.to_owned())
            }
        }
    }
    sessions
}

/// What differs from run to run: instants, durations, commits.
fn steady(line: &str) -> String {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    if words.get(1) == Some(&"s") && words[0].parse::<f64>().is_ok() {
        words[0] = "…";
    }
    if words.first() == Some(&"back") {
        words[1] = "…";
    }
    words.join(" ")
}

/// Whether the lines are what was printed, where `…` alone stands for any lines.
fn assert_printed(session: &Session, output: &Output) {
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<String> = printed.trim_end().lines().map(steady).collect();
    let mut at = 0;
    let meant: Vec<String> = session.output.iter().map(|line| steady(line)).collect();
    let parts: Vec<&[String]> = meant.split(|line| line == "…").collect();
    for (place, part) in parts.iter().enumerate() {
        let is_there = |start: usize| lines.get(start..start + part.len()).is_some_and(|there| there == *part);
        let last = place + 1 == parts.len();
        let start = match (place, last) {
            (0, _) => is_there(0).then_some(0),
            (_, true) => lines.len().checked_sub(part.len()).filter(|start| *start >= at && is_there(*start)),
            _ => (at..=lines.len()).find(|start| is_there(*start)),
        };
        let start = start.unwrap_or_else(|| panic!("{}: {part:#?} is not what was printed:\n{printed}", session.at));
        at = start + part.len();
        assert!(place > 0 || !last || at == lines.len(), "{}: more was printed:\n{printed}", session.at);
    }
}

fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn tidegate(folder: &Path, arguments: &[String]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1").env_remove("TIDEGATE_LOG").output().unwrap()
}

/// Commands that ask a cluster are not run; their flags must exist.
fn assert_flags_exist(folder: &Path, session: &Session, arguments: &[String]) {
    let help = tidegate(folder, &[arguments[0].clone(), "--help".into()]);
    assert!(help.status.success(), "{}: no command `{}`", session.at, arguments[0]);
    let help = String::from_utf8(help.stdout).unwrap();
    for flag in arguments.iter().filter(|word| word.starts_with('-')) {
        let known = help.split([' ', ',', '\n']).any(|word| word == flag);
        assert!(known, "{}: `tidegate {}` has no {flag}", session.at, arguments[0]);
    }
}

#[test]
fn every_command_in_the_docs_exists_and_prints_what_they_show() {
    let mut run = 0;
    for page in pages() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("plans")).unwrap();
        for block in blocks(&page) {
            let path =
                block.text.lines().next().and_then(|line| line.strip_prefix("# ")).filter(|_| block.language == "yaml");
            if let Some(path) = path.filter(|path| path.ends_with(".yaml")) {
                std::fs::write(folder.path().join(path), &block.text).unwrap();
            }
            let sessions = if block.language == "console" { sessions(&block) } else { Vec::new() };
            for session in sessions {
                let arguments = words(&session.command);
                if arguments[0] != "tidegate" {
                    continue;
                }
                let arguments = &arguments[1..];
                let offline = ["check", "schema", "demo", "completions", "--help", "--version"];
                let plain = |word: &String| !word.starts_with('<') && word != "|" && word != ">";
                if offline.contains(&arguments[0].as_str()) && arguments.iter().all(plain) {
                    run += 1;
                    assert_printed(&session, &tidegate(folder.path(), arguments));
                } else {
                    assert_flags_exist(folder.path(), &session, arguments);
                }
            }
        }
    }
    assert!(run >= 6, "only {run} commands were run");
}

#[test]
fn every_flag_is_described() {
    let operations = read("docs/operations.md");
    for command in [
        "run", "check", "diff", "status", "why", "history", "rollback", "advance", "pause", "resume", "stop", "schema",
        "demo",
    ] {
        let help = tidegate(root(), &[command.into(), "--help".into()]);
        let help = String::from_utf8(help.stdout).unwrap();
        let flags = help.split([' ', ',', '\n']).filter(|word| word.starts_with("--") && *word != "--help");
        for flag in flags {
            assert!(operations.contains(&format!("`{flag}")), "docs/operations.md lacks {flag} of {command}");
        }
    }
}

#[test]
fn the_table_of_findings_is_the_one_of_the_code() {
    let page = read("docs/findings.md");
    let severity = |severity: &Severity| if *severity == Severity::Error { "error" } else { "warning" };
    let mut table = "| code | severity | meaning |\n|---|---|---|\n".to_owned();
    for (code, how_bad, meaning) in CODES {
        table.push_str(&format!("| {code} | {} | {meaning} |\n", severity(how_bad)));
    }
    let (head, rest) = page.split_once("<!-- codes -->\n").unwrap();
    let (there, tail) = rest.split_once("<!-- end -->").unwrap();
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        std::fs::write(root().join("docs/findings.md"), format!("{head}<!-- codes -->\n{table}<!-- end -->{tail}"))
            .unwrap();
        return;
    }
    assert_eq!(there, table, "run the test with TIDEGATE_BLESS=1 to write the table");
}

#[test]
fn every_code_that_the_docs_name_exists() {
    let known: BTreeSet<&str> = CODES.iter().map(|(code, ..)| *code).collect();
    for page in pages() {
        for word in read(&page).split(|c: char| !c.is_ascii_alphanumeric()) {
            let looks_like_one = word.len() == 4
                && ["FI", "PL", "VS", "DR", "TG"].iter().any(|room| word.starts_with(room))
                && word[2..].chars().all(|c| c.is_ascii_digit());
            assert!(!looks_like_one || known.contains(word), "{} names {word}, which no finding has", page.display());
        }
    }
}

#[test]
fn every_code_is_explained_outside_the_table() {
    let findings = read("docs/findings.md");
    let explained = read("docs/plan.md") + findings.split("<!-- end -->").last().unwrap();
    for (code, ..) in CODES {
        assert!(explained.contains(code), "docs/plan.md does not say when {code} comes up");
    }
}

#[test]
fn the_table_of_metrics_is_the_one_of_the_code() {
    let page = read("docs/metrics.md");
    let mut table = "| metric | type | unit | labels | is |\n|---|---|---|---|---|\n".to_owned();
    for metric in &METRICS {
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let (name, kind, unit, help) = (metric.name, metric.kind.name(), metric.unit, metric.help);
        table.push_str(&format!("| `{name}` | {kind} | {unit} | {labels} | {help} |\n"));
    }
    let (head, rest) = page.split_once("<!-- metrics -->\n").unwrap();
    let (there, tail) = rest.split_once("<!-- end -->").unwrap();
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        let page = format!("{head}<!-- metrics -->\n{table}<!-- end -->{tail}");
        std::fs::write(root().join("docs/metrics.md"), page).unwrap();
        return;
    }
    assert_eq!(there, table, "run the test with TIDEGATE_BLESS=1 to write the table");
}

#[test]
fn every_metric_and_label_that_the_docs_name_exists() {
    let known: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    for page in pages() {
        for word in read(&page).split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            let looks_like_one = word.starts_with("tidegate_") && word.len() > "tidegate_".len();
            assert!(!looks_like_one || known.contains(word), "{} names {word}, which is no metric", page.display());
        }
    }
    let tail = read("docs/metrics.md").split("<!-- end -->").last().unwrap().to_owned();
    for label in METRICS.iter().flat_map(|metric| metric.labels) {
        let described = tail.contains(&format!("`{label}`"));
        assert!(described, "docs/metrics.md does not describe the label {label}");
    }
}

/// The texts that `=> "…"` gives in a source file.
fn names_in(source: &str) -> BTreeSet<String> {
    let arms = source.lines().filter_map(|line| line.split_once("=> \"")?.1.strip_suffix("\","));
    arms.map(str::to_owned).collect()
}

#[test]
fn every_reason_event_and_phase_is_described() {
    let page = read("docs/status.md");
    let mut names = names_in(&read("src/rollout/reason.rs"));
    names.extend(names_in(&read("src/rollout/transition.rs")));
    assert!(names.len() > 30 && names.contains("ClusterAway") && names.contains("StepEntered"), "{names:?}");
    names.insert("DriftCorrected".to_owned());
    names.extend(names_in(&read("src/rollout/cause.rs")));
    names.extend(names_in(&read("src/reconcile/restoring.rs")));
    let schema: serde_json::Value = serde_json::from_str(&read("docs/status.schema.json")).unwrap();
    let plan = &schema["properties"]["plans"]["items"]["properties"];
    names.extend(plan["phase"]["enum"].as_array().unwrap().iter().map(|phase| phase.as_str().unwrap().to_owned()));
    names.extend(plan.as_object().unwrap().keys().cloned());
    for name in names {
        assert!(page.contains(&format!("| `{name}` |")), "docs/status.md does not describe `{name}`");
    }
}

#[test]
fn the_schemas_are_the_ones_that_are_printed() {
    for name in ["status", "history"] {
        let printed = tidegate(root(), &["schema".into(), format!("--{name}")]);
        let (file, printed) = (format!("docs/{name}.schema.json"), String::from_utf8(printed.stdout).unwrap());
        if std::env::var_os("TIDEGATE_BLESS").is_some() {
            std::fs::write(root().join(&file), printed).unwrap();
            continue;
        }
        assert!(
            read(&file) == printed,
            "{file} changes: run the test with TIDEGATE_BLESS=1, and say so in CHANGELOG.md"
        );
    }
}

#[test]
fn every_field_is_in_the_plan_reference() {
    fn fields(schema: &serde_json::Value, found: &mut BTreeSet<String>) {
        if let Some(properties) = schema["properties"].as_object() {
            found.extend(properties.keys().cloned());
        }
        match schema {
            serde_json::Value::Object(map) => map.values().for_each(|value| fields(value, found)),
            serde_json::Value::Array(list) => list.iter().for_each(|value| fields(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    fields(&tidegate::plan::schema(), &mut found);
    assert!(found.len() > 30, "{found:?}");
    let page = read("docs/plan.md");
    for field in found {
        assert!(page.contains(&format!("`{field}`")), "docs/plan.md does not describe `{field}`");
    }
}

#[test]
fn every_law_names_tests_that_exist() {
    let page = read("docs/laws.md");
    let laws: Vec<&str> = page.split("\n## ").skip(1).collect();
    assert_eq!(laws.len(), 14);
    for (number, law) in laws.iter().enumerate() {
        assert!(law.starts_with(&format!("{}. ", number + 1)), "{law}");
        let tests: Vec<&str> = law.lines().filter_map(|line| line.strip_prefix("- `")).collect();
        assert!(!tests.is_empty(), "law {} has no test", number + 1);
        for test in tests {
            let (name, file) = test.split_once("` in `").unwrap_or_else(|| panic!("{test}"));
            let file = file.trim_end_matches('`');
            assert!(read(file).contains(&format!("fn {name}(")), "{file} has no {name}");
        }
    }
}

#[test]
fn every_test_that_names_a_law_is_listed_with_it() {
    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    sources(&root().join("tests"), &mut files);
    let page = read("docs/laws.md");
    for file in files {
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let Some(name) = line.trim_start().trim_start_matches("async ").strip_prefix("fn law_") else { continue };
            let name = format!("law_{}", name.split('(').next().unwrap());
            assert!(page.contains(&format!("`{name}`")), "docs/laws.md lacks {name} of {}", file.display());
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    for page in pages().into_iter().chain(["CHANGELOG.md".into()]) {
        let text = read(&page);
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if target.starts_with("https://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(root().join(&path).exists(), "{} links to {target}", page.display());
            let slug = |line: &str| {
                let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
                line.trim_start_matches('#')
                    .trim()
                    .to_lowercase()
                    .chars()
                    .filter(kept)
                    .collect::<String>()
                    .replace(' ', "-")
            };
            let found =
                anchor.is_empty() || read(&path).lines().any(|line| line.starts_with('#') && slug(line) == anchor);
            assert!(found, "{} links to {target}, which has no such heading", page.display());
        }
    }
}
