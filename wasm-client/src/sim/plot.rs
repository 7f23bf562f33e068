//! One picture: accuracy after each round, a line for each strategy with the spread of its seeds,
//! and the baselines dashed.

use std::fmt::Write;

use super::report::{Row, Spread, Summary};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 230.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 48.0;
const INK: &str = "#334155";
const BASELINE: &str = "#64748b";
/// Distinct also to those who see few colours (Okabe and Ito).
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8b6f00",
];

/// Draws the summary.
pub(super) fn draw(summary: &Summary) -> String {
    let chart = Chart::of(summary);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" role=\"img\">\n\
         <title>{}: accuracy after each round</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n",
        escaped(&summary.name)
    );
    text(&mut svg, [LEFT, 22.0], "start", INK, &summary.name);
    let setting = format!(
        "{} of {} test texts",
        summary.watched_texts, summary.test_texts
    );
    text(
        &mut svg,
        [LEFT, 40.0],
        "start",
        BASELINE,
        &format!("accuracy on {setting}, ± sd"),
    );
    chart.axes(&mut svg);
    let mut labels = Vec::new();
    for (name, accuracy) in baselines(summary) {
        let y = chart.y(accuracy);
        let dashes = " stroke-dasharray=\"5 4\"";
        rule(&mut svg, [LEFT, y, WIDTH - RIGHT, y], BASELINE, dashes);
        labels.push((y, BASELINE, format!("{name} {:.1} %", 100.0 * accuracy)));
    }
    for (row, colour) in summary.rows.iter().zip(COLOURS.into_iter().cycle()) {
        chart.band(&mut svg, &row.by_round, colour);
    }
    for (row, colour) in summary.rows.iter().zip(COLOURS.into_iter().cycle()) {
        chart.line(&mut svg, &row.by_round, colour);
        if let Some(last) = row.by_round.last() {
            labels.push((chart.y(last.mean), colour, label(row, *last)));
        }
    }
    for (y, colour, label) in apart(labels) {
        text(
            &mut svg,
            [WIDTH - RIGHT + 10.0, y + 4.0],
            "start",
            colour,
            &label,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn label(row: &Row, last: Spread) -> String {
    format!("{} {:.1} %", row.strategy, 100.0 * last.mean)
}

fn baselines(summary: &Summary) -> Vec<(&'static str, f64)> {
    let mut found = vec![("centroids", summary.centroid_accuracy)];
    found.extend(
        summary
            .local_accuracy
            .map(|local| ("local-only", local.mean)),
    );
    found.extend(
        summary
            .central_accuracy
            .map(|central| ("central", central.mean)),
    );
    found
}

/// Moves labels down until none covers another, and all of them up if the last leaves the picture.
fn apart(mut labels: Vec<(f64, &str, String)>) -> Vec<(f64, &str, String)> {
    const LINE: f64 = 15.0;
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    for at in 1..labels.len() {
        labels[at].0 = labels[at].0.max(labels[at - 1].0 + LINE);
    }
    let lowest = HEIGHT - 8.0;
    for at in (0..labels.len()).rev() {
        let below = labels.get(at + 1).map_or(lowest, |next| next.0 - LINE);
        labels[at].0 = labels[at].0.min(below);
    }
    labels
}

struct Chart {
    rounds: usize,
    lowest: f64,
    highest: f64,
}

impl Chart {
    fn of(summary: &Summary) -> Self {
        let values = summary.rows.iter().flat_map(|row| &row.by_round);
        let ends = values.flat_map(|spread| [spread.mean - spread.sd, spread.mean + spread.sd]);
        let all = ends.chain(baselines(summary).into_iter().map(|(_, accuracy)| accuracy));
        let (mut lowest, mut highest) = (1.0_f64, 0.0_f64);
        for value in all {
            lowest = lowest.min(value);
            highest = highest.max(value);
        }
        let rounds = summary.rows.iter().map(|row| row.by_round.len());
        Self {
            rounds: rounds.max().unwrap_or(0).saturating_sub(1).max(1),
            lowest: ((lowest - 0.01) * 20.0).floor().max(0.0) / 20.0,
            highest: ((highest + 0.01) * 20.0).ceil().min(20.0) / 20.0,
        }
    }

    fn x(&self, round: usize) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * round as f64 / self.rounds as f64
    }

    fn y(&self, accuracy: f64) -> f64 {
        let part = (accuracy - self.lowest) / (self.highest - self.lowest);
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part.clamp(0.0, 1.0)
    }

    fn axes(&self, svg: &mut String) {
        for tick in 0..=5 {
            let accuracy = self.lowest + (self.highest - self.lowest) * f64::from(tick) / 5.0;
            let y = self.y(accuracy);
            rule(svg, [LEFT, y, WIDTH - RIGHT, y], "#e2e8f0", "");
            let label = format!("{:.0} %", 100.0 * accuracy);
            text(svg, [LEFT - 8.0, y + 4.0], "end", INK, &label);
        }
        for round in (0..=self.rounds).step_by(self.rounds.div_ceil(12)) {
            let place = [self.x(round), HEIGHT - 26.0];
            text(svg, place, "middle", INK, &round.to_string());
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        text(svg, [middle, HEIGHT - 8.0], "middle", INK, "round");
    }

    fn band(&self, svg: &mut String, values: &[Spread], colour: &str) {
        let point = |(round, accuracy)| format!("{:.1},{:.1} ", self.x(round), self.y(accuracy));
        let above = values.iter().enumerate().map(|(at, v)| (at, v.mean + v.sd));
        let below = values
            .iter()
            .enumerate()
            .rev()
            .map(|(at, v)| (at, v.mean - v.sd));
        let points: String = above.chain(below).map(point).collect();
        let _ = writeln!(
            svg,
            "<polygon points=\"{}\" fill=\"{colour}\" fill-opacity=\"0.12\"/>",
            points.trim_end()
        );
    }

    fn line(&self, svg: &mut String, values: &[Spread], colour: &str) {
        let mut points = String::new();
        for (round, value) in values.iter().enumerate() {
            let (x, y) = (self.x(round), self.y(value.mean));
            let _ = write!(points, "{x:.1},{y:.1} ");
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{colour}\"/>"
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

fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, colour: &str, content: &str) {
    let content = escaped(content);
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{content}</text>"
    );
}

fn escaped(content: &str) -> String {
    let content = content.replace('&', "&amp;");
    content.replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::apart;

    #[test]
    fn labels_at_one_height_are_moved_apart_and_stay_in_the_picture() {
        let labels = (0..6).map(|at| (430.0, "black", at.to_string())).collect();
        let moved = apart(labels);
        assert!(moved.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 14.9));
        assert!(moved.iter().all(|label| label.0 <= super::HEIGHT));
    }
}
