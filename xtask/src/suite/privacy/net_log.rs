//! The browser's own log of the network: whatever any part of it asked for, and where it got to.
//!
//! Chromium asks its maker's services for things of its own. No name but this machine's resolves in
//! these runs, so that none of that gets anywhere; what the pages ask for is another matter.

use crate::failure::{AtPath, Failure, Outcome};
use serde::Deserialize;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Constants {
    log_event_types: HashMap<String, u32>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: u32,
    #[serde(default)]
    params: Parameters,
}

#[derive(Default, Deserialize)]
struct Parameters {
    url: Option<String>,
    initiator: Option<String>,
    address: Option<String>,
}

/// What a log shows.
#[derive(Default)]
struct Seen {
    /// Requests of pages and their threads.
    requests: u32,
    /// TCP connections that were tried.
    connections: u32,
    /// What went elsewhere, or tried to.
    strays: Vec<String>,
}

/// Passes where every request of a page and every connection of the browser is to this machine, and
/// no datagram was sent.
///
/// # Errors
/// `Check` with what went elsewhere, or where the log has nothing.
pub(super) fn check(folder: &Path) -> Outcome<String> {
    let file = folder.join("net-log.json");
    let seen = read(&fs::read_to_string(&file).at(&file)?)?;
    if let Some(stray) = seen.strays.first() {
        return Err(Failure::Check(format!("the browser went to {stray}")));
    }
    if seen.requests == 0 || seen.connections == 0 {
        return Err(Failure::Check("the browser's log is empty".to_owned()));
    }
    Ok(format!(
        "{} requests of pages, {} connections, all to {OWN}; no datagram",
        seen.requests, seen.connections
    ))
}

/// One line holds the constants, then each event has a line of its own.
fn read(log: &str) -> Outcome<Seen> {
    let mut lines = log.lines();
    let constants: Constants = lines
        .next()
        .and_then(|line| line.strip_prefix("{\"constants\":"))
        .and_then(|line| serde_json::from_str(line.trim_end_matches(',')).ok())
        .ok_or_else(|| Failure::Check("the browser's log is of another form".to_owned()))?;
    let kind = |name: &str| {
        constants.log_event_types.get(name).copied().ok_or_else(|| {
            Failure::Check(format!("the browser's log does not know the event {name}"))
        })
    };
    let (request, connection) = (kind("URL_REQUEST_START_JOB")?, kind("TCP_CONNECT_ATTEMPT")?);
    let datagram = kind("UDP_BYTES_SENT")?;
    let mut seen = Seen::default();
    for line in lines {
        // The last event bears the end of the list.
        let line = line.trim_end_matches([',', ']']);
        let Ok(event) = serde_json::from_str::<Event>(line) else {
            continue;
        };
        let Parameters {
            url,
            initiator,
            address,
        } = event.params;
        if event.kind == datagram {
            seen.strays.push("some address by a datagram".to_owned());
        } else if event.kind == connection {
            let Some(address) = address else { continue };
            seen.connections += 1;
            if !address.starts_with(&format!("{OWN}:")) {
                seen.strays.push(address);
            }
        } else if event.kind == request {
            let (Some(url), Some(initiator)) = (url, initiator) else {
                continue;
            };
            if initiator == NO_PAGE {
                continue;
            }
            seen.requests += 1;
            if !is_own(&url) {
                seen.strays.push(url);
            }
        }
    }
    Ok(seen)
}

fn is_own(url: &str) -> bool {
    let address = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("ws://"));
    address.is_some_and(|address| address.starts_with(&format!("{OWN}:")))
}

const OWN: &str = "127.0.0.1";
/// The initiator of what the browser does by itself.
const NO_PAGE: &str = "not an origin";

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"constants":{"logEventTypes":{"URL_REQUEST_START_JOB":1,"TCP_CONNECT_ATTEMPT":2,"UDP_BYTES_SENT":3}},"#;

    fn strays(event: &str) -> Vec<String> {
        let log = format!("{HEAD}\n\"events\": [\n{event},\n");
        read(&log).map_or_else(|failure| vec![failure.to_string()], |seen| seen.strays)
    }

    #[test]
    fn a_page_that_asks_another_host_is_noticed() {
        let asks = |initiator: &str, url: &str| {
            format!(r#"{{"type":1,"params":{{"initiator":"{initiator}","url":"{url}"}}}}"#)
        };
        let page = "http://127.0.0.1:9";
        assert!(strays(&asks(page, "http://127.0.0.1:8787/v1/site")).is_empty());
        assert!(strays(&asks(NO_PAGE, "https://elsewhere.example/")).is_empty());
        for url in ["https://elsewhere.example/", "http://127.0.0.1.example:1/"] {
            assert_eq!(strays(&asks(page, url)), [url]);
        }
    }

    #[test]
    fn a_connection_or_a_datagram_to_elsewhere_is_noticed() {
        let connects = |to: &str| format!(r#"{{"type":2,"params":{{"address":"{to}"}}}}"#);
        assert!(strays(&connects("127.0.0.1:8787")).is_empty());
        assert_eq!(strays(&connects("192.0.2.1:443")), ["192.0.2.1:443"]);
        assert_eq!(strays(r#"{"type":3,"params":{"byte_count":40}}"#).len(), 1);
    }
}
