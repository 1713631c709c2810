//! The texts that Go writes for `?debug=1`.

use super::*;

const GOROUTINES: &str = "goroutine profile: total 8
5 @ 0x47de8e 0x4dc9f5 0x4dd2d7 0x484501
#\t0x4dc9f4\tmain.wait+0x14\t/src/main.go:5
#\t0x4dc9f4\tmain.tiny[...]+0x16\t\t/src/ma:in.go:6

3 @ 0x47de8e 0x4dc9f5
# labels: {\"goroutine\":\"7\", \"entry\":\"main.tiny\"}
#\t0x4dc9f4\tmain.wait+0x14\t/src/main.go:5
";

const HEAP: &str = "heap profile: 3: 3072 [4: 4096] @ heap/2
2: 2048 [3: 3072] @ 0x4dc9f5 0x4dd2d7
#\t0x4dc9f4\tmain.grab+0x14\t/src/main.go:5

1: 1024 [1: 1024] @ 0x4dc9f5

# runtime.MemStats
# Alloc = 123
";

const MUTEX: &str = "--- mutex:
cycles/second=2000000000
sampling period=10
3000 5 @ 0x4dd158
#\t0x4dd157\tsync.(*Mutex).Unlock+0x97\t/go/src/sync/mutex.go:65
";

/// Names from root to leaf, and the weight.
fn folded(text: &str, sample_type: Option<&str>) -> Vec<(String, u64)> {
    let profile = read(text.as_bytes(), sample_type).unwrap().profile;
    let names = |stack| {
        let locations = profile.stack(stack).into_iter();
        let names = locations.flat_map(|location| profile.frames(location).iter());
        names.map(|frame| profile.str(profile.function(frame.function).name)).collect::<Vec<_>>().join(";")
    };
    profile.samples().iter().map(|sample| (names(sample.stack), sample.weight)).collect()
}

#[test]
fn each_kind_of_text_has_its_values() {
    assert_eq!(folded(GOROUTINES, None), [("main.tiny[...];main.wait".to_owned(), 5), ("main.wait".to_owned(), 3)]);
    let heap = |sample_type| folded(HEAP, sample_type).into_iter().map(|(_, weight)| weight).collect::<Vec<_>>();
    assert_eq!(heap(None), [2048, 1024], "what is in use, as Go's own tools show first");
    assert_eq!(heap(Some("alloc_space")), [3072, 1024]);
    assert_eq!(heap(Some("alloc_objects")), [3, 1]);
    assert_eq!(folded(HEAP, None)[1].0, "[unknown]", "only its address is known");
    assert_eq!(folded(MUTEX, None), [("sync.(*Mutex).Unlock".to_owned(), 1500)], "nanoseconds at 2 GHz");
    assert_eq!(folded(MUTEX, Some("contentions"))[0].1, 5);
}

#[test]
fn sampled_objects_stand_for_more() {
    // One object of 1024 bytes, at a rate of 1024: 1 / (1 - 1/e).
    let text = HEAP.replace("heap/2\n", "heap/2048\n");
    assert_eq!(folded(&text, None)[1].1, 1619);
}

#[test]
fn a_text_cut_off_or_with_other_totals_is_refused() {
    let last = GOROUTINES.rfind("3 @").unwrap();
    for length in 0..=last {
        assert!(read(&GOROUTINES.as_bytes()[..length], None).is_err(), "{length}");
    }
    for (text, other) in
        [("total 8", "total 9"), ("[4: 4096]", "[4: 4097]"), ("5 @ 0x", "5 @ 1x"), ("=2000000000", "=0")]
    {
        let whole = [GOROUTINES, HEAP, MUTEX].into_iter().find(|whole| whole.contains(text)).unwrap();
        let error = read(whole.replacen(text, other, 1).as_bytes(), None).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{other}: {error:?}");
    }
}

#[test]
fn a_text_cut_off_or_changed_anywhere_does_not_panic() {
    for text in [GOROUTINES, HEAP, MUTEX] {
        for at in 0..text.len() {
            _ = read(&text.as_bytes()[..at], None);
            for value in [0, b'9', b' ', 0xff] {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] = value;
                _ = read(&bytes, None);
            }
        }
    }
}
