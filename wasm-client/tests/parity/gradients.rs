//! Loss and every trained tensor's gradient, each engine against burn's autodiff.

use choir_wasm_client::engine::Engine;
use choir_wasm_client::engine::burn::BurnEngine;
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::wgsl::{Tuning, WgslKernels};
use pollster::block_on;

use crate::case::{Case, Outcome};
use crate::compare::{TOLERANCE, Worst};

fn agrees<E: Engine>(case: &Case, mut engine: E, kind: &str, reference: &Outcome) {
    let title = format!("{} by {kind} on {}", case.name, engine.device().adapter);
    let found = case.run(&mut engine);
    let mut worst = Worst::default();
    for part in case.layout().parts() {
        let range = part.range.clone();
        let (found, expected) = (&found.gradient[range.clone()], &reference.gradient[range]);
        worst.check(&format!("{:?}", part.kind), found, expected);
    }
    worst.print(&title);
    println!(
        "{title}: losses {:?}, burn's {:?}",
        found.losses, reference.losses
    );
    for (found, expected) in found.losses.iter().zip(&reference.losses) {
        assert!(f64::from((found - expected).abs()) <= TOLERANCE * f64::from(*expected));
    }
}

pub(crate) fn engines_agree(case: &Case, tunings: &[Tuning]) {
    let reference = case.run(&mut BurnEngine::flex());
    assert!(reference.losses.last() < reference.losses.first());
    agrees(
        case,
        Recorded::new(CpuKernels::new()),
        "CPU kernels",
        &reference,
    );
    for &tuning in tunings {
        match block_on(WgslKernels::open_tuned(tuning)) {
            Ok(kernels) => agrees(case, Recorded::new(kernels), "WGSL kernels", &reference),
            Err(error) => println!("skipped: {} by WGSL kernels: {error}", case.name),
        }
    }
    #[cfg(feature = "burn-wgpu")]
    match block_on(BurnEngine::webgpu()) {
        Ok(engine) => agrees(case, engine, "burn-wgpu", &reference),
        Err(error) => println!("skipped: {} by burn-wgpu: {error}", case.name),
    }
}

#[test]
fn engines_agree_on_a_small_encoder() {
    engines_agree(&Case::small(), &[Tuning::SOFTWARE, Tuning::HARDWARE]);
}

#[test]
fn engines_agree_on_the_real_encoder() {
    if let Some(case) = Case::real() {
        engines_agree(&case, &[Tuning::SOFTWARE]);
    }
}
