//! One picture: accuracy and loss per round, with the baselines.

use super::report::Report;
use core::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 56.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 48.0;
const ACCURACY: &str = "#2563eb";
const LOSS: &str = "#c2410c";
const BASELINE: &str = "#64748b";

/// Draws the report.
pub(super) fn draw(report: &Report) -> String {
    let accuracy: Vec<f64> = core::iter::once(report.start.accuracy)
        .chain(report.rounds.iter().map(|round| round.accuracy))
        .collect();
    let loss: Vec<f64> = core::iter::once(report.start.loss)
        .chain(report.rounds.iter().map(|round| round.loss))
        .collect();
    let highest_loss = loss.iter().copied().fold(0.1, f64::max) * 1.1;
    let chart = Chart {
        rounds: report.rounds.len().max(1),
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" role=\"img\">\n\
         <title>Held-out accuracy and loss per round</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    chart.axes(&mut svg, highest_loss);
    chart.baseline(&mut svg, report.centroid_accuracy, "class centroids");
    if let Some(accuracy) = report.best_local_accuracy {
        chart.baseline(&mut svg, accuracy, "best tab alone");
    }
    chart.line(&mut svg, &loss, highest_loss, LOSS);
    chart.line(&mut svg, &accuracy, 1.0, ACCURACY);
    text(&mut svg, LEFT, 22.0, "start", ACCURACY, "accuracy (left)");
    text(&mut svg, WIDTH - RIGHT, 22.0, "end", LOSS, "loss (right)");
    svg.push_str("</svg>\n");
    svg
}

struct Chart {
    rounds: usize,
}

impl Chart {
    fn x(&self, round: usize) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * round as f64 / self.rounds as f64
    }

    fn y(fraction: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * fraction.clamp(0.0, 1.0)
    }

    fn axes(&self, svg: &mut String, highest_loss: f64) {
        for tick in 0..=4 {
            let fraction = f64::from(tick) / 4.0;
            let y = Self::y(fraction);
            rule(svg, [LEFT, y, WIDTH - RIGHT, y], "#e2e8f0", "");
            text(
                svg,
                LEFT - 8.0,
                y + 4.0,
                "end",
                ACCURACY,
                &format!("{:.0} %", fraction * 100.0),
            );
            let label = format!("{:.2}", fraction * highest_loss);
            text(svg, WIDTH - RIGHT + 8.0, y + 4.0, "start", LOSS, &label);
        }
        let every = self.rounds.div_ceil(12);
        for round in (0..=self.rounds).step_by(every) {
            text(
                svg,
                self.x(round),
                HEIGHT - 26.0,
                "middle",
                "#334155",
                &round.to_string(),
            );
        }
        text(svg, WIDTH / 2.0, HEIGHT - 8.0, "middle", "#334155", "round");
    }

    fn baseline(&self, svg: &mut String, accuracy: f64, name: &str) {
        let y = Self::y(accuracy);
        rule(
            svg,
            [LEFT, y, WIDTH - RIGHT, y],
            BASELINE,
            " stroke-dasharray=\"5 4\"",
        );
        let label = format!("{name} {:.1} %", accuracy * 100.0);
        text(svg, WIDTH - RIGHT - 6.0, y - 4.0, "end", BASELINE, &label);
    }

    fn line(&self, svg: &mut String, values: &[f64], highest: f64, colour: &str) {
        let mut points = String::new();
        for (round, value) in values.iter().enumerate() {
            let (x, y) = (self.x(round), Self::y(value / highest));
            // Writing to a string cannot fail.
            let _ = write!(points, "{x:.1},{y:.1} ");
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
            );
        }
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.trim_end()
        );
    }
}

fn rule(svg: &mut String, [x1, y1, x2, y2]: [f64; 4], colour: &str, extra: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{x1}\" y1=\"{y1:.1}\" x2=\"{x2}\" y2=\"{y2:.1}\" stroke=\"{colour}\"{extra}/>"
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, colour: &str, content: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{content}</text>"
    );
}
