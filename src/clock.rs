//! Points in time, and the clock that they are read from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::cut;

/// A point in time in whole microseconds, written as RFC 3339 in UTC with six decimals:
/// `2026-11-21T09:30:00.000000Z`. For people and for age; never for order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(jiff::Timestamp);

/// A text that is not an RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{:?} is not an RFC 3339 time such as 2026-11-21T09:30:00.000000Z", cut(.text))]
pub struct TimestampError {
    /// The refused text.
    pub text: String,
}

impl Timestamp {
    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn as_microseconds(self) -> i64 {
        self.0.as_microsecond()
    }

    /// The time that many microseconds after 1970-01-01T00:00:00Z, held within the years 1 to 9999.
    #[must_use]
    pub fn from_microseconds(microseconds: i64) -> Self {
        let limit = if microseconds < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        let time = jiff::Timestamp::from_microsecond(microseconds)
            // The last time there is has nanoseconds, which a text would lose.
            .or_else(|_| jiff::Timestamp::from_second(limit.as_second()));
        Self(time.unwrap_or(limit))
    }
}

impl Timestamp {
    /// From the form that this library writes, in years of four digits; `None` for any other, also
    /// where it is a time.
    pub(crate) fn from_canonical(text: &[u8; 27]) -> Option<Self> {
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', rest @ ..] = text else {
            return None;
        };
        let [h1, h2, b':', n1, n2, b':', s1, s2, b'.', f1, f2, f3, f4, f5, f6, b'Z'] = rest else {
            return None;
        };
        let number = |digits: &[&u8]| {
            digits.iter().try_fold(0, |number, digit| {
                let digit = digit.wrapping_sub(b'0');
                (digit < 10).then(|| number * 10 + i64::from(digit))
            })
        };
        let within = |number: i64, limit| (0..limit).contains(&number).then_some(number);
        let (year, month) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?);
        let day = number(&[d1, d2])? - 1;
        let days = within(day, days_in(year, month)?)? + days_before(year, month);
        let hours = within(number(&[h1, h2])?, 24)? + days * 24;
        let minutes = within(number(&[n1, n2])?, 60)? + hours * 60;
        let seconds = within(number(&[s1, s2])?, 60)? + minutes * 60;
        let micros = number(&[f1, f2, f3, f4, f5, f6])? + seconds * 1_000_000;
        // The last days of 9999 are beyond what a time can be.
        (1..9999).contains(&year).then(|| Self::from_microseconds(micros))
    }

    /// Appends its text, as [`Display`](fmt::Display) gives it.
    pub(crate) fn write_to(self, out: &mut Vec<u8>) {
        let seconds = self.0.as_second();
        if seconds < 0 || self.0.subsec_nanosecond() < 0 {
            // Before 1970, and rarely seen.
            out.extend_from_slice(self.to_string().as_bytes());
            return;
        }
        // Numbers that are small and have no sign are divided in less time.
        let of_day = u32::try_from(seconds % 86_400).unwrap_or(0);
        let micros = self.0.subsec_nanosecond().unsigned_abs() / 1000;
        let two = |number: u32| [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8];
        let (year, month, day) = date(seconds / 86_400);
        let [year, month, day] = [year, month, day].map(|n| u32::try_from(n).unwrap_or(0));
        let ([y1, y2], [y3, y4]) = (two(year / 100), two(year));
        let ([m1, m2], [d1, d2]) = (two(month), two(day));
        let ([h1, h2], [n1, n2]) = (two(of_day / 3600), two(of_day / 60 % 60));
        let [s1, s2] = two(of_day % 60);
        let ([f1, f2], [f3, f4], [f5, f6]) = (two(micros / 10_000), two(micros / 100), two(micros));
        out.extend_from_slice(&[
            y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2,
            b'.', f1, f2, f3, f4, f5, f6, b'Z',
        ]);
    }
}

/// The inverse of [`days_before`], down to the day: year, month, day.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month < 3), month, day)
}

fn days_in(year: i64, month: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Days from 1970-01-01 to the first of a month, by years that begin in March, so that the leap day is
/// the last one. Year 1 or later.
fn days_before(year: i64, month: i64) -> i64 {
    let year = if month < 3 { year - 1 } else { year };
    let months = (month + 9) % 12;
    year * 365 + year / 4 - year / 100 + year / 400 + (months * 153 + 2) / 5 - 719_468
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.0)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        if let Some(time) = text.as_bytes().try_into().ok().and_then(Self::from_canonical) {
            return Ok(time);
        }
        text.parse().map(Self).map_err(|_| TimestampError { text: text.to_owned() })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A clock; injected, so that tests and snapshots are stable to the byte.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time now. It may step back: nothing in a journal is ordered by it. One thread may ask for an event of another's.
    fn now(&self) -> Timestamp;
}

/// The clock of the system: the one that is used unless another is given.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microseconds(jiff::Timestamp::now().as_microsecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_six_decimals_and_reads_back() {
        let time = Timestamp::from_microseconds(1_795_253_400_000_000);
        assert_eq!(time.to_string(), "2026-11-21T09:30:00.000000Z");
        assert_eq!(time.to_string().parse(), Ok(time));
        for limit in [i64::MIN, i64::MAX].map(Timestamp::from_microseconds) {
            assert_eq!(limit.to_string().parse(), Ok(limit));
        }
        assert_eq!(
            Timestamp::from_microseconds(i64::MAX).to_string().len(),
            time.to_string().len()
        );
    }
}
