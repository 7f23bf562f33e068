//! A bar for each row, in a panel for each workload and kind of backend: what a step takes. The bars
//! of a panel are in proportion to its longest one, and a dashed line is what the limit allows.

use super::figures::Clock;
use super::row::{Library, Row};
use super::session::Session;
use super::workload::Workload;
use core::fmt::Write;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 176.0;
/// For the number behind a bar.
const RIGHT: f64 = 128.0;
const TOP: f64 = 56.0;
const HEADING: f64 = 30.0;
const LINE: f64 = 24.0;
const BAR: f64 = 16.0;
const GAP: f64 = 14.0;
const OURS: &str = "#1d4ed8";
const THEIRS: &str = "#94a3b8";
const INK: &str = "#334155";

/// Draws every row, the missing ones in words.
pub(super) fn draw(session: &Session) -> String {
    let panels = panels(session);
    let height = panels.iter().map(Panel::height).sum::<f64>() + TOP + GAP;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" role=\"img\">\n\
         <title>Milliseconds of a training step</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    text(
        &mut svg,
        [16.0, 22.0],
        "start",
        "Milliseconds of a training step in Chromium; shorter is better",
    );
    let machine = &session.machine;
    let clock = match session.clock() {
        Clock::Cpu { .. } => "CPU time over the cores",
        Clock::Wall => "wall",
    };
    let by = format!("{}, {} cores, by {clock}", machine.adapter, machine.cores);
    text(&mut svg, [16.0, 40.0], "start", &by);
    let mut top = TOP;
    for panel in &panels {
        panel.draw(&mut svg, session, top);
        top += panel.height();
    }
    svg.push_str("</svg>\n");
    svg
}

/// Rows that are compared with each other.
struct Panel<'a> {
    workload: &'static Workload,
    on_gpu: bool,
    rows: Vec<(&'a Row, Result<f64, String>)>,
}

fn panels(session: &Session) -> Vec<Panel<'_>> {
    let mut panels = Vec::new();
    for workload in Workload::ALL {
        for on_gpu in [true, false] {
            let is =
                |row: &&Row| row.spec.workload == workload && row.spec.backend.is_gpu() == on_gpu;
            let time = |row| {
                (
                    row,
                    Row::timed(row, session.clock()).map(|spread| spread.median),
                )
            };
            let mut rows: Vec<_> = session.rows.iter().filter(is).map(time).collect();
            let rank =
                |row: &(&Row, Result<f64, String>)| row.1.as_ref().map_or(f64::INFINITY, |ms| *ms);
            rows.sort_by(|one, other| rank(one).total_cmp(&rank(other)));
            if !rows.is_empty() {
                panels.push(Panel {
                    workload,
                    on_gpu,
                    rows,
                });
            }
        }
    }
    panels
}

impl Panel<'_> {
    fn height(&self) -> f64 {
        HEADING + LINE * self.rows.len() as f64 + GAP
    }

    fn draw(&self, svg: &mut String, session: &Session, top: f64) {
        let kind = if self.on_gpu {
            "GPU interfaces"
        } else {
            "CPU (wasm)"
        };
        let title = format!("{}, {kind}", self.workload.name);
        text(svg, [16.0, top + 18.0], "start", &title);
        let times = self.rows.iter().filter_map(|(_, time)| time.as_ref().ok());
        let longest = times.copied().fold(0.0, f64::max);
        let scale = (WIDTH - LEFT - RIGHT) / longest.max(f64::MIN_POSITIVE);
        for (place, (row, time)) in self.rows.iter().enumerate() {
            let y = top + HEADING + LINE * place as f64;
            bar(svg, y, row, time, scale);
        }
        let floor = self.workload.step_gflop / session.rate() * 1000.0;
        if self.on_gpu && floor <= longest {
            self.limit(svg, top + HEADING, LEFT + floor * scale);
        }
    }

    fn limit(&self, svg: &mut String, top: f64, x: f64) {
        let bottom = top + LINE * self.rows.len() as f64 - (LINE - BAR);
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"#0f172a\" \
             stroke-dasharray=\"4 3\"/>",
            top - 4.0
        );
        text(
            svg,
            [x + 4.0, top - 6.0],
            "start",
            "limit of plain products",
        );
    }
}

fn bar(svg: &mut String, y: f64, row: &Row, time: &Result<f64, String>, scale: f64) {
    let middle = y + BAR - 4.0;
    let name = format!("{} {}", row.spec.library.name(), row.spec.backend.name());
    text(svg, [LEFT - 8.0, middle], "end", &name);
    match time {
        Ok(ms) => {
            let ours = row.spec.library == Library::Choir;
            let (colour, width) = (if ours { OURS } else { THEIRS }, ms * scale);
            let _ = writeln!(
                svg,
                "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>"
            );
            text(
                svg,
                [LEFT + width + 6.0, middle],
                "start",
                &format!("{ms:.0} ms{}", threads(row)),
            );
        }
        Err(reason) => {
            // The label says already which row it is.
            let reason = reason
                .strip_prefix(&format!("{}: ", row.spec.id()))
                .unwrap_or(reason);
            let short: String = reason.chars().take(80).collect();
            text(svg, [LEFT, middle], "start", &short);
        }
    }
}

/// On the CPU: time over all cores is what a row could give only with as many threads.
fn threads(row: &Row) -> String {
    let measured = row.comparable().ok().filter(|_| !row.spec.backend.is_gpu());
    match measured.and_then(|measured| measured.threads) {
        Some(1) => ", 1 thread".to_owned(),
        Some(count) => format!(", {count} threads"),
        None => String::new(),
    }
}

fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{INK}\">{content}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::super::row::{Backend, Ended};
    use super::super::sample::{row, session};
    use super::super::workload::DECODER;
    use super::*;

    #[test]
    fn every_row_is_drawn_and_one_that_failed_says_why() {
        let mut failed = row(Library::Tfjs, Backend::Webgl, &DECODER, 1.0);
        failed.ended = Ended::Failed("a < b".to_owned());
        let ours = row(Library::Choir, Backend::Webgpu, &DECODER, 1250.0);
        let on_cpu = row(Library::OrtWeb, Backend::Wasm, &DECODER, 150.0);
        let drawn = draw(&session(vec![failed, ours, on_cpu]));
        for part in [
            "choir webgpu",
            "1250 ms<",
            "150 ms, 2 threads",
            "tfjs webgl",
            "a &lt; b",
            "limit of plain products",
        ] {
            assert!(drawn.contains(part), "{part} in {drawn}");
        }
    }
}
