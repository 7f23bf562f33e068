//! The training workloads (version 1): `e2e/bench/workload.js` has their tensors and tokens.

use choir_shared::task::workload::{DECODER_REFERENCE_LOSSES, REFERENCE_LOSSES};

/// In what our frozen matrices are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Precision {
    #[default]
    F32,
    Int8,
    Int4,
}

impl Precision {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        }
    }

    pub(super) fn named(name: &str) -> Result<Self, String> {
        [Self::F32, Self::Int8, Self::Int4]
            .into_iter()
            .find(|precision| precision.name() == name)
            .ok_or_else(|| format!("{name} is none of f32, int8 and int4"))
    }

    /// What the loss may differ from the reference's, which is of f32 weights. Of others this says no
    /// more than that it is the same model: engines are held to the same integers by their tests.
    pub(super) const fn tolerance(self) -> f64 {
        match self {
            Self::F32 => 1e-3,
            Self::Int8 => 0.1,
            Self::Int4 => 0.5,
        }
    }
}

/// A workload, and what is known of it.
#[derive(Debug, PartialEq)]
pub(super) struct Workload {
    pub(super) name: &'static str,
    /// Floating-point operations of one step, padding included, in GFLOP: two for each
    /// multiplication with addition; no gradients of frozen weights, nothing computed twice.
    pub(super) step_gflop: f64,
    /// Losses before updates 0 to 10, by JAX on a CPU in f32.
    pub(super) losses: [f32; 11],
}

/// Llama-style, 256 wide, 4 layers, LoRA on q, k, v and o; 4 sequences of 128 tokens.
pub(super) const DECODER: Workload = Workload {
    name: "decoder",
    step_gflop: 7.812,
    losses: DECODER_REFERENCE_LOSSES,
};

/// In the shape of all-MiniLM-L6-v2, LoRA on q and v, a head; 8 sequences of up to 64 tokens.
pub(super) const ENCODER: Workload = Workload {
    name: "encoder",
    step_gflop: 22.416,
    losses: REFERENCE_LOSSES,
};

impl Workload {
    /// In the order of every list in the results.
    pub(super) const ALL: [&'static Self; 2] = [&DECODER, &ENCODER];

    /// The greatest difference of losses from the reference, over as many as there are.
    ///
    /// # Errors
    /// The first step whose loss is another, or no number; too few of them.
    pub(super) fn check(
        &self,
        found: &[Option<f64>],
        least: usize,
        precision: Precision,
    ) -> Result<f64, String> {
        if found.len() < least {
            return Err(format!("{} losses, {least} are compared", found.len()));
        }
        let mut greatest = 0.0_f64;
        for (step, (found, expected)) in found.iter().zip(self.losses).enumerate() {
            let expected = f64::from(expected);
            let difference = found.map(|found| (found - expected).abs());
            match difference {
                Some(difference) if difference <= precision.tolerance() => {
                    greatest = greatest.max(difference)
                }
                _ => {
                    let found =
                        found.map_or_else(|| "no number".to_owned(), |loss| loss.to_string());
                    return Err(format!(
                        "step {step}: loss {found}, the reference has {expected}"
                    ));
                }
            }
        }
        Ok(greatest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses() -> Vec<Option<f64>> {
        DECODER
            .losses
            .iter()
            .map(|loss| Some(f64::from(*loss)))
            .collect()
    }

    #[test]
    fn losses_within_the_tolerance_are_the_references() {
        let mut found = losses();
        found[3] = found[3].map(|loss| loss + 9e-4);
        let greatest = DECODER
            .check(&found, 11, Precision::F32)
            .unwrap_or_default();
        assert!((greatest - 9e-4).abs() < 1e-9);
    }

    #[test]
    fn another_loss_or_none_is_a_mismatch() {
        for wrong in [Some(7.47), None, Some(f64::NAN)] {
            let mut found = losses();
            found[3] = wrong;
            assert!(DECODER.check(&found, 11, Precision::F32).is_err());
        }
    }

    #[test]
    fn too_few_losses_prove_nothing() {
        assert!(DECODER.check(&losses()[..4], 11, Precision::F32).is_err());
        assert!(DECODER.check(&losses()[..4], 4, Precision::F32).is_ok());
    }
}
