//! One picture: accuracy after each round, a line for each strategy with the spread of its seeds,
//! and the baselines dashed.

use std::fmt::Write;

use super::report::{Row, Spread, Summary};
use crate::native::picture::{self, BASELINE, COLOURS};

/// Draws the summary.
pub(super) fn draw(summary: &Summary) -> String {
    let chart = Chart::of(summary);
    let setting = format!(
        "accuracy on {} of {} test texts, ± sd",
        summary.watched_texts, summary.test_texts
    );
    let mut svg = picture::begin(&summary.name, "accuracy after each round", &setting);
    chart.axes(&mut svg);
    let mut labels = Vec::new();
    for (name, accuracy) in baselines(summary) {
        let y = chart.y(accuracy);
        picture::dashed(&mut svg, y);
        labels.push((y, BASELINE, format!("{name} {:.1} %", 100.0 * accuracy)));
    }
    for (row, colour) in summary.rows.iter().zip(COLOURS.into_iter().cycle()) {
        chart.band(&mut svg, &row.by_round, colour);
    }
    for (row, colour) in summary.rows.iter().zip(COLOURS.into_iter().cycle()) {
        let points = row.by_round.iter().enumerate();
        let points = points.map(|(round, value)| [chart.x(round), chart.y(value.mean)]);
        picture::line(&mut svg, points, colour);
        if let Some(last) = row.by_round.last() {
            labels.push((chart.y(last.mean), colour, label(row, *last)));
        }
    }
    picture::labels(&mut svg, labels);
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
        picture::of_round(round, self.rounds)
    }

    fn y(&self, accuracy: f64) -> f64 {
        picture::of_part((accuracy - self.lowest) / (self.highest - self.lowest))
    }

    fn axes(&self, svg: &mut String) {
        for tick in 0..=5 {
            let accuracy = self.lowest + (self.highest - self.lowest) * f64::from(tick) / 5.0;
            picture::grid_line(svg, self.y(accuracy), &format!("{:.0} %", 100.0 * accuracy));
        }
        picture::rounds(svg, self.rounds);
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
}
