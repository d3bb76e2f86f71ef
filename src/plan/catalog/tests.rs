use super::Touched;
use super::build::{Repository, file, object_key, objects, one, plan, plan_key, revision};

/// A repository with the given plans, each in a file of its name.
fn repository(names: &[&str]) -> Repository {
    let mut repository = Repository::default();
    repository.push(names.iter().map(|name| (*name, Some(file(&[plan(name)])))).collect());
    assert!(repository.codes().is_empty());
    repository
}

#[test]
fn a_plan_comes_into_force_with_the_commit_that_introduced_it() {
    let mut repository = Repository::default();
    let mut web = file(&[plan("web")]);
    web.introduced.insert(plan_key("web"), revision(7));
    let touched = repository.push(vec![("web", Some(web)), ("shop", Some(file(&[plan("cart")]).gateway("edge", 1)))]);
    assert_eq!(touched.objects, objects(&["cart", "web"]));
    assert_eq!(touched.plain, [("Gateway".to_owned(), object_key("edge"))].into());
    assert_eq!(repository.entry("web").revision, revision(7));
    assert_eq!(repository.entry("cart").revision, revision(1));
    assert!(repository.catalog.has_plan(&plan_key("web")) && !repository.catalog.has_plan(&plan_key("api")));
    assert_eq!(repository.catalog.plan_object(&plan_key("web")), Some(&object_key("web")));
    assert_eq!(repository.catalog.plain_objects().count(), 1);
}

#[test]
fn an_edit_beside_a_plan_or_a_move_to_another_file_touches_nothing() {
    let mut repository = repository(&["web", "api"]);
    let touched = repository.push(vec![("web", None), ("api", Some(file(&[plan("api").edition(2), plan("web")])))]);
    assert_eq!(touched.objects, objects(&["api"]));
    assert_eq!(repository.entry("web").revision, revision(1));
    assert_eq!(repository.entry("api").revision, revision(2));
}

#[test]
fn a_duplicate_key_is_refused_at_both_documents_and_the_last_good_version_stays() {
    let mut repository = repository(&["web"]);
    let touched = repository.push(vec![("copy", Some(file(&[plan("web").edition(2)])))]);
    assert_eq!(touched.objects, objects(&["web"]));
    assert!(repository.keeps(&plan("web")));
    assert_eq!(repository.codes(), ["TG30 copy", "TG30 web"]);
    repository.push(vec![("web", None)]);
    assert!(repository.holds(&plan("web").edition(2)) && repository.codes().is_empty());
}

#[test]
fn a_duplicate_key_in_one_file_is_refused_at_both_documents() {
    let mut repository = Repository::default();
    repository.push(vec![("web", Some(file(&[plan("web"), plan("web").edition(2)])))]);
    assert!(!repository.catalog.has_plan(&plan_key("web")));
    assert_eq!(repository.codes(), ["TG30 web", "TG30 web"]);
}

#[test]
fn whoever_was_in_force_keeps_a_claim_and_the_newcomer_is_refused() {
    let new = || plan("new");
    for (newcomer, code) in [
        (new().service("web"), "TG31 new"),
        (new().virtual_service("web"), "TG32 new"),
        (new().destination_rule("web"), "TG33 new"),
        (new().hosts(&["new", "web.shop.svc.cluster.local"]), "TG34 new"),
    ] {
        let mut repository = repository(&["web"]);
        let touched = repository.push(vec![("new", Some(file(&[newcomer.clone(), plan("api")])))]);
        assert_eq!(touched.objects, objects(&["api"]), "{code}");
        assert!(repository.holds(&plan("web")), "{code}");
        assert_eq!(repository.codes(), [code]);
        repository.push(vec![("web", None)]);
        assert!(repository.holds(&newcomer) && repository.codes().is_empty(), "{code}");
    }
}

#[test]
fn of_two_newcomers_both_are_refused_until_one_yields() {
    let mut repository = Repository::default();
    repository.push(vec![("a", Some(file(&[plan("a").hosts(&["x"])]))), ("b", Some(file(&[plan("b").hosts(&["x"])])))]);
    assert_eq!(repository.codes(), ["TG34 a", "TG34 b"]);
    assert_eq!(repository.catalog.entries().count(), 0);
    repository.push(vec![("b", Some(file(&[plan("b")])))]);
    assert!(repository.holds(&plan("a").hosts(&["x"])) && repository.holds(&plan("b")));
    assert!(repository.codes().is_empty());
}

#[test]
fn a_host_may_be_on_two_gateways_but_a_gateway_has_one_name() {
    let www = |name: &str, gateway: &str| file(&[plan(name).hosts(&["www.example.com"]).gateways(&[gateway])]);
    let mut repository = Repository::default();
    repository.push(vec![("a", Some(www("a", "edge"))), ("b", Some(www("b", "infra/edge")))]);
    assert!(repository.codes().is_empty());
    repository.push(vec![("c", Some(www("c", "shop/edge")))]);
    assert_eq!(repository.codes(), ["TG34 c"]);
}

#[test]
fn a_host_that_moves_in_one_commit_is_refused_and_both_plans_stay() {
    let mut repository = Repository::default();
    let (a, b) = (plan("a").hosts(&["a", "x"]), plan("b"));
    repository.push(vec![("a", Some(one(&a))), ("b", Some(one(&b)))]);
    let to_b = plan("b").hosts(&["b", "x"]);
    repository.push(vec![("a", Some(file(&[plan("a")]))), ("b", Some(one(&to_b)))]);
    assert_eq!(repository.codes(), ["TG22 a", "TG22 b"]);
    assert!(repository.keeps(&a) && repository.keeps(&b));
    assert_eq!(repository.push(vec![]), Touched::default());
    repository.push(vec![("b", Some(one(&b)))]);
    assert!(repository.holds(&plan("a")) && repository.holds(&b) && repository.codes().is_empty());
    repository.push(vec![("b", Some(one(&to_b)))]);
    assert!(repository.holds(&to_b) && repository.codes().is_empty());
}

#[test]
fn two_plans_that_swap_hosts_are_both_refused() {
    let mut repository = Repository::default();
    let pair = |a: &str, b: &str| file(&[plan("a").hosts(&[a]), plan("b").hosts(&[b])]);
    repository.push(vec![("f", Some(pair("x", "y")))]);
    repository.push(vec![("f", Some(pair("y", "x")))]);
    assert_eq!(repository.codes(), ["TG22 f", "TG22 f"]);
    assert!(repository.keeps(&plan("a").hosts(&["x"])) && repository.keeps(&plan("b").hosts(&["y"])));
    repository.push(vec![("f", Some(pair("x", "y")))]);
    assert!(repository.holds(&plan("a").hosts(&["x"])) && repository.codes().is_empty());
}

#[test]
fn a_refused_newcomer_is_accepted_when_the_host_becomes_free() {
    let mut repository = repository(&["web"]);
    let new = plan("new").hosts(&["web"]);
    repository.push(vec![("new", Some(one(&new)))]);
    assert_eq!(repository.codes(), ["TG34 new"]);
    let touched = repository.push(vec![("web", None)]);
    assert_eq!(touched.objects, objects(&["new", "web"]));
    assert!(repository.holds(&new));
    assert_eq!(repository.entry("new").revision, revision(2));
    assert_eq!(repository.entry("web").removed, Some(revision(3)));
}

#[test]
fn service_and_objects_cannot_change_under_a_plan() {
    for changed in
        [plan("web").service("other"), plan("web").virtual_service("other"), plan("web").destination_rule("other")]
    {
        let mut repository = repository(&["web"]);
        let touched = repository.push(vec![("web", Some(one(&changed)))]);
        assert_eq!(repository.codes(), ["TG35 web"]);
        assert_eq!(touched.objects, objects(&["web"]));
        assert!(repository.keeps(&plan("web")));
        repository.push(vec![("web", None)]);
        repository.push(vec![("web", Some(one(&changed)))]);
        assert!(repository.holds(&changed), "removed in a commit of its own");
    }
}

#[test]
fn law_12_a_plan_is_removed_only_when_every_file_parses() {
    let mut repository = repository(&["web", "api"]);
    let touched = repository.push(vec![("web", None), ("bad", Some(file(&[]).broken(&[])))]);
    assert_eq!(touched.objects, [].into());
    assert!(repository.holds(&plan("web")) && !repository.catalog.all_parse());
    assert_eq!(repository.codes(), ["TEST", "TG38"]);
    let touched = repository.push(vec![("bad", None)]);
    assert_eq!(touched.objects, objects(&["web"]));
    assert_eq!(repository.entry("web").removed, Some(revision(3)));
    assert!(!repository.catalog.has_plan(&plan_key("web")) && repository.codes().is_empty());
}

#[test]
fn a_removed_plan_stays_until_it_is_forgotten() {
    let mut repository = repository(&["web"]);
    repository.catalog.forget(&object_key("web"));
    assert!(repository.holds(&plan("web")), "a living plan is never forgotten");
    repository.push(vec![("web", None)]);
    assert_eq!(repository.push(vec![]), Touched::default());
    assert_eq!(repository.catalog.plan_object(&plan_key("web")), Some(&object_key("web")));
    repository.catalog.forget(&object_key("web"));
    assert_eq!(repository.catalog.entries().count(), 0);
    assert_eq!(repository.catalog.plan_object(&plan_key("web")), None);
}

#[test]
fn a_removed_plan_that_comes_back_lives() {
    let mut repository = repository(&["web"]);
    repository.push(vec![("web", None)]);
    let touched = repository.push(vec![("again", Some(file(&[plan("web")])))]);
    assert_eq!(touched.objects, objects(&["web"]));
    assert!(repository.holds(&plan("web")) && repository.catalog.has_plan(&plan_key("web")));
}

#[test]
fn a_renamed_plan_hands_its_entry_on() {
    let mut repository = repository(&["web"]);
    let heir = plan("heir").service("web").virtual_service("web").destination_rule("web").hosts(&["web"]);
    let touched = repository.push(vec![("web", Some(one(&heir)))]);
    assert_eq!(touched.objects, objects(&["web"]));
    assert!(repository.holds(&heir));
    assert!(!repository.catalog.has_plan(&plan_key("web")));
    assert_eq!(repository.catalog.plan_object(&plan_key("web")), None);
}

#[test]
fn a_rename_waits_until_the_old_plan_is_known_to_be_gone() {
    let mut repository = repository(&["web"]);
    let heir = plan("heir").virtual_service("web");
    repository.push(vec![("web", Some(one(&heir))), ("bad", Some(file(&[]).broken(&[])))]);
    assert!(repository.holds(&plan("web")));
    assert_eq!(repository.codes(), ["TEST", "TG32 web", "TG38"]);
    repository.push(vec![("bad", None)]);
    assert!(repository.holds(&heir) && repository.codes().is_empty());
}

#[test]
fn an_heir_takes_over_a_plan_that_was_removed_earlier() {
    let mut repository = repository(&["web"]);
    repository.push(vec![("web", None)]);
    repository.push(vec![("heir", Some(file(&[plan("heir").virtual_service("web")])))]);
    assert!(repository.holds(&plan("heir").virtual_service("web")));
    repository.catalog.forget(&object_key("web"));
    assert!(repository.catalog.has_plan(&plan_key("heir")));
}

#[test]
fn law_12_more_than_half_of_four_are_not_removed_without_the_trailer() {
    let mut repository = repository(&["a", "b", "c", "d"]);
    repository.push(vec![("a", None), ("b", None), ("c", None)]);
    assert_eq!(repository.codes(), ["TG36"]);
    let finding = repository.catalog.findings().next().unwrap();
    assert!(finding.message.contains('3') && finding.hints[0].contains("Tidegate-Allow-Removal: 3"));
    for name in ["a", "b", "c", "d"] {
        assert!(repository.holds(&plan(name)));
    }
    repository.push_allowing(vec![], Some(2));
    assert_eq!(repository.codes(), ["TG36"], "the missing still count, and 2 are too few");
    let touched = repository.push_allowing(vec![], Some(3));
    assert_eq!(touched.objects, objects(&["a", "b", "c"]));
    assert!(repository.codes().is_empty());
}

#[test]
fn law_12_half_of_four_or_all_of_three_are_removed_without_the_trailer() {
    let mut of_four = repository(&["a", "b", "c", "d"]);
    of_four.push(vec![("a", None), ("b", None)]);
    let mut of_three = repository(&["a", "b", "c"]);
    of_three.push(vec![("a", None), ("b", None), ("c", None)]);
    assert!(of_four.codes().is_empty() && of_three.codes().is_empty());
    assert!(of_four.entry("b").removed.is_some() && of_three.entry("c").removed.is_some());
}

#[test]
fn law_12_eleven_of_many_are_not_removed_without_the_trailer() {
    let names: Vec<String> = (0..40).map(|number| format!("p{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let gone = |count: usize| names[..count].iter().map(|name| (*name, None)).collect::<Vec<_>>();
    let mut repository = repository(&names);
    let mut ten = repository.clone();
    assert_eq!(ten.push(gone(10)).objects.len(), 10);
    assert_eq!(repository.push(gone(11)).objects, [].into());
    assert_eq!(repository.codes(), ["TG36"]);
    repository.push(vec![("p00", Some(file(&[plan("p00")])))]);
    let removed = repository.catalog.entries().filter(|(_, entry)| entry.removed.is_some());
    assert_eq!(removed.count(), 10, "ten are few enough once one is back");
    assert_eq!(repository.entry("p00").revision, revision(3), "gone and back is a change");
}

#[test]
fn renames_do_not_count_as_removals_and_go_on_beside_a_refused_mass_removal() {
    let mut repository = repository(&["a", "b", "c", "d", "e"]);
    let heir = plan("heir").virtual_service("a");
    let blocked = plan("blocked").virtual_service("b").hosts(&["c"]);
    repository.push(vec![
        ("a", Some(one(&heir))),
        ("b", Some(file(&[blocked]))),
        ("c", None),
        ("d", None),
        ("e", None),
    ]);
    assert!(repository.holds(&heir));
    for name in ["b", "c", "d", "e"] {
        assert!(repository.holds(&plan(name)), "{name}");
    }
    assert_eq!(repository.codes(), ["TG36", "TG32 b", "TG34 b"]);
}

#[test]
fn a_commit_tells_the_plans_whose_documents_or_findings_it_changed() {
    let mut repository = Repository::default();
    let first = repository.push(vec![("a", Some(one(&plan("a"))))]);
    assert_eq!(first.plans, [plan_key("a")].into());
    let rival = plan("b").service("a");
    let second = repository.push(vec![("b", Some(one(&rival)))]);
    assert_eq!(second.plans, [plan_key("b")].into());
    assert!(
        repository.catalog.findings_of(&plan_key("b")).count() > 0 && repository.catalog.is_written(&plan_key("b"))
    );
    assert_eq!(repository.catalog.findings_of(&plan_key("a")).count(), 0);
    // Another plan that goes is what lets this one in.
    let third = repository.push(vec![("a", None)]);
    assert!(third.plans.contains(&plan_key("a")) && !repository.catalog.is_written(&plan_key("a")), "{third:?}");
}

#[test]
fn law_10_a_broken_document_stops_only_itself() {
    let mut repository = Repository::default();
    repository.push(vec![("f", Some(file(&[plan("a"), plan("b"), plan("c")])))]);
    let touched = repository.push(vec![("f", Some(file(&[plan("a").edition(2)]).broken(&["b"])))]);
    assert_eq!(touched.objects, objects(&["a", "b", "c"]));
    assert!(repository.holds(&plan("a").edition(2)), "good documents go on");
    assert!(repository.keeps(&plan("b")), "its name could be read");
    assert!(repository.keeps(&plan("c")), "it was in the file and may be the unreadable part");
    let touched = repository.push(vec![("f", Some(file(&[plan("a").edition(2), plan("b"), plan("c").edition(2)])))]);
    assert_eq!(touched.objects, objects(&["b", "c"]));
    assert!(repository.holds(&plan("b")) && repository.holds(&plan("c").edition(2)));
    assert!(repository.catalog.all_parse());
}

#[test]
fn a_plan_that_left_a_broken_file_for_another_is_accepted_there() {
    let mut repository = repository(&["web"]);
    repository.push(vec![("web", Some(file(&[]).broken(&[])))]);
    assert!(repository.keeps(&plan("web")));
    repository.push(vec![("new", Some(file(&[plan("web").edition(2)])))]);
    assert!(repository.holds(&plan("web").edition(2)));
}

#[test]
fn a_plan_never_seen_good_is_no_plan() {
    let mut repository = Repository::default();
    repository.push(vec![("web", Some(file(&[]).broken(&["web"])))]);
    assert!(!repository.catalog.has_plan(&plan_key("web")));
    repository.push(vec![("web", Some(file(&[plan("web")])))]);
    assert!(repository.holds(&plan("web")));
}

#[test]
fn a_plain_object_written_twice_keeps_the_first_in_force() {
    let mut repository = Repository::default();
    let edition = |repository: &Repository| {
        repository.catalog.plain_objects().map(|object| object.value["edition"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    repository.push(vec![("one", Some(file(&[]).gateway("edge", 1)))]);
    let touched = repository.push(vec![("two", Some(file(&[]).gateway("edge", 2)))]);
    assert_eq!((touched, edition(&repository)), (Touched::default(), vec![1]));
    assert_eq!(repository.codes(), ["TG37 one", "TG37 two"]);
    let touched = repository.push(vec![("one", None)]);
    assert_eq!((touched.plain.len(), edition(&repository)), (1, vec![2]));
    assert!(repository.codes().is_empty());
    repository.push(vec![("two", Some(file(&[]).broken(&[])))]);
    assert_eq!(edition(&repository), [2], "it may be in the broken file");
    repository.push(vec![("two", Some(file(&[])))]);
    assert!(edition(&repository).is_empty());
}
