//! `cargo xtask bench secure-sum`: what a round costs its clients and its aggregator, by the real
//! machines of both, and what flwr's SecAgg+ costs on the same machine.
//!
//! A round is held once with every client real and written down (`choir-rehearse`); then one client
//! and the aggregator are played again: natively, in Chromium, in Node's wasm, in workerd. What is
//! not played is the network, sockets and storage: `--live` measures those. Nothing is trained.

mod figures;
mod flower;
mod row;

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::{Files, build, program, setup};
use figures::Spread;
use row::{Row, Size};
use serde_json::{Value, json};
use std::fs;
use std::thread;

/// Clients, thousands of coordinates, thousandths dropped.
const SIZES: [(u16, u16, u16); 8] = [
    (100, 100, 100),
    (100, 100, 300),
    (100, 1000, 100),
    (100, 1000, 300),
    (1000, 100, 100),
    (1000, 100, 300),
    (1000, 1000, 100),
    (1000, 1000, 300),
];

/// Runs it.
///
/// # Errors
/// The first program that failed.
pub(super) fn run(paths: &Paths, files: &Files) -> Outcome<()> {
    let only = clients(files)?;
    setup::run(paths)?;
    let wasm = build::rehearsal(paths)?;
    let tool = row::TOOL.build(paths)?;
    let flower = flower::Flower::install(paths)?;
    let engines = row::Engines { paths, wasm, tool };
    let mut rows: Vec<Row> = Vec::new();
    for (clients, thousands, permille) in SIZES {
        if only.is_some_and(|only| only != clients) {
            continue;
        }
        let size = Size::new(clients, thousands, permille);
        let smaller = rows.iter().find(|row| row.is_smaller(&size));
        let mut row = engines.measure(size, smaller)?;
        row.flower = Some(flower.measure(paths, &row)?);
        eprintln!("  {}", row.line());
        rows.push(row);
    }
    let result = summary(&rows);
    println!("{result:#}");
    if let Some(file) = files.get("json") {
        fs::write(&file, format!("{result:#}\n")).at(&file)?;
    }
    Ok(())
}

fn clients(files: &Files) -> Outcome<Option<u16>> {
    let Some(given) = files.get("clients") else {
        return Ok(None);
    };
    let given = given.to_string_lossy().into_owned();
    match given.parse() {
        Ok(clients) if SIZES.iter().any(|size| size.0 == clients) => Ok(Some(clients)),
        _ => Err(Failure::Usage(format!("--clients {given}: 100 or 1000"))),
    }
}

fn summary(rows: &[Row]) -> Value {
    let at = |thousands, permille| {
        rows.iter()
            .find(|row| row.size.is(100, thousands, permille))
    };
    let client = |thousands| at(thousands, 100).map(|row| row.client_chromium.best());
    let server = |thousands| at(thousands, 100).map(|row| row.server_workerd.total.best());
    let unmask = at(100, 100).map(|row| row.server_workerd.unmask.best());
    let expansion = |thousands| at(thousands, 100).map(Row::expansion);
    let ratios = at(100, 100).and_then(Row::ratios);
    json!({
        "client_ms_100k": client(100),
        "client_ms_1m": client(1000),
        "server_ms_100k": server(100),
        "server_ms_1m": server(1000),
        "unmask_ms_100k": unmask,
        "expansion_100k": expansion(100),
        "expansion_1m": expansion(1000),
        "flower_server_ratio": ratios.map(|ratios| ratios.server),
        "flower_client_ratio": ratios.map(|ratios| ratios.client),
        "flower_generator_ratio": ratios.map(|ratios| ratios.generator),
        "targets": [
            target("client_ms_100k", client(100), 75.0),
            target("unmask_ms_100k", unmask, 300.0),
            target("server_ms_100k", server(100), 400.0),
            target("expansion_100k", expansion(100), 1.03),
            target("expansion_1m", expansion(1000), 1.01),
            at_least("flower_server_ratio", ratios.map(|ratios| ratios.server), 30.0),
            at_least("flower_client_ratio", ratios.map(|ratios| ratios.client), 4.0),
        ],
        "what": "Numbers above are the best of the repetitions, at n = 100 and 10 % dropped after \
            SHARE: client in Chromium by its clock, server in workerd by CPU time of its process, \
            all threads, HTTP of the bench included; flower_* against flwr's CPU on this machine: \
            its server to ours in workerd, its client to ours in Chromium.",
        "machine": machine(),
        "rows": rows.iter().map(Row::json).collect::<Vec<_>>(),
    })
}

fn target(name: &str, found: Option<f64>, most: f64) -> Value {
    json!({ "name": name, "at_most": most, "found": found, "met": found.map(|found| found <= most) })
}

fn at_least(name: &str, found: Option<f64>, least: f64) -> Value {
    json!({ "name": name, "at_least": least, "found": found, "met": found.map(|found| found >= least) })
}

fn machine() -> Value {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned());
    json!({
        "cpu": model,
        "threads": thread::available_parallelism().map(usize::from).ok(),
        "load": fs::read_to_string("/proc/loadavg").ok().map(|load| load.trim().to_owned()),
        "rustc": program::capture("rustc", &["--version"]),
    })
}

/// The numbers of a JSON list.
fn spread(value: &Value) -> Outcome<Spread> {
    let numbers = value
        .as_array()
        .and_then(|list| list.iter().map(Value::as_f64).collect());
    numbers
        .map(Spread::new)
        .ok_or_else(|| Failure::Data("a bench printed no list of numbers".to_owned()))
}
