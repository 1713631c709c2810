//! Readings of a program's memory, in the order of time.

use std::collections::HashMap;
use std::hash::Hash;

/// Groups readings by a key. The readings of a group are in time order. `times` returns the first and the last time of a
/// reading.
pub(super) fn group_readings<R, K: Eq + Hash>(
    readings: &[R],
    key: impl Fn(&R) -> K,
    times: impl Fn(&R) -> (u64, u64),
) -> HashMap<K, Vec<&R>> {
    let mut groups: HashMap<K, Vec<&R>> = HashMap::new();
    for reading in readings {
        groups.entry(key(reading)).or_default().push(reading);
    }
    for group in groups.values_mut() {
        group.sort_by_key(|reading| times(reading));
    }
    groups
}
