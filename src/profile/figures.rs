//! Formats the figures of a profile as text. Rounding never turns a small share into 0 %, nor a large share into
//! 100 %.

use super::{Event, Profile};

/// From this number of samples on, a tenth of a percent is at least one sample.
pub(super) const MIN_COUNT_FOR_TENTHS: u64 = 1_000;

/// Formats the share of a count in percent: `12.3 %`, or `12 %` of fewer than 1 000.
pub fn format_percent(part: u64, whole: u64) -> String {
    format_share(part, whole, Some(whole))
}

/// Formats a share of a weight in percent: `12.3 %`, or `12 %` if the whole has fewer than 1 000 samples. `samples` is
/// the number of samples of the whole, or `None` for a weight that was not sampled.
///
/// `0 %` and `100 %` are exact. A share just above 0 is `<0.1 %` or `<1 %`, and a share just below the whole is `99.9 %` or
/// `99 %`. If `whole` is 0, the share is `0 %`.
pub fn format_share(part: u64, whole: u64, samples: Option<u64>) -> String {
    if part == 0 || whole == 0 {
        return "0 %".to_owned();
    }
    if part == whole {
        return "100 %".to_owned();
    }
    let has_tenths = samples.is_none_or(|samples| samples >= MIN_COUNT_FOR_TENTHS);
    let steps: u128 = if has_tenths { 1_000 } else { 100 };
    let (part, whole) = (u128::from(part), u128::from(whole));
    let mut share = (part * steps + whole / 2) / whole;
    if part < whole {
        share = share.min(steps - 1);
    }
    match (share, has_tenths) {
        (0, true) => "<0.1 %".to_owned(),
        (0, false) => "<1 %".to_owned(),
        (_, true) => format!("{}.{} %", share / 10, share % 10),
        (_, false) => format!("{share} %"),
    }
}

/// Formats a number with its digits in groups of three: `20 134`.
pub fn format_number(number: u64) -> String {
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

/// Formats the total count of a profile with its name: `20 134 samples`, `12 contentions`. `None` if the profile has only
/// a weight.
pub fn format_total_count(profile: &Profile) -> Option<String> {
    profile.event.has_count().then(|| format_count(&profile.event, profile.total_count()))
}

/// Formats a count of an event with its name: `1 sample`, `1 contention`, `12 contentions`.
pub fn format_count(event: &Event, count: u64) -> String {
    let name = &event.count_name;
    match count {
        _ if event.is_sampled() => format_samples(count),
        1 => format!("1 {}", name.strip_suffix('s').unwrap_or(name)),
        _ => format!("{} {name}", format_number(count)),
    }
}

/// Formats a number of samples: `1 sample`, `20 134 samples`.
pub fn format_samples(count: u64) -> String {
    if count == 1 { "1 sample".to_owned() } else { format!("{} samples", format_number(count)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_many_round_to_one_decimal() {
        assert_eq!(format_percent(1_000, 3_000), "33.3 %");
        assert_eq!(format_percent(2_000, 3_000), "66.7 %");
        assert_eq!(format_share(1, 2, None), "50.0 %");
    }

    /// Earlier, one sample of 30 was `3.33 %` in the picture and `3.3 %` in the terminal.
    #[test]
    fn shares_have_only_the_digits_that_the_samples_carry() {
        assert_eq!(format_percent(1, 30), "3 %");
        assert_eq!(format_share(1_003_009, 30_090_270, Some(30)), "3 %");
        assert_eq!(format_share(1_003_009, 30_090_270, Some(1_000)), "3.3 %");
        assert_eq!(format_percent(998, 999), "99 %");
        assert_eq!(format_percent(1, 999), "<1 %");
    }

    #[test]
    fn shares_never_claim_all_or_nothing() {
        assert_eq!(format_percent(0, 7), "0 %");
        assert_eq!(format_percent(7, 7), "100 %");
        assert_eq!(format_percent(99_999, 100_000), "99.9 %");
        assert_eq!(format_percent(1, 100_000), "<0.1 %");
        assert_eq!(format_percent(u64::MAX - 1, u64::MAX), "99.9 %");
        assert_eq!(format_percent(0, 0), "0 %");
    }

    #[test]
    fn digits_are_in_groups_of_three() {
        assert_eq!(format_number(0), "0");
        assert_eq!(format_number(999), "999");
        assert_eq!(format_number(20_134), "20 134");
        assert_eq!(format_number(1_234_567), "1 234 567");
    }
}
