//! A bar for what each observation gave away, and a line for what frequent words give.

use super::{BARS, number};
use crate::failure::Outcome;
use core::fmt::Write;
use serde_json::Value;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 40.0;
const BAR: f64 = 28.0;
/// Prefix and kind in the summary, colour, and what the bars are called.
const SERIES: [(&str, &str, &str, &str); 4] = [
    ("", "plain", "#b91c1c", "every weight"),
    ("", "noise", "#fca5a5", "with noise"),
    ("lora_", "plain", "#1d4ed8", "LoRA and head"),
    ("lora_", "noise", "#93c5fd", "with noise"),
];

/// Draws the summary.
///
/// # Errors
/// `Data` where it lacks a number.
pub(super) fn draw(summary: &Value) -> Outcome<String> {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" role=\"img\">\n\
         <title>ROUGE-1 of the best reconstruction</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    for tick in 0..=4 {
        let fraction = f64::from(tick) / 4.0;
        line(&mut svg, y(fraction), "#e2e8f0", "");
        let label = format!("{fraction:.2}");
        text(&mut svg, [LEFT - 6.0, y(fraction) + 4.0], "end", &label);
    }
    let group = (WIDTH - LEFT - RIGHT) / BARS.len() as f64;
    for (place, (name, title)) in BARS.iter().enumerate() {
        let left = LEFT + group * place as f64;
        for (index, (prefix, kind, colour, _)) in SERIES.iter().enumerate() {
            let Some(cell) = summary.get(format!("{prefix}{name}")) else {
                continue;
            };
            let value = number(cell, &format!("/{kind}"))?;
            let x = left + group / 2.0 + (index as f64 - 2.0) * (BAR + 2.0);
            bar(&mut svg, x, value, colour);
        }
        let middle = [left + group / 2.0, HEIGHT - 16.0];
        text(&mut svg, middle, "middle", title);
    }
    let floor = number(summary, "/frequent_words_floor")?;
    line(&mut svg, y(floor), "#0f172a", " stroke-dasharray=\"5 4\"");
    let label = format!("frequent words {floor:.2}");
    text(&mut svg, [WIDTH - RIGHT, y(floor) - 30.0], "end", &label);
    legend(&mut svg);
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn bar(svg: &mut String, x: f64, value: f64, colour: &str) {
    let top = y(value);
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{BAR}\" height=\"{:.1}\" fill=\"{colour}\"/>",
        HEIGHT - BOTTOM - top
    );
    let label = format!("{value:.2}");
    text(svg, [x + BAR / 2.0, top - 4.0], "middle", &label);
}

fn legend(svg: &mut String) {
    for (index, (_, _, colour, title)) in SERIES.iter().enumerate() {
        let x = LEFT + 150.0 * index as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"16\" width=\"12\" height=\"12\" fill=\"{colour}\"/>"
        );
        text(svg, [x + 18.0, 26.0], "start", title);
    }
}

fn line(svg: &mut String, y: f64, colour: &str, extra: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\"{extra}/>",
        WIDTH - RIGHT
    );
}

fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, content: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#334155\">{content}</text>"
    );
}

fn y(fraction: f64) -> f64 {
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * fraction.clamp(0.0, 1.0)
}
