//! Follows a task's rounds: what the tabs say, what the aggregator publishes, and whether the
//! published sum is the sum of the plain updates of those whose update is in it.

use super::options::Options;
use super::plain;
use crate::driver::{Driver, DriverEvent};
use crate::failure::{Failure, Outcome};
use crate::natives::{ClientEvent, Natives, Next, Told};
use crate::operator::Operator;
use crate::progress::Step;
use choir_shared::control::RoundSummary;
use choir_shared::ids::TaskId;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The points of a round at which `--close-one` closes a tab, in turn.
const CLOSINGS: [&str; 4] = ["before-share", "after-share", "mid-upload", "after-upload"];
/// Of a round with two aggregators: once a tab has reported, nothing is asked of it any more.
const REPORT_CLOSINGS: [&str; 1] = ["after-upload"];

/// A round as it was published.
pub(super) struct Published {
    /// What the aggregator says of it.
    pub(super) summary: RoundSummary,
    /// The adapter that it made: f32, little-endian.
    pub(super) adapter: Vec<u8>,
    /// Whether the sum equals the plain one, word for word.
    pub(super) sum_matches_plain: bool,
    /// Median wall time of the tabs' steps.
    pub(super) ms_per_step: f64,
}

/// Follows one driver's tabs through the rounds of one task.
pub(super) struct Rounds<'a> {
    operator: &'a Operator,
    task: TaskId,
    driver: &'a mut Driver,
    tabs: usize,
    closing: Option<(usize, &'static str)>,
    /// The points at which a tab is closed, in turn; none where none is to be.
    closings: &'static [&'static str],
    plain: BTreeMap<String, BTreeMap<usize, PathBuf>>,
    closed: Vec<(usize, String)>,
    /// Of each tab, the steps since it last joined.
    running: BTreeMap<usize, Vec<f64>>,
    /// Of each version, the steps that were trained from it.
    step_ms: BTreeMap<u32, Vec<f64>>,
    seen: usize,
    webgpu_adapter: String,
    held: bool,
    /// Clients beside the tabs; their numbers follow on the tabs'.
    natives: Option<Natives>,
    /// Clients of the round that are no tabs.
    native: usize,
    /// Of each client, the loss of its last step.
    pub(super) losses: BTreeMap<usize, f64>,
    /// The device and its adapter's name, once a tab has said it.
    pub(super) device: Option<(String, String)>,
}

impl<'a> Rounds<'a> {
    /// Follows `task` from its first round on.
    pub(super) fn new(
        operator: &'a Operator,
        task: TaskId,
        driver: &'a mut Driver,
        tabs: usize,
    ) -> Self {
        Self {
            operator,
            task,
            driver,
            tabs,
            closing: None,
            closings: &[],
            plain: BTreeMap::new(),
            closed: Vec::new(),
            running: BTreeMap::new(),
            step_ms: BTreeMap::new(),
            seen: 0,
            webgpu_adapter: String::new(),
            held: false,
            natives: None,
            native: 0,
            losses: BTreeMap::new(),
            device: None,
        }
    }

    /// Closes one tab in each round, as `options` say.
    pub(super) fn closing(self, options: &Options) -> Self {
        let closings: &[&str] = match (options.close_one, options.mode.helper()) {
            (false, _) => &[],
            (true, None) => &CLOSINGS,
            (true, Some(_)) => &REPORT_CLOSINGS,
        };
        Self { closings, ..self }
    }

    /// Follows native clients too.
    pub(super) fn with_natives(mut self, natives: Natives, count: usize) -> Self {
        self.natives = Some(natives);
        self.native = count;
        self
    }

    /// Closes a tab at that point of the next round.
    ///
    /// # Errors
    /// `Check` where the driver is gone.
    pub(super) fn close(&mut self, tab: usize, point: &'static str) -> Outcome<()> {
        self.driver.close_at(tab, point)
    }

    /// Names the tab and the point of the next round's closing, if there is to be one.
    ///
    /// # Errors
    /// `Check` where the driver is gone.
    pub(super) fn arm(&mut self) -> Outcome<()> {
        if !self.closings.is_empty() {
            let tab = self.seen % self.tabs;
            let point = self.closings[self.seen % self.closings.len()];
            self.driver.close_at(tab, point)?;
            self.closing = Some((tab, point));
        }
        Ok(())
    }

    /// Waits for the next published round.
    ///
    /// # Errors
    /// `Check` where a tab stops, the driver ends, or nothing is published in time.
    pub(super) fn next(&mut self, step: &Step) -> Outcome<Published> {
        let start = Instant::now();
        loop {
            self.listen(step)?;
            let status = self.operator.task(self.task)?;
            if let Some(summary) = status.history.get(self.seen) {
                self.drain(step, summary)?;
                let published = self.publish(summary.clone())?;
                self.seen += 1;
                self.reopen()?;
                return Ok(published);
            }
            if start.elapsed() > PATIENCE {
                return Err(Failure::Check(format!(
                    "no round was published within {} minutes",
                    PATIENCE.as_secs() / 60
                )));
            }
        }
    }

    /// Waits until a tab's upload is kept back and those of `others` have arrived.
    ///
    /// # Errors
    /// `Check` where that does not come about in time.
    pub(super) fn until_held(&mut self, step: &Step, others: u16) -> Outcome<()> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            while let Some(event) = self.driver.next(POLL)? {
                self.take(step, event)?;
            }
            let Some(round) = self.operator.task(self.task)?.round else {
                continue;
            };
            if self.held && self.operator.round(self.task, round)?.counts.survivors == others {
                return Ok(());
            }
        }
        Err(Failure::Check("no upload was kept back in time".to_owned()))
    }

    /// Lets a tab's upload go on.
    ///
    /// # Errors
    /// `Check` where the driver is gone.
    pub(super) fn release(&mut self, tab: usize) -> Outcome<()> {
        self.driver.release(tab)
    }

    /// The plain words may come a moment after the round closed.
    fn drain(&mut self, step: &Step, summary: &RoundSummary) -> Outcome<()> {
        let start = Instant::now();
        let round = summary.round.to_string();
        let missing = |rounds: &Self| {
            rounds.plain.get(&round).map_or(0, BTreeMap::len) < rounds.tabs + rounds.native
        };
        while missing(self) && start.elapsed() < LATE_EVENTS {
            self.listen(step)?;
        }
        Ok(())
    }

    /// Takes what tabs and native clients have said since.
    fn listen(&mut self, step: &Step) -> Outcome<()> {
        while let Some(event) = self.driver.next(POLL)? {
            self.take(step, event)?;
        }
        while let Some(natives) = &self.natives {
            let Next::Told(told) = natives.next(Duration::ZERO)? else {
                break;
            };
            self.take_native(step, told)?;
        }
        Ok(())
    }

    fn take_native(&mut self, step: &Step, told: Told) -> Outcome<()> {
        let client = self.tabs + told.client;
        match told.event {
            ClientEvent::Trained { loss, .. } => {
                self.losses.extend(loss.map(|loss| (client, loss)));
                step.detail(format!("native client {} has trained", told.client));
            }
            ClientEvent::Plain { round, file } => {
                self.plain.entry(round).or_default().insert(client, file);
            }
            ClientEvent::Lost { at, .. } => {
                let at = at.unwrap_or_default();
                step.note(&format!("  native client {} lost {at}", told.client));
                self.closed.push((client, at));
            }
            ClientEvent::Left { reason } => {
                step.note(&format!("  native client {} left: {reason}", told.client));
            }
            ClientEvent::Ended {
                reason,
                failed: true,
            } => {
                return Err(Failure::Check(format!(
                    "native client {}: {reason}",
                    told.client
                )));
            }
            _ => {}
        }
        Ok(())
    }

    fn reopen(&mut self) -> Outcome<()> {
        let reopened = self.closing.take();
        self.arm_after(reopened)
    }

    fn arm_after(&mut self, closed: Option<(usize, &'static str)>) -> Outcome<()> {
        if let Some((tab, _)) = closed {
            self.driver.open(tab)?;
        }
        self.arm()
    }

    fn publish(&mut self, summary: RoundSummary) -> Outcome<Published> {
        let adapter = self.operator.object(summary.adapter)?;
        let sum = plain::words(&self.operator.object(summary.sum)?);
        let sum_matches_plain = self.plain_sum(&summary)?.is_some_and(|plain| plain == sum);
        // The tabs may be rounds ahead of what is looked at here.
        let mut step_ms = self
            .step_ms
            .remove(&summary.version_before.0)
            .unwrap_or_default();
        step_ms.sort_by(f64::total_cmp);
        let ms_per_step = step_ms.get(step_ms.len() / 2).copied().unwrap_or(0.0);
        self.closed.clear();
        Ok(Published {
            summary,
            adapter,
            sum_matches_plain,
            ms_per_step,
        })
    }

    /// The wrapping sum of the survivors' plain words, where they can be told and are all there.
    fn plain_sum(&self, summary: &RoundSummary) -> Outcome<Option<Vec<u32>>> {
        let Some(files) = self.plain.get(&summary.round.to_string()) else {
            return Ok(None);
        };
        let lost = |tab: usize| {
            self.closed
                .iter()
                .any(|(closed, at)| *closed == tab && at != "after-upload")
        };
        let survivors: Vec<&PathBuf> = files
            .iter()
            .filter(|(tab, _)| !lost(**tab))
            .map(|(_, file)| file)
            .collect();
        if survivors.len() != usize::from(summary.survivors) {
            return Ok(None);
        }
        plain::sum(survivors).map(Some)
    }

    fn take(&mut self, step: &Step, event: DriverEvent) -> Outcome<()> {
        match event {
            DriverEvent::Adapter { tab, adapter } => {
                step.note(&format!("  tab {tab}: {adapter}"));
                self.webgpu_adapter = adapter;
            }
            DriverEvent::OptedIn { tab } => step.detail(format!("tab {tab} has opted in")),
            DriverEvent::Suggestion(_) => {}
            DriverEvent::Open => step.detail("all tabs are open"),
            DriverEvent::Plain { tab, round, file } => {
                self.plain.entry(round).or_default().insert(tab, file);
            }
            DriverEvent::Held { tab } => {
                step.note(&format!("  tab {tab} is kept back"));
                self.held = true;
            }
            DriverEvent::Closed { tab, at } => {
                step.note(&format!("  tab {tab} closed {at}"));
                self.closed.push((tab, at));
            }
            DriverEvent::Console { tab, text } => step.note(&format!("  tab {tab}: {text}")),
            DriverEvent::Page { tab, page } => self.take_page(step, tab, &page)?,
            DriverEvent::Failed { message } => return Err(Failure::Check(message)),
        }
        Ok(())
    }

    fn take_page(&mut self, step: &Step, tab: usize, page: &Value) -> Outcome<()> {
        let text = |name: &str| page.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| page.get(name).and_then(Value::as_f64).unwrap_or_default();
        match text("kind") {
            "engine" => {
                // wgpu cannot name the adapter of a page; the page itself can.
                let device = text("device").to_owned();
                let on_webgpu = device == "webgpu" && !self.webgpu_adapter.is_empty();
                let name = if on_webgpu {
                    &self.webgpu_adapter
                } else {
                    text("adapter")
                };
                self.device = Some((device, name.to_owned()));
            }
            "step" => {
                self.running
                    .entry(tab)
                    .or_default()
                    .push(number("milliseconds"));
                self.losses.insert(tab, number("loss"));
                step.detail(format!(
                    "tab {tab} step {} of {}, loss {:.3}",
                    number("step"),
                    number("steps"),
                    number("loss")
                ));
            }
            "joining" => {
                let steps = self.running.remove(&tab).unwrap_or_default();
                self.step_ms
                    .entry(number("version") as u32)
                    .or_default()
                    .extend(steps);
            }
            "lobby" => {
                let joined = number("joined");
                step.detail(format!("{joined} of {} have joined", number("cohortSize")));
            }
            "phase" => step.detail(format!("tab {tab}: {}", text("phase"))),
            "stopped"
                if !matches!(
                    text("reason"),
                    "task-finished" | "rounds-done" | "uploads-used"
                ) =>
            {
                let message = text("message");
                return Err(Failure::Check(format!(
                    "tab {tab} stopped: {} {message}",
                    text("reason")
                )));
            }
            _ => {}
        }
        Ok(())
    }
}

const POLL: Duration = Duration::from_millis(300);
const LATE_EVENTS: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(20 * 60);
