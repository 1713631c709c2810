//! Formats the figures of a profile as text. Rounding never turns a small share into 0 %, nor a large share into
//! 100 %.

use super::Profile;

/// Formats a share in percent with one decimal: `12.3 %`.
///
/// `0 %` and `100 %` are exact. A share just above 0 is `<0.1 %`, and a share just below the whole is `99.9 %`. If
/// `whole` is 0, the share is `0 %`.
pub fn format_percent(part: u64, whole: u64) -> String {
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
    let (event, count) = (&profile.event, profile.total_count());
    match event.has_count() {
        true if event.is_sampled() => Some(format_samples(count)),
        true => Some(format!("{} {}", format_number(count), event.count_name)),
        false => None,
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
    fn shares_round_to_one_decimal() {
        assert_eq!(format_percent(1, 3), "33.3 %");
        assert_eq!(format_percent(2, 3), "66.7 %");
        assert_eq!(format_percent(1, 2), "50.0 %");
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
