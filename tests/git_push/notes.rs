//! What came of commits, kept as Git notes that git itself reads and writes, too.

use std::path::Path;

use serde_json::{Map, Value, json};
use tidegate::git::{Note, Position, PublishOptions, PushError, SigningKey, Trust, Verify, VerifyMode};

use super::bed::{Bed, WEB, landed, options, says};
use super::support::signing::SshKey;

fn note(commit: &str, plan: &str, said: Value) -> Note {
    let Value::Object(said) = said else { return note(commit, plan, json!({})) };
    Note { commit: commit.to_owned(), plan: plan.to_owned(), cluster: "kind".to_owned(), said, position: None }
}

fn show(bed: &Bed, commit: &str) -> String {
    bed.git(&["notes", "--ref", "tidegate", "show", commit])
}

#[test]
fn a_note_is_read_by_git_and_said_anew_in_its_place() {
    for bed in Bed::all() {
        let (mut publisher, commit) = (bed.publisher(), bed.tip());
        assert_eq!(publisher.notes().unwrap().found, []);
        let [web, api] = [("shop/web", "settled"), ("shop/api", "walking")]
            .map(|(plan, phase)| note(&commit, plan, json!({"phase": phase, "traffic": {"v2": 100}})));
        assert!(publisher.note(&[web.clone(), api]).unwrap());
        let line = r#"{"cluster":"kind","phase":"settled","plan":"shop/web","traffic":{"v2":100}}"#;
        assert!(show(&bed, &commit).lines().any(|shown| shown == line), "{}: {}", bed.name(), show(&bed, &commit));
        bed.git(&["notes", "--ref", "tidegate", "append", "-m", "by hand: looks good", &commit]);
        let back = note(&commit, "shop/api", json!({"phase": "wentBack", "why": "two\nlines"}));
        assert!(publisher.note(std::slice::from_ref(&back)).unwrap());
        assert!(!publisher.note(std::slice::from_ref(&web)).unwrap(), "nothing new is no commit");
        let shown = show(&bed, &commit);
        assert!(shown.contains("by hand: looks good") && shown.contains(line) && !shown.contains("walking"), "{shown}");
        // Another machine, with nothing kept.
        let notes = bed.publisher().notes().unwrap();
        assert_eq!((notes.found, notes.left_out), (vec![back, web], 0), "{}", bed.name());
        assert_eq!(bed.tip(), commit, "the branch is left alone");
        assert_eq!(bed.git(&["rev-list", "--count", "refs/notes/tidegate"]), "3");
        bed.is_linear_and_whole();
        assert!(bed.leftovers().is_empty());
    }
}

#[test]
fn notes_are_found_however_they_are_laid_out() {
    let bed = Bed::file();
    let script = "for n in $(seq 300); do echo $n | git hash-object -w --stdin; done";
    let out = bed.git(&["-c", &format!("alias.many=!{script}"), "many"]);
    let ids: Vec<String> = out.lines().map(str::to_owned).collect();
    assert_eq!(ids.len(), 300);
    let mut publisher = bed.publisher();
    bed.git(&["notes", "--ref", "tidegate", "add", "-m", "flat, by git", &ids[0]]);
    let all: Vec<Note> = ids.iter().map(|id| note(id, "shop/web", json!({"n": id}))).collect();
    assert!(publisher.note(&all[..200]).unwrap());
    assert!(show(&bed, &ids[0]).contains("flat, by git") && show(&bed, &ids[0]).contains(&ids[0]));
    // Whoever adds one with git lays all of them out anew.
    bed.git(&["notes", "--ref", "tidegate", "add", "-m", "by git", &ids[299]]);
    assert!(publisher.note(&all[100..]).unwrap());
    for id in [&ids[0], &ids[150], &ids[250], &ids[299]] {
        assert!(show(&bed, id).contains(&format!("\"n\":\"{id}\"")), "{id}");
    }
    let found = bed.publisher().notes().unwrap().found;
    assert_eq!(found.len(), 300, "none is there twice");
    assert_eq!(bed.git(&["notes", "--ref", "tidegate", "list"]).lines().count(), 300);
    bed.is_linear_and_whole();
}

fn at(note: Note, text: &str) -> Note {
    Note { position: Some(Position::At(text.to_owned())), ..note }
}

fn positions(bed: &Bed, plans: &[&str]) -> Vec<Option<String>> {
    let of: Vec<_> = plans.iter().map(|plan| ((*plan).to_owned(), "kind".to_owned())).collect();
    bed.publisher().positions(&of).unwrap()
}

#[test]
fn a_position_stands_beside_the_notes_and_git_leaves_it_there() {
    for bed in Bed::all() {
        let (mut publisher, commit) = (bed.publisher(), bed.tip());
        assert_eq!(positions(&bed, &["plans/shop/web"]), [None], "{}", bed.name());
        let web = |what: &str| note(&commit, "plans/shop/web", json!({"what": what}));
        let api = at(note(&commit, "plans/shop/api", json!({})), "api");
        // Of several of one plan the last counts.
        assert!(publisher.note(&[at(web("Passed"), "old"), api.clone(), at(web("Settled"), "new")]).unwrap());
        assert!(!publisher.note(&[at(web("Settled"), "new"), api]).unwrap(), "nothing new is no commit");
        assert_eq!(bed.git(&["show", "refs/notes/tidegate:positions/plans/shop/web/kind"]), "new");
        // Whoever writes notes with git, many of them too, keeps it.
        bed.git(&["notes", "--ref", "tidegate", "append", "-m", "by hand", &commit]);
        let script = "for n in $(seq 300); do echo $n | git hash-object -w --stdin; done | \
            while read id; do echo $id $id; done | git notes --ref tidegate copy --stdin; git notes --ref tidegate prune";
        bed.git(&["-c", &format!("alias.more=!{script}"), "more"]);
        assert_eq!(
            positions(&bed, &["plans/shop/web", "plans/shop/api", "plans/shop"]),
            [Some("new".into()), Some("api".into()), None]
        );
        let over = Note { position: Some(Position::Over), ..web("Released") };
        assert!(publisher.note(std::slice::from_ref(&over)).unwrap());
        assert!(!publisher.note(&[over]).unwrap());
        assert_eq!(positions(&bed, &["plans/shop/web", "plans/shop/api"]), [None, Some("api".into())]);
        assert_eq!(bed.publisher().notes().unwrap().found.len(), 2, "{}", bed.name());
        bed.is_linear_and_whole();
    }
}

#[test]
fn a_thousand_plans_of_one_commit_are_noted_and_found_at_once() {
    let bed = Bed::http();
    let commit = bed.tip();
    let journal = "j".repeat(4_000);
    let plan = |number: usize| format!("plans/shop/web-{number}");
    let all: Vec<Note> =
        (0..1_000).map(|n| at(note(&commit, &plan(n), json!({"what": "Settled"})), &journal)).collect();
    let began = std::time::Instant::now();
    assert!(bed.publisher().note(&all).unwrap());
    let (written, began) = (began.elapsed(), std::time::Instant::now());
    let plans: Vec<String> = (0..1_000).map(plan).collect();
    let found = positions(&bed, &plans.iter().map(String::as_str).collect::<Vec<_>>());
    println!("1,000 positions: written in {written:?}, found in {:?}", began.elapsed());
    assert!(found.iter().all(|position| position.as_ref() == Some(&journal)));
    assert_eq!(bed.git(&["rev-list", "--count", "refs/notes/tidegate"]), "1");
    assert_eq!(show(&bed, &commit).lines().count(), 1_000);
}

#[test]
fn notes_of_several_writers_all_land() {
    for bed in [Bed::file(), Bed::http()] {
        let commits: Vec<String> = (0..10).map(|n| bed.push("Change", &[(WEB, &format!("{n}\n"))])).collect();
        std::thread::scope(|scope| {
            for plan in ["shop/a", "shop/b", "shop/c"] {
                let (bed, commits) = (&bed, &commits);
                scope.spawn(move || {
                    let mut publisher = bed.publisher();
                    for commit in commits {
                        assert!(publisher.note(&[at(note(commit, plan, json!({})), commit)]).unwrap());
                    }
                });
            }
        });
        assert_eq!(bed.publisher().notes().unwrap().found.len(), 30, "{}", bed.name());
        assert_eq!(bed.git(&["rev-list", "--count", "refs/notes/tidegate"]), "30");
        let last = commits.last().cloned();
        assert_eq!(positions(&bed, &["shop/a", "shop/b", "shop/c"]), [last.clone(), last.clone(), last]);
    }
}

/// How many packs the mirrors of publishers have.
fn packs(home: &Path) -> usize {
    let mirrors = std::fs::read_dir(home).unwrap().flatten().map(|entry| entry.path().join("mirror.git/objects/pack"));
    let packs = mirrors.filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
    packs.filter(|file| file.path().extension().is_some_and(|extension| extension == "pack")).count()
}

#[test]
fn notes_count_as_commits_do_and_have_a_limit() {
    let bed = Bed::file();
    let ada = SshKey::new(&bed.repository, "ada", &["ed25519"]);
    let keys = bed.repository.home().join("allowed");
    std::fs::write(&keys, ada.line("")).unwrap();
    let verify = Verify { mode: VerifyMode::Tip, keys: vec![keys] };
    let source = bed.source().trusting(Trust { verify: Some(verify), ..Trust::default() });
    let signing_key = Some(SigningKey::in_file(&bed.repository.home().join("ada")));
    let mut publisher = bed.publisher_of(&source, PublishOptions { signing_key, ..options() });
    let commit = bed.tip();
    let settled = note(&commit, "shop/web", json!({"phase": "settled"}));
    assert!(publisher.note(std::slice::from_ref(&settled)).unwrap());
    assert_eq!(publisher.notes().unwrap().found, std::slice::from_ref(&settled));
    bed.git(&["notes", "--ref", "tidegate", "append", "-m", r#"{"plan":"shop/web","cluster":"kind"}"#, &commit]);
    assert!(matches!(publisher.notes(), Err(PushError::Tip(_))), "forged notes do not count");
    assert!(matches!(publisher.note(&[settled]), Err(PushError::Tip(_))), "and are not hidden under a signature");

    let bed = Bed::file();
    let long = Map::from_iter([("why".to_owned(), "a".repeat(5 << 20).into())]);
    let long = Note { said: long, ..note(&commit, "shop/web", json!({})) };
    assert!(!bed.publisher().note(&[long]).unwrap(), "what is too large is left out");
    assert!(matches!(bed.publisher().note(&[note("main", "shop/web", json!({}))]), Err(PushError::Commit { .. })));
    assert_eq!(bed.git(&["for-each-ref", "refs/notes"]), "");
    let mut publisher = bed.publisher();
    publisher.note(&[note(&commit, "shop/web", json!({}))]).unwrap();
    for n in 0..45 {
        let next = bed.git(&["commit-tree", "-p", "main", "-m", &n.to_string(), "main^{tree}"]);
        bed.git(&["update-ref", "refs/heads/main", &next]);
        publisher.prepare().unwrap();
    }
    landed(publisher.publish(&mut says(WEB, "2\n")));
    assert!(packs(bed.repository.home()) < 10, "the mirror has been packed");
    assert_eq!(publisher.notes().unwrap().found.len(), 1);
}
