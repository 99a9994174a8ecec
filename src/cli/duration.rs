//! Lengths of time on the command line: `500ms`, `60s`, `1h 30m`.

use std::time::Duration;

/// A length of time that is not negative.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>();
    let wanted = || "it must be a length of time such as 500ms, 60s, 5m, 2h or 1h 30m".to_owned();
    Duration::try_from(parsed.map_err(|_| wanted())?).map_err(|_| wanted())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_other_texts_refused() {
        for (text, millis) in
            [("500ms", 500), ("60s", 60_000), ("5m", 300_000), ("1h 30m", 5_400_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "60", "-1s", "soon", "1 s s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
