//! Numbers, sizes and times as people read them; JSON has them as they are.

use runjournal::{Clock as _, Digest, SystemClock, Timestamp};

/// A number of things: `1 run`, `2 runs`.
pub(crate) fn count(number: impl TryInto<u64>, thing: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Bytes: whole ones below 1 KiB, then three digits of the unit that fits.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Rounded down, so that nothing is shown as more than it is.
    let shift = (bytes.ilog2() / 10) * 10;
    let tenths = (u128::from(bytes) * 10) >> shift;
    let unit = UNITS.get(shift as usize / 10 - 1).copied().unwrap_or_default();
    if tenths < 1000 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", tenths / 10)
    }
}

/// Enough of a digest to tell it from others by eye; JSON has all of it.
pub(crate) fn short(digest: Digest) -> String {
    digest.to_hex().chars().take(12).collect()
}

/// A text in which each digest is shortened.
pub(crate) fn with_short_digests(text: &str) -> String {
    let mut pieces = text.split("blake3:");
    let mut short = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        short.push_str("blake3:");
        match piece.split_at_checked(64) {
            Some((hex, rest)) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                short.extend(hex.chars().take(12));
                short.push_str("...");
                short.push_str(rest);
            }
            _ => short.push_str(piece),
        }
    }
    short
}

/// How long something is away, for people.
pub(crate) fn until(then: Timestamp) -> String {
    let now = SystemClock.now().as_microseconds();
    match now.saturating_sub(then.as_microseconds()) {
        -4_999_999.. => "in a moment".to_owned(),
        away => span(away),
    }
}

/// How long ago a moment is that lies so many microseconds back; of one that is still to come, how far off.
pub(crate) fn span(microseconds: i64) -> String {
    let is_past = microseconds >= 0;
    // What was is told in whole units; what is to come to the nearest one, so that two hours do not begin as one.
    let per = |amount: u64, unit: u64| {
        if is_past { amount / unit } else { amount.saturating_add(unit / 2) / unit }
    };
    let seconds = per(microseconds.unsigned_abs(), 1_000_000);
    let (minutes, hours) = (per(seconds, 60), per(seconds, 3600));
    let span = match () {
        () if seconds < 5 => return "just now".to_owned(),
        () if seconds < 60 => format!("{seconds} s"),
        () if minutes < 60 => format!("{minutes} min"),
        () if hours < 24 => format!("{hours} h"),
        () => format!("{} d", per(seconds, 86_400)),
    };
    if is_past { format!("{span} ago") } else { format!("in {span}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_largest_whole_unit() {
        let told = [0, 4, 5, 59, 60, 3599, 3600, 86_399, 86_400, -7, -180];
        let told = told.map(|seconds| span(seconds * 1_000_000));
        let wanted = [
            "just now",
            "just now",
            "5 s ago",
            "59 s ago",
            "1 min ago",
            "59 min ago",
            "1 h ago",
            "23 h ago",
            "1 d ago",
            "in 7 s",
            "in 3 min",
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn what_is_to_come_is_told_to_the_nearest_unit() {
        let told = [-7_199_999_999, -5_340_000_000, -3_599_600_000, -59_400_000, -86_399_000_000];
        assert_eq!(told.map(span), ["in 2 h", "in 1 h", "in 1 h", "in 59 s", "in 1 d"]);
    }

    #[test]
    fn digests_are_shortened_and_nothing_else_is() {
        let digest = Digest::of(b"");
        let text = format!("blake3:no, {digest}, blake3:{}", "é".repeat(40));
        let wanted = format!("blake3:no, blake3:{}..., blake3:{}", short(digest), "é".repeat(40));
        assert_eq!(with_short_digests(&text), wanted);
    }

    #[test]
    fn sizes_are_told_in_three_digits() {
        let told = [0, 1023, 1024, 1535, 102_399, 102_400, 1 << 20, 10_737_418_240, u64::MAX];
        let wanted = [
            "0 B", "1023 B", "1.0 KiB", "1.4 KiB", "99.9 KiB", "100 KiB", "1.0 MiB", "10.0 GiB",
            "15.9 EiB",
        ];
        assert_eq!(told.map(size), wanted);
    }
}
