//! Plots as SVG: bars in groups, and lines.

use std::fmt::Write as _;

use crate::{
    figure::rounded,
    row::{Plot, PlotKind},
};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 60.0;
/// Distinguishable for colour-blind people, and on dark pages.
const COLOURS: [&str; 5] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9"];

/// Draws the plot as an SVG file.
pub fn svg(plot: &Plot) -> String {
    let highest = plot.groups.iter().flat_map(|(_, points)| points).map(|(_, value)| *value).fold(0.0, f64::max);
    let top = nice(highest);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    text(&mut svg, LEFT, 20.0, "start", "14", &plot.title);
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let y = height(value, top);
        let _ = writeln!(svg, "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{WIDTH}\" y2=\"{y:.1}\" stroke=\"#dddddd\"/>");
        text(&mut svg, LEFT - 6.0, y + 4.0, "end", "11", &rounded(value));
    }
    text(&mut svg, LEFT - 6.0, TOP - 10.0, "end", "11", &plot.unit);
    match plot.kind {
        PlotKind::Bars => bars(&mut svg, plot, top),
        PlotKind::Lines => lines(&mut svg, plot, top),
    }
    svg.push_str("</svg>\n");
    svg
}

fn bars(svg: &mut String, plot: &Plot, top: f64) {
    let names: Vec<&str> =
        plot.groups.first().map(|(_, bars)| bars.iter().map(|(name, _)| name.as_str()).collect()).unwrap_or_default();
    #[allow(clippy::cast_precision_loss)] // a handful of groups
    let (group, bar) = {
        let group = (WIDTH - LEFT) / plot.groups.len().max(1) as f64;
        (group, group * 0.7 / names.len().max(1) as f64)
    };
    let mut x = LEFT;
    for (label, values) in &plot.groups {
        let mut at = x + group * 0.15;
        for ((_, value), colour) in values.iter().zip(COLOURS.iter().cycle()) {
            let y = height(*value, top);
            let tall = HEIGHT - BOTTOM - y;
            let _ = writeln!(
                svg,
                "<rect x=\"{at:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" fill=\"{colour}\"/>",
                bar * 0.92
            );
            text(svg, at + bar * 0.46, y - 4.0, "middle", "11", &rounded(*value));
            at += bar;
        }
        text(svg, x + group / 2.0, HEIGHT - BOTTOM + 18.0, "middle", "12", label);
        x += group;
    }
    legend(svg, &names);
}

fn lines(svg: &mut String, plot: &Plot, top: f64) {
    let names: Vec<&str> = plot.groups.iter().map(|(name, _)| name.as_str()).collect();
    for ((_, points), colour) in plot.groups.iter().zip(COLOURS.iter().cycle()) {
        #[allow(clippy::cast_precision_loss)] // a few hundred points
        let step = (WIDTH - LEFT - 20.0) / (points.len().max(2) - 1) as f64;
        let mut x = LEFT;
        let mut path = Vec::new();
        for (at, (label, value)) in points.iter().enumerate() {
            path.push(format!("{x:.1},{:.1}", height(*value, top)));
            if at.is_multiple_of(points.len().div_ceil(10).max(1)) {
                text(svg, x, HEIGHT - BOTTOM + 18.0, "middle", "11", label);
            }
            x += step;
        }
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
    }
    legend(svg, &names);
}

fn legend(svg: &mut String, names: &[&str]) {
    let mut x = LEFT;
    for (name, colour) in names.iter().zip(COLOURS.iter().cycle()) {
        let y = HEIGHT - 22.0;
        let _ = writeln!(svg, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>");
        text(svg, x + 18.0, y + 10.0, "start", "12", name);
        #[allow(clippy::cast_precision_loss)] // a name
        let wide = name.chars().count() as f64;
        x += 40.0 + wide * 7.0;
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, size: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"#222222\">{text}</text>"
    );
}

fn height(value: f64, top: f64) -> f64 {
    HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value / top).clamp(0.0, 1.0)
}

/// The next higher number that looks good on an axis.
fn nice(highest: f64) -> f64 {
    if !highest.is_finite() || highest <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(highest.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0, 10.0];
    steps.iter().map(|step| step * power).find(|top| *top >= highest * 1.05).unwrap_or(power * 12.0)
}
