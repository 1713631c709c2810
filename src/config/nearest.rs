//! Finds the valid name that the user may have meant.

/// Returns the candidate nearest to the typed text. `None` if no candidate is near: a wrong guess is worse than no
/// guess.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = normalise_name(typed);
    candidates
        .into_iter()
        .filter_map(|candidate| Some((edit_distance(&typed, &normalise_name(candidate))?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Converts to lower case, and `-` to `_`: no two valid names differ only in these.
fn normalise_name(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

/// Edit distance, if it is at most a third of the longer name, as in Cargo. An abbreviation (`freq`) also counts as
/// near.
fn edit_distance(typed: &str, candidate: &str) -> Option<usize> {
    let (short, long) = (typed.chars().count(), candidate.chars().count());
    if short >= 3 && candidate.starts_with(typed) {
        return Some(1);
    }
    let distance = strsim::damerau_levenshtein(typed, candidate);
    (distance <= short.max(long) / 3).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn similar_names_are_found_and_others_are_not() {
        let keys = ["engine", "frequency", "event", "kernel", "stack", "off_cpu"];
        for (typed, expected) in [
            ("freqency", Some("frequency")),
            ("freq", Some("frequency")),
            ("Frequency", Some("frequency")),
            ("ecxeption", None),
            ("enigne", Some("engine")),
            ("off-cpu", Some("off_cpu")),
            ("stak", Some("stack")),
            ("s", None),
            ("", None),
            ("färbung", None),
        ] {
            assert_eq!(nearest(typed, keys), expected, "{typed}");
        }
    }
}
