//! Charts as SVG: both axes are logarithmic, so that a straight line is a power and a flat one does not grow.

use camino::Utf8Path;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::curve::{Chart, Curve, Kind};
use crate::Result;
use crate::report::duration;

const SIZE: (u32, u32) = (800, 500);
/// Told apart by those who see no red or no green as well (Okabe and Ito).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(140, 86, 75),
    RGBColor(60, 60, 120),
];
const FLOOR: RGBColor = RGBColor(120, 120, 120);

/// Draws a chart into `DIR/NAME.svg`. Floors are grey, and judged curves have a colour each.
pub(crate) fn svg(chart: &Chart, dir: &Utf8Path) -> Result<()> {
    let points = || chart.curves.iter().flat_map(|curve| curve.medians());
    let (xs, ys) = (points().map(|(x, _)| x), points().map(|(_, y)| y));
    let (left, right) = ends(xs).ok_or("a chart without points")?;
    let (low, high) = ends(ys).ok_or("a chart without points")?;
    let (low, high) = (low.log10().floor(), high.log10().ceil());
    // The legend stands above the curves: it takes this part of the picture's height.
    let part = (0.06 + 0.047 * chart.curves.len() as f64).min(0.5);
    let high = high + (high - low) * part / (1.0 - part);
    let (low, high) = (10_f64.powf(low), 10_f64.powf(high));
    let path = dir.join(format!("{}.svg", chart.name));
    let root = SVGBackend::new(path.as_std_path(), SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut picture = ChartBuilder::on(&root)
        .caption(chart.title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(46)
        .y_label_area_size(76)
        .build_cartesian_2d((left * 0.9..right * 1.1).log_scale(), (low..high).log_scale())?;
    let up = |cost: &f64| duration(*cost).replace(".00 ", " ");
    picture
        .configure_mesh()
        .disable_x_mesh()
        .x_desc(chart.of)
        .y_desc("time")
        .x_label_formatter(&|_| String::new())
        .y_labels(10)
        .y_label_formatter(&up)
        .label_style(("sans-serif", 14))
        .axis_desc_style(("sans-serif", 15))
        .light_line_style(RGBColor(240, 240, 240))
        .bold_line_style(RGBColor(215, 215, 215))
        .draw()?;
    // Marked are the sizes that were measured, not powers of ten that nobody measured.
    let style = ("sans-serif", 14).into_font().color(&BLACK);
    let style = style.pos(Pos::new(HPos::Center, VPos::Top));
    let sizes = chart.curves.first().map(Curve::medians).unwrap_or_default();
    picture.draw_series(sizes.into_iter().map(|(size, _)| {
        EmptyElement::at((size, low))
            + PathElement::new([(0, 0), (0, 4)], BLACK)
            + Text::new(chart.size(size), (0, 8), style.clone())
    }))?;
    for (curve, colour) in chart.curves.iter().zip(COLOURS.iter().cycle()) {
        let colour = if curve.kind == Kind::Floor { FLOOR } else { *colour };
        let line = colour.stroke_width(if curve.kind == Kind::Floor { 1 } else { 2 });
        picture
            .draw_series(LineSeries::new(curve.medians(), line).point_size(4))?
            .label(curve.name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], line));
    }
    picture
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(("sans-serif", 14))
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(190, 190, 190))
        .draw()?;
    root.present()?;
    Ok(())
}

fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}
