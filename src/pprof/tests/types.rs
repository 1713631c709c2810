//! Tests of the selection of a sample type and of its count.

use super::{Imported, Message, read};
use crate::pprof::Error;
use crate::profile::Unit;

/// Builds a profile with these sample types, one sample with the values 1, 10, 100…, and an optional default.
fn profile_with_types(types: &[(&str, &str)], default: Option<&str>) -> Message {
    let mut strings = vec![""];
    let mut message = Message::default();
    for (kind, unit) in types {
        message = message.value_type(1, strings.len() as u64, strings.len() as u64 + 1);
        strings.extend([*kind, *unit]);
    }
    if let Some(default) = default {
        message = message.number(14, strings.len() as u64);
        strings.push(default);
    }
    let values: Vec<u64> = (0..types.len()).map(|at| 10_u64.pow(u32::try_from(at).unwrap())).collect();
    message.sample(&[], &values).strings(&strings)
}

const HEAP: [(&str, &str); 4] =
    [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")];

/// Returns name, count name, unit, count and weight of the selected sample type.
fn selected_type(
    types: &[(&str, &str)],
    default: Option<&str>,
    asked: Option<&str>,
) -> (String, String, Unit, u64, u64) {
    let profile = read(&profile_with_types(types, default).0, asked).unwrap().profile;
    let sample = &profile.samples()[0];
    (profile.event.name.clone(), profile.event.count_name.clone(), profile.event.unit, sample.count, sample.weight)
}

fn expected_type(name: &str, counted: &str, unit: Unit, count: u64, weight: u64) -> (String, String, Unit, u64, u64) {
    (name.to_owned(), counted.to_owned(), unit, count, weight)
}

#[test]
fn the_default_type_is_shown_or_else_the_last() {
    let inuse = expected_type("inuse_space", "inuse_objects", Unit::Bytes, 100, 1000);
    let alloc = expected_type("alloc_space", "alloc_objects", Unit::Bytes, 1, 10);
    assert_eq!(selected_type(&HEAP, None, None), inuse);
    assert_eq!(selected_type(&HEAP, Some("alloc_space"), None), alloc);
    assert_eq!(selected_type(&HEAP, Some("gone"), None), inuse);
}

#[test]
fn a_type_is_requested_by_name_or_position() {
    let objects = expected_type("inuse_objects", "inuse_objects", Unit::Events, 100, 100);
    assert_eq!(selected_type(&HEAP, None, Some("inuse_objects")), objects);
    assert_eq!(selected_type(&HEAP, None, Some("2")), objects);
    for asked in ["4", "-1", "inuse", ""] {
        match read(&profile_with_types(&HEAP, None).0, Some(asked)).unwrap_err() {
            error @ Error::UnknownSampleType { .. } => {
                assert!(error.is_usage());
                assert_eq!(error.hints(), ["it has alloc_objects, alloc_space, inuse_objects, inuse_space"]);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_count_of_a_type_is_found_in_the_files_of_each_writer() {
    let events = [("samples", "count"), ("cycles", "count"), ("instructions", "count")];
    assert_eq!(selected_type(&events, None, None), expected_type("instructions", "samples", Unit::Events, 1, 100));
    let converted = [("a_sample", "count"), ("a_event", "count"), ("b_sample", "count"), ("b_event", "count")];
    assert_eq!(
        selected_type(&converted, Some("a_event"), None),
        expected_type("a_event", "samples", Unit::Events, 1, 10)
    );
    assert_eq!(selected_type(&converted, None, None), expected_type("b_event", "samples", Unit::Events, 100, 1000));
    let delay = [("contentions", "count"), ("delay", "nanoseconds")];
    assert_eq!(selected_type(&delay, None, None), expected_type("delay", "contentions", Unit::Nanoseconds, 1, 10));
    assert_eq!(
        selected_type(&[("goroutine", "count")], None, None),
        expected_type("goroutine", "goroutine", Unit::Events, 1, 1)
    );
    let wall = [("x", "pages"), ("wall", "microseconds")];
    assert_eq!(selected_type(&wall, None, None), expected_type("wall", "wall", Unit::Nanoseconds, 10_000, 10_000));
}

#[test]
fn all_sample_types_are_events_of_the_profile() {
    let mut profile = read(&profile_with_types(&HEAP, None).0, Some("alloc_objects")).unwrap().profile;
    let events = &profile.event_table().unwrap().events;
    assert_eq!(events.iter().map(|event| event.event.name.as_str()).collect::<Vec<_>>(), HEAP.map(|(name, _)| name));
    for (at, (name, _)) in HEAP.into_iter().enumerate() {
        let shown_alone = read(&profile_with_types(&HEAP, None).0, Some(name)).unwrap().profile;
        profile.show_event(at);
        assert_eq!((&profile.event, profile.samples()), (&shown_alone.event, shown_alone.samples()));
    }
    assert!(read(&profile_with_types(&HEAP[..1], None).0, None).unwrap().profile.event_table().is_none());
}

#[test]
fn samples_without_a_value_of_the_shown_type_are_kept_for_the_others() {
    let minus_one = u64::MAX;
    let message = profile_with_types(&HEAP, None).sample(&[], &[7, 70, 0, 0]).sample(&[], &[0, 0, 1, minus_one]);
    let Imported { mut profile, notes, .. } = read(&message.0, None).unwrap();
    assert_eq!((profile.total_count(), profile.total_weight()), (100, 1000));
    assert_eq!(notes, ["1 sample has a negative value, as differences of profiles do: it is left out"]);
    let columns = profile.event_table().unwrap().columns();
    assert_eq!(columns, [[8, 0], [80, 0], [100, 1], [1000, -1]]);
    profile.show_event(1);
    assert_eq!((profile.total_count(), profile.total_weight()), (8, 80));
}

#[test]
fn only_what_was_sampled_has_a_number_of_samples() {
    let samples = |types: &[(&str, &str)]| read(&profile_with_types(types, None).0, None).unwrap().quality.samples;
    assert_eq!(samples(&[("samples", "count"), ("cpu", "nanoseconds")]), Some(1));
    assert_eq!(samples(&HEAP), None);
}

#[test]
fn a_profile_without_sample_types_is_refused() {
    assert!(matches!(read(&profile_with_types(&[], None).0, None), Err(Error::NoSampleType)));
}
