//! Tests with damaged and crafted files: no panic, no endless work, memory in proportion, and errors with the position
//! of the damage.

use proptest::prelude::*;

use super::*;
use crate::pprof::limits::{MAX_MEMORY_BYTES, MAX_SAMPLE_TYPES};
use crate::pprof::unpack::unpack_within;

#[test]
fn a_file_cut_at_any_byte_does_not_panic() {
    let whole = small_profile().0;
    let all = stacks(&imported(&small_profile()).profile);
    let last_name = 6 + whole.windows(6).position(|bytes| bytes == b"memcpy").unwrap();
    for cut in 0..whole.len() {
        match read(&whole[..cut], None) {
            // A message may end after any field. If it parses, only unreferenced strings were cut off.
            Ok(imported) => {
                assert!(cut >= last_name, "{cut}");
                assert_eq!(stacks(&imported.profile), all);
            }
            Err(Error::Damaged { offset, .. }) => assert!(offset <= cut, "{offset} in {cut} bytes"),
            Err(Error::DanglingReference { target: "string", .. } | Error::NoSampleType) => {}
            Err(other) => panic!("{cut}: {other:?}"),
        }
    }
    let packed = gzipped(&whole);
    for cut in 0..packed.len() {
        match read(&packed[..cut], None) {
            Err(Error::Gzip { unpacked, .. }) if cut > 1 => assert!(unpacked <= whole.len()),
            Err(Error::Damaged { offset: 0, .. } | Error::NoSampleType) if cut < 2 => {}
            other => panic!("{cut}: {other:?}"),
        }
    }
}

#[test]
fn a_file_with_any_changed_byte_does_not_panic() {
    let whole = small_profile().0;
    let packed = gzipped(&whole);
    for bytes in [&whole, &packed] {
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at] ^ 1, bytes[at] ^ 0x80] {
                let mut changed = bytes.clone();
                changed[at] = value;
                let _ = read(&changed, None);
            }
        }
    }
}

#[test]
fn bombs_are_not_unpacked() {
    let mut bomb = small_profile().0;
    bomb.resize(1 << 20, 0);
    let packed = gzipped(&bomb);
    assert!(packed.len() < 1 << 12);
    for bytes in [&bomb, &packed] {
        let error = unpack_within(bytes, (1 << 20) - 1).unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
        assert_eq!(*unpack_within(bytes, 1 << 20).unwrap(), bomb);
    }
    assert_eq!(Error::TooLarge { largest: 64 << 20 }.to_string(), "unpacked, it is larger than the limit of 64 MiB");
}

#[test]
fn tables_are_refused_before_they_fill_the_memory() {
    // Regression: strings of 2 bytes took 34 bytes of memory each.
    let strings = [0x32, 0].repeat(MAX_MEMORY_BYTES / 64);
    assert!(matches!(read(&strings, None), Err(Error::NoSampleType)));
    let one_more = [&strings[..], &[0x32, 0]].concat();
    assert!(matches!(read(&one_more, None), Err(Error::TooManyEntries)));
    // Sample types beyond the limit are counted but not kept, because nobody could choose from so large a number.
    let types = [0x0a, 0].repeat(1 << 20);
    assert_eq!(read(&types, None).unwrap().sample_types.others.len(), MAX_SAMPLE_TYPES - 1);
}

#[test]
fn other_sample_types_are_left_out_if_they_need_too_much_memory() {
    // The entries of `small_profile` take as much as 28 strings, and 56 bytes. The rest is less than a table row.
    let strings = [0x32, 0].repeat(MAX_MEMORY_BYTES / 64 - 29);
    let Imported { profile, notes, .. } = read(&[small_profile().0, strings].concat(), None).unwrap();
    assert_eq!((profile.total_count(), profile.event_table().is_none()), (203, true));
    let note = "the other sample types are left out: with them, the profile would take more than 256 MiB of memory";
    assert_eq!(notes, [note]);
    assert!(imported(&small_profile()).profile.event_table().is_some());
}

#[test]
fn merged_samples_of_several_types_take_memory_once() {
    // The rest of the memory is enough for 3 rows of the table. `small_profile` has 2.
    let strings = [0x32, 0].repeat(MAX_MEMORY_BYTES / 64 - 30);
    let repeated = (0..100).fold(small_profile(), |message, _| message.sample(&[1], &[1, 1]));
    let Imported { profile, notes, .. } = read(&[repeated.0, strings].concat(), None).unwrap();
    assert_eq!((profile.event_table().is_some(), notes), (true, Vec::new()));
}

#[test]
fn ids_may_come_in_any_order() {
    for ids in [[1, 2, 3], [3, 2, 1], [2, 1, 3], [1, 3, 2], [7, 1 << 40, u64::MAX]] {
        let mut message = Message::default().value_type(1, 1, 2);
        for (id, line) in ids.into_iter().zip(1..) {
            let at = |line| Message::default().number(1, id).number(2, line);
            message = message.function(id, 7, 8, 0).message(4, &Message::default().number(1, id).message(4, &at(line)));
        }
        let message = message.sample(&ids, &[1]).strings(STRINGS);
        assert_eq!(stacks(&imported(&message).profile)[0].0, "main.main:3|main.main:2|main.main:1", "{ids:?}");
        for id in ids {
            let text = error(&message.clone().location(id, 0, 0, &[])).to_string();
            assert!(text.ends_with("which is taken"), "{text}");
        }
    }
}

#[test]
fn text_that_is_not_utf8_does_not_grow() {
    let message = small_profile().location(3, 1, 0x40_3000, &[(4, 1)]);
    let function = Message::default().number(1, 4).number(3, STRINGS.len() as u64);
    let message = message.message(5, &function).bytes(6, &[0xff; 4000]).sample(&[3], &[1, 1]);
    assert_eq!(stacks(&imported(&message).profile)[2].0, "\u{fffd}:1", "each byte would make three");
}

#[test]
fn dangling_references_are_errors() {
    let cases = [
        (small_profile().sample(&[9], &[1, 1]), "a sample", "location 9"),
        (small_profile().sample(&[0], &[1, 1]), "a sample", "location 0"),
        (small_profile().location(9, 7, 0, &[]), "a location", "mapping 7"),
        (small_profile().location(9, 1, 0, &[(u64::MAX, 0)]), "a line", "function 18446744073709551615"),
        (small_profile().function(9, 1 << 40, 0, 0), "a function", "string 1099511627776"),
        (small_profile().value_type(1, 99, 0), "a sample type", "string 99"),
        (small_profile().message(3, &Message::default().number(1, 9).number(6, u64::MAX)), "a mapping", "string "),
    ];
    for (message, what, target) in cases {
        let text = error(&message).to_string();
        assert!(text.starts_with(what) && text.contains(&format!(" refers to {target}")), "{text}");
    }
}

#[test]
fn ids_are_unique_and_never_zero() {
    for (message, expected) in [
        (small_profile().location(1, 1, 0, &[]), "a location at byte [..] has the id 1, which is taken"),
        (small_profile().location(0, 1, 0, &[]), "a location at byte [..] has the id 0, which is reserved"),
        (small_profile().function(3, 0, 0, 0), "a function at byte [..] has the id 3, which is taken"),
        (small_profile().message(3, &Message::default()), "a mapping at byte [..] has the id 0, which is reserved"),
    ] {
        let text = error(&message).to_string().replace(" of the unpacked profile", "");
        let (start, end) = expected.split_once("[..]").unwrap();
        assert!(text.starts_with(start) && text.ends_with(end), "{text}");
    }
}

#[test]
fn a_sample_has_a_value_for_each_type() {
    for values in [&[][..], &[1], &[1, 2, 3]] {
        let error = error(&small_profile().sample(&[1], values));
        assert!(matches!(error, Error::WrongValueCount { types: 2, .. }), "{error:?}");
    }
}

#[test]
fn negative_values_are_left_out_with_a_note() {
    let minus = |value: i64| value.cast_unsigned();
    let message = small_profile()
        .sample(&[2], &[minus(-3), minus(-30)])
        .sample(&[2], &[1, minus(i64::MIN)])
        .sample(&[2], &[0, 0]);
    let Imported { profile, notes, .. } = imported(&message);
    assert_eq!(profile.total_count(), 203);
    assert_eq!(notes, ["2 samples have negative values, as differences of profiles do: they are left out"]);
}

#[test]
fn huge_counts_saturate() {
    let most = i64::MAX.unsigned_abs();
    let message =
        small_profile().sample(&[1], &[most, most]).sample(&[1], &[most, most]).sample(&[2, 1], &[most, most]);
    let Imported { profile, quality, .. } = imported(&message);
    assert_eq!((profile.total_count(), profile.total_weight()), (u64::MAX, u64::MAX));
    assert_eq!(quality.user_frames, u64::MAX);
    assert!(quality.assess().reasons.is_empty());
}

#[test]
fn inlined_calls_cannot_multiply_the_file() {
    let chain = vec![(1, 1); 4000];
    let mut message = small_profile().location(3, 1, 0, &chain);
    for at in 0..1000 {
        message = message.sample(&[3], &[1, at]);
    }
    assert!(matches!(error(&message), Error::TooRepetitive));
    let deep = small_profile().location(3, 1, 0, &chain).sample(&[3, 3], &[1, 1]);
    assert!(matches!(error(&deep), Error::TooDeep { .. }));
    let deep = small_profile().sample(&vec![1; 1 << 20], &[1, 1]);
    assert!(matches!(error(&deep), Error::TooDeep { .. }));
}

#[test]
fn other_files_are_not_profiles() {
    for bytes in [&b""[..], b"once upon a time\n", b"PERFILE2", b"\x7fELF\x02\x01\x01", b"#!/bin/sh\n", b"{}", &[0; 64]]
    {
        assert!(!is_pprof(bytes), "{bytes:?}");
    }
    for text in [&b""[..], b"an archive, or a text"] {
        let error = read(&gzipped(text), None).unwrap_err();
        assert!(matches!(error, Error::NotPprof), "{error:?}");
    }
    // Bytes after the stream must be neither lost nor read as a profile.
    let mut tail = gzipped(&small_profile().0);
    tail.extend(b"tail");
    assert!(matches!(read(&tail, None), Err(Error::Gzip { .. })));
}

#[test]
fn unknown_fields_are_skipped() {
    let mut message = small_profile().number(15, 1).number(99, 7).bytes(98, b"new");
    // Fixed-size fields of eight and four bytes.
    varint(&mut message.0, 97 << 3 | 1);
    message.0.extend([7; 8]);
    varint(&mut message.0, 96 << 3 | 5);
    message.0.extend([7; 4]);
    assert_eq!(stacks(&imported(&message).profile), stacks(&imported(&small_profile()).profile));
    // Groups, which are deprecated, and a field with number 0.
    for key in [99 << 3 | 3, 99 << 3 | 7, 0] {
        let mut message = small_profile();
        let offset = message.0.len();
        varint(&mut message.0, key);
        assert!(matches!(error(&message), Error::Damaged { offset: at, .. } if at == offset));
    }
}

proptest! {
    #[test]
    fn any_fields_after_a_good_profile_do_not_panic(tail in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = small_profile().0;
        bytes.extend(tail);
        if let Ok(imported) = read(&bytes, None) {
            prop_assert!(imported.profile.total_count() >= 203);
        }
    }
}
