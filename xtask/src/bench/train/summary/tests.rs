//! What comes of a session that is made up.

use super::super::row::Ended;
use super::super::sample::{row, session};
use super::super::workload::{DECODER, ENCODER};
use super::*;

fn named(found: &[(&'static str, Found)], name: &str) -> Vec<Option<f64>> {
    let mut number = found.iter().filter(|(number, _)| *number == name);
    let list = number.next().map(|(_, list)| list);
    let list = list.into_iter().flatten();
    list.map(|(_, number)| number.as_ref().ok().copied())
        .collect()
}

#[test]
fn ratios_are_theirs_over_our_engine_of_the_same_kind() {
    let session = session(vec![
        row(Library::Choir, Backend::Webgpu, &DECODER, 2000.0),
        row(Library::Choir, Backend::Cpu, &DECODER, 100.0),
        row(Library::Tfjs, Backend::Webgl, &DECODER, 5000.0),
        row(Library::OrtWeb, Backend::Wasm, &DECODER, 150.0),
    ]);
    let found = numbers(&Rows(&session));
    assert_eq!(named(&found, "ratio_tfjs_webgl"), [Some(2.5), None]);
    assert_eq!(named(&found, "ratio_cpu_ort"), [Some(1.5), None]);
    // Their two threads could use both cores, our one could not.
    assert_eq!(
        named(&found, "ratio_cpu_ort_by_threads"),
        [Some(0.75), None]
    );
    assert_eq!(named(&found, "floor_ratio"), [Some(0.5), None]);
}

#[test]
fn a_row_with_other_losses_is_not_compared_and_the_reason_is_kept() {
    let mut wrong = row(Library::Tfjs, Backend::Webgl, &ENCODER, 5000.0);
    if let Ended::Agrees(measured, _) = wrong.ended {
        wrong.ended = Ended::Mismatch(measured, "step 3: loss 9".to_owned());
    }
    let session = session(vec![
        row(Library::Choir, Backend::Webgpu, &ENCODER, 2000.0),
        wrong,
    ]);
    let found = numbers(&Rows(&session));
    assert_eq!(named(&found, "ratio_tfjs_webgl"), [None, None]);
    let reasons = missing(&found).to_string();
    assert!(reasons.contains("tfjs webgl encoder: mismatch: step 3: loss 9"));
    assert!(reasons.contains("choir webgpu decoder: not run"));
}

#[test]
fn the_peak_is_over_the_best_rival_and_unknown_without_both() {
    let mut rows = vec![
        row(Library::Choir, Backend::Webgpu, &DECODER, 1.0),
        row(Library::JaxJs, Backend::Webgpu, &DECODER, 1.0),
    ];
    let alone = numbers(&Rows(&session(rows.clone())));
    assert_eq!(named(&alone, "peak_over_best_rival"), [None, None]);
    rows.push(row(Library::Tfjs, Backend::Webgpu, &DECODER, 1.0));
    let both = numbers(&Rows(&session(rows)));
    assert_eq!(named(&both, "peak_over_best_rival"), [Some(0.4), None]);
}
