//! CPU profiles of gperftools.

use crate::perfdata::*;

const MAPS: &str = "00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/a b\n\
                    00651000-00652000 r--p 00051000 08:02 173521      /usr/bin/a b\n\
                    build=/usr/bin/a\n\
                    7f00-zz r-xp 0 0 0 /broken\n\
                    7fff12345000-7fff12347000 r-xp 00000000 00:00 0   [vdso]\n";

fn profile(word_bytes: usize, stacks: &[(u64, &[u64])], maps: &str) -> Vec<u8> {
    let mut words = vec![0, 3, 0, 10_000, 0];
    for (count, addresses) in stacks {
        words.extend([*count, addresses.len() as u64]);
        words.extend(*addresses);
    }
    words.extend([0, 1, 0]);
    let bytes = words.iter().flat_map(|number| number.to_le_bytes()[..word_bytes].to_vec());
    bytes.chain(maps.bytes()).collect()
}

fn samples(recording: &[u8]) -> Vec<(u64, Vec<u64>)> {
    let file = PerfData::parse(recording).unwrap();
    let samples = file.records().filter_map(|record| match record.unwrap().kind {
        RecordKind::Sample(sample) => Some((sample.period, sample.callchain.collect())),
        _ => None,
    });
    samples.collect()
}

#[test]
fn each_sample_has_its_stack_and_period() {
    for word in [4, 8] {
        let bytes = profile(word, &[(2, &[0x40_1000, 0x40_2000]), (1, &[0x40_3000, 0x40_4000])], MAPS);
        let recording = from_gperftools(&bytes).unwrap().unwrap();
        let twice = (10_000_000, vec![0x40_1000, 0x40_2000]);
        assert_eq!(samples(&recording), [twice.clone(), twice, (10_000_000, vec![0x40_3000, 0x40_4000])]);
        let file = PerfData::parse(&recording).unwrap();
        let maps: Vec<_> = file.mappings().map(|map| (map.start, map.len, map.path)).collect();
        assert_eq!(maps, [(0x40_0000, 0x5_2000, &b"/usr/bin/a b"[..]), (0x7fff_1234_5000, 0x2000, b"[vdso]")]);
        assert_eq!(file.events()[0].name, "cpu-clock");
    }
}

#[test]
fn the_frame_of_the_signal_handler_is_left_out() {
    let bytes = profile(8, &[(1, &[1, 99, 2]), (1, &[3, 99, 4]), (1, &[5, 99, 6])], "");
    let chains: Vec<_> =
        samples(&from_gperftools(&bytes).unwrap().unwrap()).into_iter().map(|(_, chain)| chain).collect();
    assert_eq!(chains, [[1, 2], [3, 4], [5, 6]]);
}

#[test]
fn a_profile_cut_off_anywhere_is_refused_up_to_its_trailer() {
    let bytes = profile(8, &[(2, &[0x40_1000, 0x40_2000]), (1, &[0x40_3000])], MAPS);
    let end = bytes.len() - MAPS.len();
    for length in 0..bytes.len() {
        match from_gperftools(&bytes[..length]) {
            Ok(None) => assert!(length < 40),
            Ok(Some(recording)) => assert!(length >= end && samples(&recording).len() == 3, "{length}"),
            Err(error) => assert!((40..end).contains(&length) && error.hints().len() == 1, "{length}: {error}"),
        }
    }
}

#[test]
fn counts_that_no_profiler_reaches_are_refused() {
    let error = from_gperftools(&profile(8, &[(u64::MAX, &vec![1; 7000])], "")).unwrap_err();
    assert_eq!(error.to_string(), "unpacked, it is larger than the limit of 1024 MiB");
    for stack in [&[u64::MAX, u64::MAX][..], &[1, 0]] {
        let mut bytes = profile(8, &[], "");
        bytes.splice(40..40, stack.iter().flat_map(|word| word.to_le_bytes()));
        assert_eq!(
            from_gperftools(&bytes).unwrap_err().to_string(),
            "the gperftools profile is cut off or damaged at byte 40"
        );
    }
}
