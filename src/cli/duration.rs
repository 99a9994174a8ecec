//! Durations on the command line: `500ms`, `60s`, `5m`, `1h 30m`, `3d`.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Reads a duration; a day has 24 hours.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let span: Span = text.parse().map_err(|_| {
        let why = match is_too_long(text) {
            true => "it is longer than any time that can be counted; give less",
            false => "it is no time; give a number and a unit, such as 500ms, 60s, 5m, 2h or 3d",
        };
        why.to_owned()
    })?;
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| "months and years differ in length; give days at most".to_owned())?;
    Duration::try_from(duration).map_err(|_| "it must not be negative".to_owned())
}

/// Whether it would be a time with smaller numbers.
fn is_too_long(text: &str) -> bool {
    let digits: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    digits.parse::<Span>().is_ok()
}

/// Reads how old something may get: a duration, or `never`.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    if text == "never" { Ok(Duration::MAX) } else { duration(text) }
}

/// The same, where a number alone is of days.
pub(crate) fn age_in_days(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(days) => Ok(Duration::from_secs(days.saturating_mul(86_400))),
        Err(_) => age(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units() {
        let read = |text| duration(text).map(|duration| duration.as_millis());
        let good = [("500ms", 500), ("60s", 60_000), ("5m", 300_000), ("2h", 7_200_000), ("0s", 0)];
        for (text, milliseconds) in good {
            assert_eq!(read(text), Ok(milliseconds), "{text}");
        }
        assert_eq!(read("3d"), Ok(259_200_000));
        assert_eq!(read("1h 30m"), Ok(5_400_000));
        for text in ["", "5", "s", "-5s", "1 month", "5 parsecs", "99999999999999999999d"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_not_called_no_time() {
        assert!(duration("99999999999d").unwrap_err().starts_with("it is longer"));
        assert!(duration("99999999999x").unwrap_err().starts_with("it is no time"));
    }

    #[test]
    fn ages() {
        let days = |text| age_in_days(text).map(|age| age.as_secs() / 86_400);
        assert_eq!((days("30d"), days("30"), days("48h")), (Ok(30), Ok(30), Ok(2)));
        assert_eq!((age("never"), age_in_days("never")), (Ok(Duration::MAX), Ok(Duration::MAX)));
        assert!(age("30").is_err() && days("-1").is_err());
        assert_eq!(age_in_days("18446744073709551615"), Ok(Duration::from_secs(u64::MAX)));
    }
}
