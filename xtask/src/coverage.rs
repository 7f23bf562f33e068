//! `cargo xtask coverage`: how much of the field works here, and what shows it.
//!
//! The table is `docs/algorithms.json`. A row works only where it names a test that
//! `cargo xtask test` runs; every such test is looked for, so a row cannot outlive its proof.

mod card;
mod evidence;
mod page;
mod table;

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use evidence::Evidence;
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use table::{State, Table};

/// Counts, prints, and with `write` renews the page made of the table.
///
/// # Errors
/// `Check` where a row names a test that is not run, or the page is stale.
pub(crate) fn run(paths: &Paths, json: Option<PathBuf>, write: bool) -> Outcome<()> {
    let table = Table::read(paths)?;
    let shown = prove(paths, &table)?;
    if write {
        let file = page_file(paths);
        fs::write(&file, page::markdown(&table, &shown)).at(&file)?;
    }
    fresh(paths, &table, &shown)?;
    let doors = table.doors.iter().filter(|door| door.is_open()).count();
    let card = card::in_use(paths)?;
    for (name, place) in &card {
        eprintln!("  {name:<20} {}", place.as_deref().unwrap_or("not used"));
    }
    let in_use = card.iter().filter(|(_, place)| place.is_some()).count();
    let counts = json!({
        "rows_working": table.count(|state| matches!(state, State::Works { .. })),
        "rows_not_yet": table.count(|state| matches!(state, State::NotYet { .. })),
        "rows_cannot": table.count(|state| matches!(state, State::Cannot { .. })),
        "rows_total": table.rows.len(),
        "card_dependencies_in_use": in_use,
        "card_dependencies": card.len(),
        "doors_open": doors,
        "doors": table.doors.len(),
    });
    let text = format!("{counts:#}");
    println!("{text}");
    if let Some(file) = json {
        fs::write(&file, text).at(&file)?;
    }
    Ok(())
}

/// Every row's proof is there, and the page is the table's.
///
/// # Errors
/// `Check` where one is not.
pub(crate) fn check(paths: &Paths) -> Outcome<()> {
    let table = Table::read(paths)?;
    let shown = prove(paths, &table)?;
    fresh(paths, &table, &shown)
}

/// The command that shows each row, where one does.
fn prove(paths: &Paths, table: &Table) -> Outcome<Vec<Option<String>>> {
    let mut missing = Vec::new();
    let mut command = |who: &str, evidence: &Evidence| {
        evidence.command(paths).map_or_else(
            |why| {
                missing.push(format!("{who}: {why}"));
                None
            },
            Some,
        )
    };
    let shown = table
        .rows
        .iter()
        .map(|row| match &row.state {
            State::Works { test, .. } => command(&row.system, test),
            State::NotYet { .. } | State::Cannot { .. } => None,
        })
        .collect();
    for door in &table.doors {
        for test in &door.tests {
            command(&door.door, test);
        }
    }
    if missing.is_empty() {
        Ok(shown)
    } else {
        Err(Failure::Check(missing.join("\n")))
    }
}

fn fresh(paths: &Paths, table: &Table, shown: &[Option<String>]) -> Outcome<()> {
    let file = page_file(paths);
    let now = fs::read_to_string(&file).at(&file)?;
    if now == page::markdown(table, shown) {
        return Ok(());
    }
    Err(Failure::Check(
        "docs/algorithms.md is not what docs/algorithms.json says: run `cargo xtask coverage --write`"
            .to_owned(),
    ))
}

fn page_file(paths: &Paths) -> PathBuf {
    paths.root.join("docs/algorithms.md")
}
