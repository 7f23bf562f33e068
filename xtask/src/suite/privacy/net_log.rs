//! The browser's own log of the network: every address that any part of it asked for.

use crate::failure::{AtPath, Failure, Outcome};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Passes where every address and every connection is on this machine's own interface.
///
/// # Errors
/// `Check` with what else was asked for, or where the log has nothing.
pub(super) fn check(folder: &Path) -> Outcome<String> {
    let file = folder.join("net-log.json");
    let log = fs::read_to_string(&file).at(&file)?;
    let asked = hosts(&log);
    let others: Vec<&String> = asked.iter().filter(|host| *host != OWN).collect();
    if asked.is_empty() {
        return Err(Failure::Check("the browser's log is empty".to_owned()));
    }
    if others.is_empty() {
        return Ok(OWN.to_owned());
    }
    Err(Failure::Check(format!("the browser asked for {others:?}")))
}

/// Hosts of all addresses and connections in a log.
fn hosts(log: &str) -> BTreeSet<String> {
    let mut hosts = BTreeSet::new();
    for line in log.lines() {
        for mark in ["\"url\":\"", "\"address\":\"", "\"remote_address\":\""] {
            for rest in line.split(mark).skip(1) {
                let value = rest.split('"').next().unwrap_or_default();
                hosts.extend(host(value));
            }
        }
    }
    hosts
}

/// The host of an address, where that has one.
fn host(value: &str) -> Option<String> {
    let inner = ["data:", "blob:", "about:", "chrome:", "devtools:"];
    if inner.iter().any(|scheme| value.starts_with(scheme)) {
        return None;
    }
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let (name, _) = authority.rsplit_once(':').unwrap_or((authority, ""));
    Some(name.to_owned())
}

const OWN: &str = "127.0.0.1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_in_a_log_is_told() {
        let log = r#"{"params":{"url":"http://127.0.0.1:8787/v1/site"}},
{"params":{"address":"127.0.0.1:8787"}}, {"params":{"url":"wss://elsewhere.example/x"}},
{"params":{"url":"blob:http://127.0.0.1:1/2"}},"#;
        let hosts: Vec<String> = hosts(log).into_iter().collect();
        assert_eq!(hosts, ["127.0.0.1", "elsewhere.example"]);
    }
}
