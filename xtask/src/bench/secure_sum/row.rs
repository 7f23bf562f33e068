//! One size of a round on every engine.

use super::flower::FlowerCost;
use super::{Spread, spread};
use crate::build::{Profile, Tool};
use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::{program, setup};
use choir_shared::secure_sum::Parameters;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Holds rounds and plays them natively.
pub(super) const TOOL: Tool = Tool {
    title: "round to rehearse",
    feature: "rehearsal",
    name: "choir-rehearse",
    profile: Profile::Release,
};

/// Assumed corrupt and expected losses, in thousandths: the defaults.
const CORRUPT: u16 = 100;
const DROP: u16 = 300;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) clients: u16,
    pub(super) thousands: u16,
    /// Of the clients, who share and never upload, in thousandths.
    pub(super) permille: u16,
}

impl Size {
    pub(super) const fn new(clients: u16, thousands: u16, permille: u16) -> Self {
        Self {
            clients,
            thousands,
            permille,
        }
    }

    pub(super) fn is(&self, clients: u16, thousands: u16, permille: u16) -> bool {
        *self == Self::new(clients, thousands, permille)
    }

    pub(super) fn title(&self) -> String {
        let Self {
            clients,
            thousands,
            permille,
        } = self;
        format!(
            "n = {clients}, d = {thousands}k, {} % dropped",
            permille / 10
        )
    }

    const fn dropped(&self) -> u16 {
        (self.clients as u32 * self.permille as u32 / 1000) as u16
    }

    /// Masks of a client with as many neighbours as clients have on average, its own included.
    pub(super) fn masks(&self) -> u16 {
        Parameters::new(self.clients, CORRUPT, DROP).map_or(1, |found| found.masks())
    }

    /// A thousand vectors of a million would be three gigabytes and an hour: one upload is made,
    /// and what comes after it is taken from the row of fewer coordinates.
    const fn is_whole(&self) -> bool {
        self.clients < 1000 || self.thousands < 1000
    }
}

/// Milliseconds of the aggregator.
pub(super) struct Server {
    pub(super) total: Spread,
    pub(super) unmask: Spread,
    expand: Spread,
    phases: Value,
}

/// What a size costs.
pub(super) struct Row {
    pub(super) size: Size,
    native: Value,
    client_native: Spread,
    pub(super) client_chromium: Spread,
    client_node: Spread,
    chromium: Value,
    node: Value,
    server_native: Server,
    pub(super) server_workerd: Server,
    workerd: Value,
    extrapolated: Option<&'static str>,
    /// Beside it.
    pub(super) flower: Option<FlowerCost>,
}

/// How many times as much flwr needs.
#[derive(Clone, Copy)]
pub(super) struct Ratios {
    pub(super) server: f64,
    pub(super) client: f64,
    pub(super) generator: f64,
}

/// Everything that a row is measured by.
pub(super) struct Engines<'a> {
    pub(super) paths: &'a Paths,
    pub(super) wasm: PathBuf,
    pub(super) tool: PathBuf,
}

impl Engines<'_> {
    /// Measures a size; `smaller` is the row that it is extrapolated from where it is too large.
    ///
    /// # Errors
    /// The first program that failed.
    pub(super) fn measure(&self, size: Size, smaller: Option<&Row>) -> Outcome<Row> {
        let folder = self.paths.out.join("rehearsal");
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| Failure::Data(error.to_string()))?;
        }
        let repetitions = if size.clients > 100 { "3" } else { "5" };
        let native = self.native(size, &folder, repetitions)?;
        let chromium = self.client(size, &folder, repetitions, "chromium")?;
        let node = self.client(size, &folder, repetitions, "node")?;
        let workerd = self.workerd(size, &folder, repetitions)?;
        if size.is_whole() && native["sum"] != workerd["sum"] {
            return Err(Failure::Check("workerd has another sum".to_owned()));
        }
        fs::remove_dir_all(&folder).map_err(|error| Failure::Data(error.to_string()))?;
        let mut row = Row {
            size,
            client_native: spread(&native["client_ms"])?,
            client_chromium: spread(&chromium["client_ms"])?,
            client_node: spread(&node["client_ms"])?,
            server_native: server(&native["server"])?,
            server_workerd: server(&workerd["server"])?,
            native,
            chromium,
            node,
            workerd,
            extrapolated: None,
            flower: None,
        };
        if !size.is_whole() {
            row.extrapolate(smaller)?;
        }
        Ok(row)
    }

    fn native(&self, size: Size, folder: &Path, repetitions: &str) -> Outcome<Value> {
        let scene = json!({
            "clients": size.clients,
            "thousands": size.thousands,
            "dropped": size.dropped(),
            "noise": false,
        });
        let extent = if size.is_whole() { "whole" } else { "upload" };
        let mut tool = Command::new(&self.tool);
        tool.arg(folder).arg(scene.to_string());
        tool.args([repetitions, extent]);
        last_line(
            &format!("held and played natively, {}", size.title()),
            &mut tool,
        )
    }

    fn client(&self, size: Size, folder: &Path, repetitions: &str, engine: &str) -> Outcome<Value> {
        let mut node = setup::browser_script(self.paths, "bench/rehearsal.mjs");
        node.arg(&self.wasm).arg(folder.join("client"));
        node.args([repetitions, engine]);
        last_line(&format!("client in {engine}, {}", size.title()), &mut node)
    }

    fn workerd(&self, size: Size, folder: &Path, repetitions: &str) -> Outcome<Value> {
        let mut node = Command::new("node");
        node.current_dir(self.paths.root.join("edge-aggregator"));
        node.arg("dev/rehearsal.mjs")
            .arg(&self.wasm)
            .arg(folder)
            .arg(repetitions);
        last_line(
            &format!("aggregator in workerd, {}", size.title()),
            &mut node,
        )
    }
}

fn last_line(title: &str, command: &mut Command) -> Outcome<Value> {
    let step = Step::start(title);
    let printed = program::run(&step, command)?;
    let line = printed.lines().last().unwrap_or_default();
    let value = serde_json::from_str(line).map_err(|error| Failure::Data(error.to_string()))?;
    step.done("");
    Ok(value)
}

const PHASES: [&str; 5] = ["before", "uploads", "confirm", "open", "expand"];

fn server(turns: &Value) -> Outcome<Server> {
    let turns = turns.as_array().cloned().unwrap_or_default();
    let of = |phases: &[&str]| {
        let sum = |turn: &Value| phases.iter().map(|phase| turn[*phase].as_f64()).sum();
        let sums: Option<Vec<f64>> = turns.iter().map(sum).collect();
        sums.filter(|sums| !sums.is_empty())
            .map(Spread::new)
            .ok_or_else(|| Failure::Data("a bench printed no phases".to_owned()))
    };
    let mut phases = json!({});
    for phase in PHASES {
        phases[phase] = of(&[phase])?.json();
    }
    Ok(Server {
        total: of(&PHASES)?,
        unmask: of(&["open", "expand"])?,
        expand: of(&["expand"])?,
        phases,
    })
}

impl Row {
    /// Whether it is the same with a tenth of the coordinates.
    pub(super) fn is_smaller(&self, size: &Size) -> bool {
        self.size.thousands * 10 == size.thousands
            && self.size.clients == size.clients
            && self.size.permille == size.permille
    }

    fn extrapolate(&mut self, smaller: Option<&Self>) -> Outcome<()> {
        let smaller =
            smaller.ok_or_else(|| Failure::Data("no row to extrapolate from".to_owned()))?;
        self.extrapolated = Some(
            "measured: a client from its floats to its upload, and the aggregator until one upload \
             is in. Extrapolated: uploads times the survivors; expansion ten times that of the row \
             with a tenth of the coordinates, whose ACKs and OPENs are taken as they are. The \
             client's ACKs and OPENs are not in its number.",
        );
        let survivors = f64::from(self.size.clients - self.size.dropped());
        for (own, smaller) in [
            (&mut self.server_native, &smaller.server_native),
            (&mut self.server_workerd, &smaller.server_workerd),
        ] {
            let best = |server: &Server, phase: &str| {
                server.phases[phase]["best"].as_f64().unwrap_or_default()
            };
            let (confirm, open) = (best(smaller, "confirm"), best(smaller, "open"));
            let (before, upload) = (best(own, "before"), best(own, "uploads"));
            let expand = smaller.expand.map(|ms| ms * 10.0);
            own.unmask = expand.map(|ms| ms + open);
            own.total = own
                .unmask
                .map(|ms| ms + before + upload * survivors + confirm);
            own.expand = expand;
        }
        Ok(())
    }

    /// All bytes that a client sends over those of its packed vector.
    pub(super) fn expansion(&self) -> f64 {
        let number = |key: &str| self.native[key].as_f64().unwrap_or(f64::NAN);
        number("bytes_up") / number("packed_bytes")
    }

    /// Against flwr, where it was measured.
    pub(super) fn ratios(&self) -> Option<Ratios> {
        let flower = self.flower.as_ref()?;
        let masks = self.native["masks"].as_f64().filter(|masks| *masks > 0.0)?;
        let coordinates = f64::from(self.size.thousands) * 1000.0;
        let ours = self.server_workerd.expand.best() * 1e6 / masks / coordinates;
        Some(Ratios {
            server: flower.server.best() / self.server_workerd.total.best(),
            client: flower.client.best() / self.client_chromium.best(),
            generator: flower.generator_ns / ours,
        })
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        format!(
            "{}: client {:.0} ms native, {:.0} Chromium, {:.0} Node; server {:.0} ms native, {:.0} workerd ({:.0} unmasking)",
            self.size.title(),
            self.client_native.best(),
            self.client_chromium.best(),
            self.client_node.best(),
            self.server_native.total.best(),
            self.server_workerd.total.best(),
            self.server_workerd.unmask.best(),
        )
    }

    /// All of it.
    pub(super) fn json(&self) -> Value {
        let client = |times: &Spread, engine: &Value| -> Value {
            let freeze = |key: &str| spread(&engine[key]).map(|found| found.json()).ok();
            json!({
                "engine": engine["engine"],
                "ms": times.json(),
                "first_ms": engine["first_ms"],
                "freeze_ms": freeze("freeze_ms"),
                "freeze_with_skellam_noise_ms": freeze("freeze_noise_ms"),
            })
        };
        let server = |server: &Server, engine: &Value| {
            json!({
                "engine": engine["engine"],
                "ms": server.total.json(),
                "unmask_ms": server.unmask.json(),
                "phases_ms": server.phases,
            })
        };
        let mut row = json!({
            "clients": self.size.clients,
            "coordinates": u32::from(self.size.thousands) * 1000,
            "dropped": self.size.dropped(),
            "ring_bits": self.native["ring_bits"],
            "bytes_up": self.native["bytes_up"],
            "bytes_down": self.native["bytes_down"],
            "packed_bytes": self.native["packed_bytes"],
            "expansion": self.expansion(),
            "masks_expanded": self.native["masks"],
            "stored_bytes": self.native["stored_bytes"],
            "client": {
                "native": client(&self.client_native, &self.native),
                "chromium": client(&self.client_chromium, &self.chromium),
                "node": client(&self.client_node, &self.node),
            },
            "server": {
                "native": server(&self.server_native, &self.native),
                "workerd": server(&self.server_workerd, &self.workerd),
            },
            "extrapolated": self.extrapolated,
        });
        if let Some(flower) = &self.flower {
            row["flower"] = flower.details.clone();
        }
        if let Some(ratios) = self.ratios() {
            row["flower_ratios"] = json!({
                "server": ratios.server, "client": ratios.client, "generator": ratios.generator,
            });
        }
        row
    }
}
