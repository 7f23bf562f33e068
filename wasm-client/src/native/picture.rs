//! What our pictures (SVG) are drawn of: rules, texts, lines through points, and labels that do
//! not cover one another.

use core::fmt::Write;

/// Width of a picture.
pub(crate) const WIDTH: f64 = 860.0;
/// Height of a picture.
pub(crate) const HEIGHT: f64 = 440.0;
/// Margins of the plane.
pub(crate) const LEFT: f64 = 60.0;
pub(crate) const RIGHT: f64 = 230.0;
pub(crate) const TOP: f64 = 64.0;
pub(crate) const BOTTOM: f64 = 48.0;
/// Of text.
pub(crate) const INK: &str = "#334155";
/// Of what the lines are compared with.
pub(crate) const BASELINE: &str = "#64748b";
/// Distinct also to those who see few colours (Okabe and Ito).
pub(crate) const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8b6f00",
];

/// A picture's beginning: its title, for readers of screens too, and what it shows.
pub(crate) fn begin(name: &str, what: &str, below: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" role=\"img\">\n\
         <title>{}: {}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n",
        escaped(name),
        escaped(what)
    );
    text(&mut svg, [LEFT, 22.0], "start", INK, name);
    text(&mut svg, [LEFT, 40.0], "start", BASELINE, below);
    svg
}

/// The axis of the rounds: a number below each, or below some of them.
pub(crate) fn rounds(svg: &mut String, rounds: usize) {
    for round in (0..=rounds).step_by(rounds.div_ceil(12).max(1)) {
        let place = [of_round(round, rounds), HEIGHT - 26.0];
        text(svg, place, "middle", INK, &round.to_string());
    }
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    text(svg, [middle, HEIGHT - 8.0], "middle", INK, "round");
}

/// Where a round stands.
pub(crate) fn of_round(round: usize, rounds: usize) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * round as f64 / rounds.max(1) as f64
}

/// Where a part of the height stands; 0 is the axis.
pub(crate) fn of_part(part: f64) -> f64 {
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part.clamp(0.0, 1.0)
}

/// A line through points, each marked.
pub(crate) fn line(svg: &mut String, points: impl Iterator<Item = [f64; 2]>, colour: &str) {
    let mut list = String::new();
    for [x, y] in points {
        let _ = write!(list, "{x:.1},{y:.1} ");
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{colour}\"/>"
        );
    }
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        list.trim_end()
    );
}

/// A line across the plane with the number that it stands for.
pub(crate) fn grid_line(svg: &mut String, y: f64, number: &str) {
    rule(svg, y, "#e2e8f0", "");
    text(svg, [LEFT - 8.0, y + 4.0], "end", INK, number);
}

/// A dashed line across the plane, for what has no rounds.
pub(crate) fn dashed(svg: &mut String, y: f64) {
    rule(svg, y, BASELINE, " stroke-dasharray=\"5 4\"");
}

/// Labels beside the plane: height, colour and words of each.
pub(crate) fn labels(svg: &mut String, labels: Vec<(f64, &str, String)>) {
    for (y, colour, label) in apart(labels) {
        let place = [WIDTH - RIGHT + 10.0, y + 4.0];
        text(svg, place, "start", colour, &label);
    }
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

fn rule(svg: &mut String, y: f64, colour: &str, extra: &str) {
    let right = WIDTH - RIGHT;
    let _ = writeln!(
        svg,
        "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"{colour}\"{extra}/>"
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
