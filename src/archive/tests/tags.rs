//! Tags of runs.

use super::*;

#[test]
fn a_tag_names_a_run_until_it_moves_or_is_removed() {
    let (_dir, store) = store();
    let [first, second] = [0, 1].map(|seconds| add(&store, seconds));
    assert_eq!(store.tag(first.id(), "baseline").unwrap(), None);
    assert_eq!(store.find("baseline").unwrap().id(), first.id());
    assert_eq!(store.tag(second.id(), "baseline").unwrap().as_ref(), Some(first.id()), "it names one run");
    assert_eq!(store.tag(second.id(), "größe_2").unwrap(), None, "a run has any number of tags");
    assert_eq!(store.find("baseline").unwrap().id(), second.id());
    assert_eq!(store.untag("baseline").unwrap(), *second.id());
    assert_eq!(
        store.find("baseline").unwrap_err().to_string(),
        format!("no run `baseline` in {}", store.dir().display())
    );
    assert!(matches!(store.untag("baseline"), Err(Error::NoTag { tags, .. }) if tags == ["größe_2"]));
}

#[test]
fn a_tag_cannot_be_mistaken_for_anything_else() {
    let (_dir, store) = store();
    let run = add(&store, 0);
    let long = "x".repeat(65);
    for name in ["", "latest", "@1", "a/b", "..", "a.b", "-f", "a b", "a\u{1b}", run.id().as_str(), &long] {
        assert!(matches!(store.tag(run.id(), name), Err(Error::BadTag { .. })), "{name:?}");
    }
    assert_eq!(store.tags().unwrap().len(), 0);
    // Other files in the directory are not tags.
    for (name, text) in [("odd.name", run.id().as_str()), ("wrong", "no id"), (".tmp-abc123", "")] {
        fs::write(store.dir().join("tags").join(name), text).unwrap();
    }
    assert_eq!(store.tags().unwrap().len(), 0);
    assert!(matches!(store.tag(&RunId::new(start_time(9), "none"), "gone"), Err(Error::Gone { .. })));
}

#[test]
fn tagged_runs_are_not_pruned_and_do_not_count() {
    let (_dir, store) = store();
    for seconds in 0..4 {
        add(&store, seconds);
    }
    let all = ids(&store);
    store.tag(&all[1], "one").unwrap();
    store.tag(&all[3], "oldest").unwrap();
    assert_eq!(outdated_runs(&store, 1).runs, [all[2].clone()]);
    let everything = PrunePlan { runs: all.clone(), partial_runs: Vec::new() };
    store.prune(&everything).unwrap();
    assert_eq!(ids(&store), [all[1].clone(), all[3].clone()], "also if a plan was made before the tag");
    store.untag("one").unwrap();
    store.prune(&everything).unwrap();
    assert_eq!(ids(&store), [all[3].clone()]);
}

#[test]
fn the_end_of_an_id_is_a_name_if_it_is_unique() {
    let (_dir, store) = store();
    let [first, second] = [0, 1].map(|seconds| {
        let id: RunId =
            format!("{}-server-00a{seconds}", RunId::new(start_time(seconds), "x").timestamp()).parse().unwrap();
        draft(&store, &id).commit(&json!({})).unwrap().id().clone()
    });
    assert_eq!(store.find("00a0").unwrap().id(), &first);
    let (ids, mut tags) = ([&first, &second], store.tags().unwrap());
    assert_eq!(first.short_name(&ids, &tags), "00a0");
    store.tag(&second, "00a0").unwrap();
    assert_eq!(store.find("00a0").unwrap().id(), &second, "a tag comes first");
    tags = store.tags().unwrap();
    assert_eq!(first.short_name(&ids, &tags), first.as_str());
}
