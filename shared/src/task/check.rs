//! Whether a task makes sense, before anyone trains for it.

use super::{AdapterConfig, AdapterLayout, Aggregation, EncoderShape, Payload, TaskConfig};
use crate::fixed_point;
use crate::noise;
use crate::secure_sum::{self, Issuer, TokenError, corrupt_clients, quorum};
use crate::wire::limits;

/// How much rounding may add to the clip norm, as a factor, for a noise multiplier to stay a fair name
/// of what the noise does.
const ROUNDING_EXCESS: f64 = 1.1;

/// Settings that no round can run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// The name is empty or too long.
    #[error("the task's name is empty or too long")]
    Name,
    /// Labels are missing, too many, too long, or repeated.
    #[error(
        "labels must be unique, not empty, and at most {} of them",
        limits::MAX_LABELS
    )]
    Labels,
    /// A language task has labels or names a frozen head.
    #[error("a language task has neither labels nor a frozen head")]
    Classifier,
    /// A decoder's heads, rotary positions or biases make none that is read.
    #[error("the decoder's settings do not fit together")]
    Decoder,
    /// The encoder's sizes are zero, do not divide, or are out of range.
    #[error("the encoder's sizes do not fit together")]
    Shape,
    /// A text with its virtual tokens is longer than the encoder's positions.
    #[error("texts and virtual tokens do not fit the encoder's positions")]
    MaxLength,
    /// The adapter has no part, a rank or prompt of zero, or targets out of order.
    #[error("the adapter's settings do not make an adapter")]
    Adapter,
    /// A frozen head is named beside a trained one, or neither is there.
    #[error("a head is either trained or frozen")]
    Head,
    /// The payload is empty or does not fit an upload.
    #[error("the payload does not fit an upload")]
    PayloadSize,
    /// The training's numbers are out of range.
    #[error("the training's settings are out of range")]
    Training,
    /// The quantiser's numbers are out of range.
    #[error("the quantiser's settings are out of range")]
    Quantiser,
    /// `cohort_size * weight_max * levels` reaches 2^32, or with noise and its margins 2^31: a sum
    /// could wrap.
    #[error("a sum of this cohort could overflow")]
    Overflow,
    /// Noise or clip norm is negative or no number, or there is noise and nothing that it is scaled
    /// to.
    #[error("noise_multiplier and clip must be numbers from 0 on, and noise needs a clip norm")]
    Dp,
    /// There is noise, and weights would scale updates past the clip norm.
    #[error("with noise every update weighs the same: weight_max must be 1")]
    NoiseWeights,
    /// There is noise, and no level stands for zero.
    #[error("with noise one level must stand for zero: levels must be even")]
    NoiseLevels,
    /// There is noise, and no quorum guarantees so many honest inputs.
    #[error("honest must be from 1 to the honest inputs that a quorum of min_cohort guarantees")]
    Honest,
    /// There is noise, and rounding adds more than a tenth to the norm that it is scaled to.
    #[error("the quantiser's steps are too coarse for the noise to mean what it says")]
    NoiseSteps,
    /// One client's noise is larger than the sampler is exact for.
    #[error(
        "the noise of one client is above {} squared steps",
        noise::MAX_VARIANCE
    )]
    NoiseSize,
    /// The cohort's sizes are out of range, no quorum is possible, or the corrupt clients alone could
    /// open a seed.
    #[error("the cohort's sizes are out of range")]
    Cohort,
    /// The helper's address is none, or its key is not canonical or of small order.
    #[error("the helper's address or key cannot be used")]
    Helper,
    /// A deadline is zero.
    #[error("a deadline is zero")]
    Deadlines,
    /// The issuer's tokens cannot be checked.
    #[error(transparent)]
    Attestation(#[from] TokenError),
}

impl TaskConfig {
    /// Whether rounds can run with these settings.
    ///
    /// # Errors
    /// [`TaskError`] names the first group of settings that makes no sense.
    pub fn check(&self) -> Result<(), TaskError> {
        ensure(
            (1..=limits::MAX_NAME_BYTES).contains(&self.name.len()),
            TaskError::Name,
        )?;
        self.check_labels()?;
        ensure(shape_fits(&self.base.shape), TaskError::Shape)?;
        self.check_payload()?;
        let coordinates = AdapterLayout::new(self)?.len();
        self.check_training()?;
        self.check_quantiser()?;
        self.check_dp(coordinates)?;
        ensure(
            fixed_point::sum_fits(&self.quantiser, &self.dp, self.cohort.cohort_size),
            TaskError::Overflow,
        )?;
        self.check_cohort()?;
        self.check_aggregation()?;
        if let Some(attestation) = &self.attestation {
            Issuer::new(attestation)?;
        }
        let Self { deadlines, .. } = self;
        let waits = [
            deadlines.enroll_ms,
            deadlines.share_keys_ms,
            deadlines.collect_ms,
            deadlines.confirm_ms,
            deadlines.unmask_ms,
        ];
        ensure(waits.iter().all(|&wait| wait > 0), TaskError::Deadlines)
    }

    fn check_labels(&self) -> Result<(), TaskError> {
        let labels = &self.labels;
        if matches!(self.payload, Payload::Language(_)) {
            let classifies = !labels.is_empty() || self.frozen_head.is_some();
            return ensure(!classifies, TaskError::Classifier);
        }
        let sizes = labels
            .iter()
            .all(|label| (1..=limits::MAX_NAME_BYTES).contains(&label.len()));
        let unique = labels
            .iter()
            .collect::<alloc::collections::BTreeSet<_>>()
            .len()
            == labels.len();
        let count = (1..=limits::MAX_LABELS).contains(&labels.len());
        ensure(count && sizes && unique, TaskError::Labels)
    }

    fn check_payload(&self) -> Result<(), TaskError> {
        let num_virtual_tokens = match &self.payload {
            Payload::Adapter(adapter) => {
                check_adapter(adapter)?;
                ensure(adapter.head != self.frozen_head.is_some(), TaskError::Head)?;
                adapter
                    .soft_prompt
                    .map_or(0, |prompt| prompt.num_virtual_tokens)
            }
            Payload::Centroids => {
                ensure(self.frozen_head.is_none(), TaskError::Head)?;
                0
            }
            Payload::Language(language) => {
                language.check(&self.base.shape)?;
                language.adapter.num_virtual_tokens()
            }
        };
        let tokens = u32::from(self.max_length) + u32::from(num_virtual_tokens);
        // Two special tokens and one of the text.
        ensure(
            self.max_length >= 3 && tokens <= self.base.shape.positions,
            TaskError::MaxLength,
        )
    }

    fn check_training(&self) -> Result<(), TaskError> {
        let optimizer = &self.training.optimizer;
        let numbers = positive(optimizer.learning_rate)
            && positive(optimizer.eps)
            && not_negative(optimizer.weight_decay)
            && (0.0..1.0).contains(&optimizer.beta1)
            && (0.0..1.0).contains(&optimizer.beta2);
        let counts = self.training.batch_size > 0 && self.training.local_steps > 0;
        ensure(numbers && counts, TaskError::Training)
    }

    fn check_quantiser(&self) -> Result<(), TaskError> {
        let quantiser = &self.quantiser;
        ensure(
            positive(quantiser.bound) && quantiser.levels > 0 && quantiser.weight_max > 0,
            TaskError::Quantiser,
        )
    }

    fn check_dp(&self, coordinates: usize) -> Result<(), TaskError> {
        let (dp, quantiser) = (&self.dp, &self.quantiser);
        let numbers = not_negative(dp.noise_multiplier) && not_negative(dp.clip);
        let scaled = dp.clip > 0.0 || !dp.has_noise();
        ensure(numbers && scaled, TaskError::Dp)?;
        if !dp.has_noise() {
            return Ok(());
        }
        ensure(quantiser.weight_max == 1, TaskError::NoiseWeights)?;
        ensure(quantiser.levels.is_multiple_of(2), TaskError::NoiseLevels)?;
        let cohort = &self.cohort;
        let guaranteed = guaranteed_honest(cohort.min_cohort, cohort.corrupt_permille);
        let honest = u32::from(dp.honest);
        ensure((1..=guaranteed).contains(&honest), TaskError::Honest)?;
        let clip = noise::steps_per_unit(quantiser) * f64::from(dp.clip);
        let rounded = noise::rounded_norm(dp, quantiser, coordinates);
        ensure(rounded <= ROUNDING_EXCESS * clip, TaskError::NoiseSteps)?;
        ensure(
            noise::share_variance(dp, quantiser) <= noise::MAX_VARIANCE,
            TaskError::NoiseSize,
        )
    }

    fn check_aggregation(&self) -> Result<(), TaskError> {
        let Aggregation::TwoAggregators(helper) = &self.aggregation else {
            return Ok(());
        };
        let sound = secure_sum::canonical_x25519(&helper.key)
            // Every clamped scalar is a multiple of the cofactor.
            && secure_sum::agree(&[1; 32], &helper.key).is_some();
        ensure(sound && is_address(&helper.url), TaskError::Helper)
    }

    fn check_cohort(&self) -> Result<(), TaskError> {
        let cohort = &self.cohort;
        let sizes = limits::MIN_COHORT <= cohort.min_cohort
            && cohort.min_cohort <= cohort.cohort_size
            && cohort.cohort_size <= limits::MAX_COHORT
            && cohort.drop_permille <= 1000;
        // As many corrupt clients as hold the shares of a seed on the complete graph would open it.
        let hides = |size: u16| {
            let corrupt = corrupt_clients(size, cohort.corrupt_permille);
            quorum(size, cohort.corrupt_permille).is_some() && corrupt < u32::from(size.div_ceil(2))
        };
        let sound = (cohort.min_cohort..=cohort.cohort_size).all(hides);
        ensure(sizes && sound, TaskError::Cohort)
    }
}

/// `q - c`: the honest inputs of any sum that a quorum opens. It never falls as the cohort grows, as
/// one more client is at most one more corrupt one.
fn guaranteed_honest(clients: u16, corrupt_permille: u16) -> u32 {
    quorum(clients, corrupt_permille).map_or(0, |quorum| {
        u32::from(quorum).saturating_sub(corrupt_clients(clients, corrupt_permille))
    })
}

fn check_adapter(adapter: &AdapterConfig) -> Result<(), TaskError> {
    let lora = adapter.lora.as_ref().is_none_or(|lora| {
        let sorted = lora.targets.windows(2).all(|pair| pair[0] < pair[1]);
        lora.rank > 0 && positive(lora.alpha) && !lora.targets.is_empty() && sorted
    });
    let prompt = adapter
        .soft_prompt
        .is_none_or(|prompt| prompt.num_virtual_tokens > 0);
    let any = adapter.lora.is_some() || adapter.soft_prompt.is_some() || adapter.head;
    ensure(lora && prompt && any, TaskError::Adapter)
}

/// Whether a leader can ask at this address: by TLS, or on its own machine.
fn is_address(url: &str) -> bool {
    let starts = ["https://", "http://127.0.0.1:", "http://localhost:"];
    let rest = starts.iter().find_map(|start| url.strip_prefix(start));
    let printable = url.bytes().all(|byte| byte.is_ascii_graphic());
    url.len() <= limits::MAX_NAME_BYTES
        && printable
        && rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['?', '#', '@']))
}

fn shape_fits(shape: &EncoderShape) -> bool {
    let sizes = [
        shape.dim,
        shape.layers,
        shape.heads,
        shape.intermediate,
        shape.vocabulary,
        shape.positions,
    ];
    // Far above any encoder that fits a tab; keeps products within usize on wasm32.
    sizes.iter().all(|&size| (1..=1 << 20).contains(&size))
        && shape.dim.is_multiple_of(shape.heads)
        && shape.layers <= 1024
        && positive(shape.norm_eps)
}

pub(super) fn positive(value: f32) -> bool {
    value.is_finite() && value > 0.0
}

fn not_negative(value: f32) -> bool {
    value.is_finite() && value >= 0.0
}

pub(super) fn ensure(condition: bool, error: TaskError) -> Result<(), TaskError> {
    if condition { Ok(()) } else { Err(error) }
}
