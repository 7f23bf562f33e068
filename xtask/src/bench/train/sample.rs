//! A session made up, for tests of what comes of one.

use super::row::{Backend, Ended, GpuCounts, Library, Measured, Row, Spec};
use super::session::{Limits, Machine, Session};
use super::workload::Workload;
use serde_json::json;

/// A row of four steps that takes so long by either clock, on two cores.
pub(super) fn row(library: Library, backend: Backend, workload: &'static Workload, ms: f64) -> Row {
    let measured = Measured {
        init_ms: 1.0,
        threads: Some(if library == Library::OrtWeb { 2 } else { 1 }),
        isolated: true,
        losses: Vec::new(),
        walls: vec![ms; 4],
        cpus: vec![Some(2.0 * ms); 4],
        gpu: Some(GpuCounts {
            dispatches: 100.0,
            submits: 1.0,
            peak_bytes: if library == Library::Choir { 4.0 } else { 10.0 },
        }),
        own: None,
    };
    Row {
        spec: Spec {
            library,
            backend,
            workload,
            warm: 1,
            timed: 3,
        },
        version: "1".to_owned(),
        adapter: None,
        load: 0.0,
        ended: Ended::Agrees(measured, 0.0),
    }
}

/// A session of these rows, on a software adapter of 7.812 GFLOP/s.
pub(super) fn session(rows: Vec<Row>) -> Session {
    Session {
        machine: Machine {
            software: true,
            cores: 2.0,
            ..Machine::default()
        },
        limits: vec![Limits {
            rate: 7.812,
            wall_rate: 7.0,
            kernels: json!([]),
            load: 0.0,
        }],
        rows,
    }
}
