//! Drafts of several threads and processes.

use super::*;

#[test]
fn drafts_of_many_threads_do_not_disturb_each_other() {
    let (dir, _) = store();
    let (place, source) = (dir.path().join("fresh"), dir.path().join("server"));
    fs::write(&source, b"\x7fELF").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (place, source) = (&place, &source);
            scope.spawn(move || {
                // The threads also race to create the store.
                let store = Store::open(place).unwrap();
                for run in 0..3 {
                    let draft = draft(&store, &RunId::new(start_time(thread * 10 + run), "server"));
                    draft.add_program(&store_program(&store, source, "server").unwrap()).unwrap();
                    draft.commit(&json!({})).unwrap();
                }
            });
        }
    });
    let store = Store::open_existing(&place).unwrap();
    let runs = store.list().unwrap();
    assert_eq!(runs.len(), 12);
    for entry in runs {
        assert_eq!(store.verify(&entry.run.unwrap()).unwrap(), []);
    }
    assert_eq!(count_entries(&place.join("bin")), 1);
}

#[test]
fn only_one_draft_can_use_an_id() {
    let (_dir, store) = store();
    let id = RunId::new(start_time(0), "server");
    let results: Vec<Result<Draft, Error>> = std::thread::scope(|scope| {
        let begin = || scope.spawn(|| store.begin(&id));
        [begin(), begin()].map(|thread| thread.join().unwrap()).into()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(
        results.iter().filter_map(|result| result.as_ref().err()).all(|error| matches!(error, Error::Exists { .. }))
    );
    results.into_iter().find_map(Result::ok).unwrap().commit(&json!({})).unwrap();
    assert!(matches!(store.begin(&id), Err(Error::Exists { .. })));
}

#[test]
fn a_dropped_draft_is_listed_and_keeps_its_files() {
    let (_dir, store) = store();
    let id = RunId::new(start_time(0), "server");
    let draft = draft(&store, &id);
    let partials = store.partial_runs().unwrap();
    assert_eq!((partials.len(), partials[0].in_progress), (1, true));
    drop(draft);
    let partials = store.partial_runs().unwrap();
    assert_eq!((&partials[0].id, partials[0].in_progress), (&id, false));
    assert_eq!(fs::read(partials[0].dir.join("perf.data")).unwrap(), b"PERFILE2");
    assert!(store.list().unwrap().is_empty());
}
