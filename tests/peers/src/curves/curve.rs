//! A curve, and several of them in one chart.

use serde_json::{Value, json};

use crate::measure::{Series, Spread};
use crate::report::duration;

/// How a curve is judged, against the floor beside it: what grows there, need not be flat here.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// What a call costs where there are n of something: it should be flat.
    Call,
    /// What one of n costs, of a call that goes through all: it should be flat as well, or the call is worse than linear.
    Each,
    /// What a call costs that does n things: it may grow as n does.
    All,
    /// What the system itself takes: not judged.
    Floor,
}

/// The costs of one thing, by size.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    points: Vec<(u64, Vec<f64>)>,
}

/// By how much the exponent of a cost may miss what it should be.
const SLACK: f64 = 0.15;

impl Curve {
    /// The middle of each size, in nanoseconds.
    pub(crate) fn medians(&self) -> Vec<(f64, f64)> {
        let median =
            |(size, samples): &(u64, Vec<f64>)| Some((*size as f64, Spread::of(samples)?.median));
        self.points.iter().filter_map(median).collect()
    }

    /// The exponent of the cost between its ends: 0 is flat, 1 is linear.
    fn exponent(&self) -> Option<f64> {
        self.grows(Span::All, |of| of.median, |of| of.median)
    }

    /// The same over the last decade of sizes.
    fn last_decade(&self) -> Option<f64> {
        self.grows(Span::Decade, |of| of.median, |of| of.median)
    }

    /// The exponent over a span, from one figure of its first point to one of its last.
    fn grows(&self, span: Span, from: fn(Spread) -> f64, to: fn(Spread) -> f64) -> Option<f64> {
        let (end, samples) = self.points.last()?;
        // The nearest point that is a decade below: a single step may be noise.
        let far = |(size, _): &&(u64, Vec<f64>)| span == Span::Decade && *size <= end / 10;
        let before = self.points.iter().rev().find(far).or_else(|| self.points.first())?;
        let (first, last) = (from(Spread::of(&before.1)?), to(Spread::of(samples)?));
        let run = (*end as f64 / before.0 as f64).ln();
        (run > 0.0).then(|| (last / first).ln() / run)
    }

    fn json(&self, chart: &Chart) -> Value {
        let points = self.points.iter();
        let points = points.map(|(size, samples)| json!({"size": size, "samples": samples}));
        json!({
            "name": self.name, "floor": self.kind == Kind::Floor, "points": points.collect::<Vec<_>>(),
            "exponent": self.exponent(), "last_decade": self.last_decade(),
            "grows_too_fast": chart.grows_too_fast(self),
        })
    }
}

/// What is judged of a curve.
#[derive(Clone, Copy, PartialEq)]
enum Span {
    All,
    Decade,
}

/// What sizes are counted in.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Unit {
    Bytes,
    Count,
}

/// Curves that are seen in one picture.
pub(crate) struct Chart {
    /// Of its file.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What there is more and more of.
    pub(crate) of: &'static str,
    pub(crate) unit: Unit,
    pub(crate) curves: Vec<Curve>,
}

impl Chart {
    pub(crate) fn new(name: &'static str, title: &'static str, of: &'static str) -> Self {
        Self { name, title, of, unit: Unit::Count, curves: Vec::new() }
    }

    pub(crate) fn of_bytes(self) -> Self {
        Self { unit: Unit::Bytes, ..self }
    }

    /// Adds the samples of a size, in nanoseconds, to the curve of that name.
    pub(crate) fn add(&mut self, name: &str, kind: Kind, size: u64, samples: Vec<f64>) {
        match self.curves.iter_mut().find(|curve| curve.name == name) {
            Some(curve) => curve.points.push((size, samples)),
            None => {
                let (name, points) = (name.to_owned(), vec![(size, samples)]);
                self.curves.push(Curve { name, kind, points });
            }
        }
    }

    /// The same, of a contender.
    pub(crate) fn add_series(&mut self, series: &Series, name: &str, kind: Kind, size: u64) {
        self.add(name, kind, size, series.of(name));
    }

    /// A size, as it is read.
    pub(crate) fn size(&self, size: f64) -> String {
        let (step, units) = match self.unit {
            Unit::Bytes => (1024.0, [" B", " KiB", " MiB", " GiB"]),
            Unit::Count => (1000.0, ["", "k", "M", "G"]),
        };
        let mut left = size;
        for unit in units {
            if left < step * 0.999 {
                return format!("{}{unit}", (left * 10.0).round() / 10.0);
            }
            left /= step;
        }
        format!("{size}")
    }

    /// Grows where the floor does not, over its last decade or from end to end. The least sample of the last point is held
    /// against the greatest of the earlier one, so that no noise is called growth.
    fn grows_too_fast(&self, curve: &Curve) -> bool {
        let least = match curve.kind {
            Kind::Call | Kind::Each => 0.0,
            Kind::All => 1.0,
            Kind::Floor => return false,
        };
        let floor = self.curves.iter().find(|curve| curve.kind == Kind::Floor);
        [Span::All, Span::Decade].into_iter().any(|span| {
            let floor = floor.and_then(|floor| floor.grows(span, |of| of.median, |of| of.median));
            let limit = floor.unwrap_or(least).max(least) + SLACK;
            let surely = curve.grows(span, |of| of.max, |of| of.min);
            surely.is_some_and(|exponent| exponent > limit)
        })
    }

    pub(crate) fn json(&self) -> Value {
        let curves = self.curves.iter().map(|curve| curve.json(self)).collect::<Vec<_>>();
        json!({"name": self.name, "title": self.title, "of": self.of, "unit": "ns", "curves": curves})
    }
}

/// All curves, a line each.
pub(crate) fn words(charts: &[Chart]) -> String {
    let mut text = String::new();
    for chart in charts {
        text += &format!("\n{}: {}, by {}\n", chart.name, chart.title, chart.of);
        for curve in &chart.curves {
            let point =
                |(size, cost): (f64, f64)| format!("{} {}", chart.size(size), duration(cost));
            let points = curve.medians().into_iter().map(point).collect::<Vec<_>>().join(", ");
            let exponent = |exponent: Option<f64>| {
                exponent.map_or_else(|| "-".to_owned(), |exponent| format!("{exponent:.2}"))
            };
            let (ends, decade) = (exponent(curve.exponent()), exponent(curve.last_decade()));
            let mark = match (chart.grows_too_fast(curve), curve.kind) {
                (false, _) => "",
                (true, Kind::Call) => " GROWS",
                (true, _) => " WORSE THAN LINEAR",
            };
            let name = &curve.name;
            text +=
                &format!("  {name}: exponent {ends}, last decade {decade}{mark}\n    {points}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(kind: Kind, exponent: f64) -> Chart {
        let mut chart = Chart::new("c", "c", "records");
        for size in [100, 1_000, 10_000] {
            chart.add("one", kind, size, vec![(size as f64).powf(exponent) * 50.0; 3]);
        }
        chart
    }

    #[test]
    fn a_curve_says_how_it_grows() {
        let text = words(&[chart(Kind::Each, 0.5)]);
        assert!(text.contains("one: exponent 0.50, last decade 0.50 WORSE THAN LINEAR"), "{text}");
        for (kind, exponent, marked) in [
            (Kind::Each, 0.1, ""),
            (Kind::Call, 0.1, ""),
            (Kind::Call, 0.5, " GROWS"),
            (Kind::All, 1.0, ""),
            (Kind::All, 1.5, " WORSE THAN LINEAR"),
            (Kind::Floor, 2.0, ""),
        ] {
            let text = words(&[chart(kind, exponent)]);
            assert!(text.contains(&format!("last decade {exponent:.2}{marked}\n")), "{text}");
        }
    }

    #[test]
    fn what_the_floor_grows_by_is_no_fault_of_ours() {
        let mut chart = chart(Kind::Each, 0.5);
        for (size, cost) in [(100, 1.0), (10_000, 10.0)] {
            chart.add("floor", Kind::Floor, size, vec![cost]);
        }
        let text = words(&[chart]);
        assert!(!text.contains("WORSE THAN LINEAR"), "{text}");
    }

    fn of(points: &[(u64, &[f64])]) -> String {
        let mut chart = Chart::new("c", "c", "threads");
        for (size, costs) in points {
            chart.add("one", Kind::Call, *size, costs.to_vec());
        }
        words(&[chart])
    }

    #[test]
    fn a_decade_is_more_than_one_step_and_the_whole_span_counts_too() {
        // Between the last two alone, the exponent would be 0.50.
        let text = of(&[(1, &[2.0]), (4, &[2.0]), (16, &[1.0]), (64, &[2.0])]);
        assert!(text.contains("exponent 0.00, last decade 0.00\n"), "{text}");
        let text = of(&[(1, &[1.0]), (4, &[2.0]), (16, &[2.0]), (64, &[2.0])]);
        assert!(text.contains("exponent 0.17, last decade 0.00 GROWS\n"), "{text}");
    }

    #[test]
    fn noise_is_no_growth() {
        let text = of(&[(10, &[1.0, 1.0, 3.0]), (100, &[1.5, 3.0, 3.0])]);
        assert!(text.contains("exponent 0.48, last decade 0.48\n"), "{text}");
        let text = of(&[(10, &[1.0, 1.0, 1.0]), (100, &[1.5, 3.0, 3.0])]);
        assert!(text.contains("exponent 0.48, last decade 0.48 GROWS\n"), "{text}");
    }

    #[test]
    fn sizes_read_well() {
        let counts = Chart::new("c", "c", "records");
        let bytes = Chart::new("c", "c", "bytes").of_bytes();
        assert_eq!([1.0, 64.0, 1e4, 1e7].map(|size| counts.size(size)), ["1", "64", "10k", "10M"]);
        assert_eq!(
            [1024.0, 4_194_304.0, 4_294_967_296.0].map(|size| bytes.size(size)),
            ["1 KiB", "4 MiB", "4 GiB"]
        );
    }
}
