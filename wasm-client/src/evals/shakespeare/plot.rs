//! The picture: held-out bits per character after each round of the federated trainings, and what
//! they are compared with, dashed.

use super::report::Report;
use crate::native::picture::{self, BASELINE, COLOURS};

/// Draws the report.
pub fn draw(report: &Report) -> String {
    let data = &report.data;
    let below = format!(
        "held-out bits per character; {} clients, {} characters, {} steps of each training",
        data.clients, data.held_out_characters, report.steps
    );
    let name = "Speakers of Shakespeare, stories260K";
    let mut svg = picture::begin(name, "loss after each round", &below);
    let curves = [
        ("federated prompt", &report.prompt_rounds.curve),
        ("federated LoRA", &report.lora_rounds.curve),
    ];
    let baselines = [
        ("base", report.base.value),
        ("local-only", report.local.value),
        ("central LoRA", report.central_lora.value),
    ];
    let values = curves.iter().flat_map(|(_, curve)| curve.iter().copied());
    let scale = Scale::of(values.chain(baselines.map(|(_, value)| value)));
    for value in scale.ticks() {
        picture::grid_line(&mut svg, scale.y(value), &format!("{value:.1}"));
    }
    let rounds = curves.iter().map(|(_, curve)| curve.len());
    let rounds = rounds.max().unwrap_or(0).saturating_sub(1);
    picture::rounds(&mut svg, rounds);
    let mut labels = Vec::new();
    for (name, value) in baselines {
        picture::dashed(&mut svg, scale.y(value));
        labels.push((scale.y(value), BASELINE, format!("{name} {value:.3}")));
    }
    for ((name, curve), colour) in curves.into_iter().zip(COLOURS) {
        let points = curve.iter().enumerate();
        let points = points.map(|(round, &bits)| [picture::of_round(round, rounds), scale.y(bits)]);
        picture::line(&mut svg, points, colour);
        if let Some(&last) = curve.last() {
            labels.push((scale.y(last), colour, format!("{name} {last:.3}")));
        }
    }
    picture::labels(&mut svg, labels);
    svg.push_str("</svg>\n");
    svg
}

/// Fifths of a bit, as many as the values need.
struct Scale {
    lowest: f64,
    highest: f64,
}

const TICK: f64 = 0.2;

impl Scale {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (mut lowest, mut highest) = (f64::INFINITY, 0.0_f64);
        for value in values {
            lowest = lowest.min(value);
            highest = highest.max(value);
        }
        let lowest = (lowest / TICK).floor() * TICK;
        Self {
            lowest,
            highest: ((highest / TICK).ceil() * TICK).max(lowest + TICK),
        }
    }

    fn y(&self, value: f64) -> f64 {
        picture::of_part((value - self.lowest) / (self.highest - self.lowest))
    }

    /// Twelve at most.
    fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let count = ((self.highest - self.lowest) / TICK).round() as usize;
        let (lowest, step) = (self.lowest, count.div_ceil(12).max(1));
        let ticks = (0..=count).step_by(step);
        ticks.map(move |tick| lowest + tick as f64 * TICK)
    }
}

#[cfg(test)]
mod tests {
    use super::Scale;

    #[test]
    fn the_scale_holds_all_values() {
        let scale = Scale::of([3.66, 2.31].into_iter());
        let ticks: Vec<String> = scale.ticks().map(|tick| format!("{tick:.1}")).collect();
        assert_eq!(
            ticks,
            [
                "2.2", "2.4", "2.6", "2.8", "3.0", "3.2", "3.4", "3.6", "3.8"
            ]
        );
        assert!(scale.y(3.66) < scale.y(2.31));
    }
}
