//! How often cohorts abort, by the share of clients that are lost: a line for each size, and the
//! design's numbers as rings.

use core::fmt::Write;
use serde_json::Value;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 120.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 48.0;
/// The largest loss and rate of the picture.
const SPAN: (f64, f64) = (0.5, 1.0);
/// Clients, and the colour of their line.
const LINES: [(u64, &str); 3] = [(10, "#c2410c"), (100, "#2563eb"), (1_000, "#0f766e")];

/// Draws the findings' abort rates.
pub(super) fn draw(found: &Value) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" role=\"img\">\n\
         <title>Cohorts that abort, by the share of clients lost</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    for tick in 0..=5 {
        let fraction = f64::from(tick) / 5.0;
        let (x, y) = (x(fraction * SPAN.0), y(fraction * SPAN.1));
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{}\" y2=\"{y:.1}\" stroke=\"#e2e8f0\"/>",
            WIDTH - RIGHT
        );
        let percent = |value: f64| format!("{:.0} %", value * 100.0);
        text(
            &mut svg,
            [LEFT - 8.0, y + 4.0],
            "end",
            GREY,
            &percent(fraction * SPAN.1),
        );
        text(
            &mut svg,
            [x, HEIGHT - 26.0],
            "middle",
            GREY,
            &percent(fraction * SPAN.0),
        );
    }
    let below = [LEFT + (WIDTH - LEFT - RIGHT) / 2.0, HEIGHT - 8.0];
    text(
        &mut svg,
        below,
        "middle",
        GREY,
        "clients lost between ROSTER and OPEN",
    );
    text(
        &mut svg,
        [LEFT, 22.0],
        "start",
        GREY,
        "cohorts aborted; rings: the design's 1.4",
    );
    for (clients, colour) in LINES {
        line(&mut svg, found, clients, colour);
    }
    svg.push_str("</svg>\n");
    svg
}

fn line(svg: &mut String, found: &Value, clients: u64, colour: &str) {
    let mut points = String::new();
    let mut last = [LEFT, HEIGHT - BOTTOM];
    let rows = found["abort_rates"].as_array().into_iter().flatten();
    for row in rows.filter(|row| row["clients"] == clients) {
        let number = |name: &str| row[name].as_f64();
        let (Some(loss), Some(rate)) = (number("loss"), number("rate")) else {
            continue;
        };
        last = [x(loss), y(rate)];
        // Writing to a string cannot fail.
        let _ = write!(points, "{:.1},{:.1} ", last[0], last[1]);
        circle(svg, last, 3.0, colour, colour);
        if let Some(design) = number("design") {
            circle(svg, [x(loss), y(design)], 6.0, "none", colour);
        }
    }
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        points.trim_end()
    );
    let label = format!("{clients} clients");
    text(
        svg,
        [last[0] + 10.0, last[1] + 4.0],
        "start",
        colour,
        &label,
    );
}

fn x(loss: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * loss / SPAN.0
}

fn y(rate: f64) -> f64 {
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * rate / SPAN.1
}

fn circle(svg: &mut String, [x, y]: [f64; 2], radius: f64, fill: &str, stroke: &str) {
    let _ = writeln!(
        svg,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\" stroke=\"{stroke}\"/>"
    );
}

fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, colour: &str, content: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{content}</text>"
    );
}

const GREY: &str = "#334155";

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn every_size_has_a_line_and_every_number_of_the_design_a_ring() {
        let row = |clients: u16, design: Option<f64>| serde_json::json!({"clients": clients, "loss": 0.3, "rate": 0.1, "design": design});
        let rows = [row(10, Some(0.14)), row(100, Some(0.01)), row(1_000, None)];
        let svg = draw(&serde_json::json!({ "abort_rates": rows }));
        assert_eq!(svg.matches("<polyline points=\"").count(), 3);
        assert_eq!(svg.matches("r=\"6\"").count(), 2);
        assert!(svg.contains(">1000 clients</text>"));
    }
}
