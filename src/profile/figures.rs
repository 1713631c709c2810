//! How figures about a profile are written: rounded, but never into a claim that they do not make.

use super::Profile;

/// A share with one decimal: `12.3 %`.
///
/// Rounding never says "all" or "nothing" of what is not: `100 %` and `0 %` are exact, a share just
/// short of all is `99.9 %`, and one just above nothing is `<0.1 %`. A part of nothing is `0 %`.
pub fn percent(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "0 %".to_owned();
    }
    if part == whole {
        return "100 %".to_owned();
    }
    let (part, whole) = (u128::from(part), u128::from(whole));
    let mut tenths = (part * 1000 + whole / 2) / whole;
    if part < whole {
        tenths = tenths.min(999);
    }
    if tenths == 0 {
        return "<0.1 %".to_owned();
    }
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// A count with its digits in groups of three: `20 134`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// What the counts of a profile sum up to, in words: `20 134 samples`, `12 contentions`; `None` where there is only a weight.
pub fn counted(profile: &Profile) -> Option<String> {
    let (event, count) = (&profile.event, profile.total_count());
    match event.has_count() {
        true if event.is_sampled() => Some(samples(count)),
        true => Some(format!("{} {}", grouped(count), event.counted)),
        false => None,
    }
}

/// A number of samples in words: `1 sample`, `20 134 samples`.
pub fn samples(count: u64) -> String {
    if count == 1 { "1 sample".to_owned() } else { format!("{} samples", grouped(count)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_round_to_one_decimal() {
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(2, 3), "66.7 %");
        assert_eq!(percent(1, 2), "50.0 %");
    }

    #[test]
    fn shares_never_claim_all_or_nothing() {
        assert_eq!(percent(0, 7), "0 %");
        assert_eq!(percent(7, 7), "100 %");
        assert_eq!(percent(99_999, 100_000), "99.9 %");
        assert_eq!(percent(1, 100_000), "<0.1 %");
        assert_eq!(percent(u64::MAX - 1, u64::MAX), "99.9 %");
        assert_eq!(percent(0, 0), "0 %");
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(20_134), "20 134");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }
}
