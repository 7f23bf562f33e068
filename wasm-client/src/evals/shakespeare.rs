//! Speakers of Shakespeare as clients: a pretrained decoder is adapted to them together, alone, and
//! in one place, and scored on speeches that nobody trained on.
//!
//! The base is stories260K, pretrained on TinyStories (Eldan and Li 2023); the text is that of
//! karpathy/char-rnn, split by speaker as in LEAF (Caldas et al. 2018) and McMahan et al. 2017.
//! All trainings take the same number of steps of the same number of rows: central training all
//! of them in one place, the federated ones in cohorts, clients alone dealt out evenly. What is
//! held out is scored in windows that do not overlap, the same for all.

use choir_shared::strategy::ServerOptimizer;

use super::progress::Progress;
use super::{CpuEngine, EvalError, Stories};
use crate::engine::cpu::CpuKernels;
use alone::Alone;
use data::Client;
use federated::{Federated, Run};
use report::Trained;
use start::Start;

pub mod alone;
pub mod data;
pub mod federated;
pub mod learner;
pub mod plot;
pub mod report;
pub mod scores;
pub mod settings;
pub mod start;
pub mod workers;

pub use report::Report;
pub use settings::Settings;

/// Trainings: central, alone, LoRA together, a soft prompt together.
const TRAININGS: u64 = 4;

/// Runs it; `say` gets a line every few seconds.
///
/// # Errors
/// [`EvalError`].
pub fn run(settings: &Settings, say: &(dyn Fn(&str) + Sync)) -> Result<Report, EvalError> {
    let mut engine = CpuEngine::new(CpuKernels::new());
    let Stories { decoder, tokenizer } = Stories::read(&settings.shared, &mut engine)?;
    let shape = *decoder.shape();
    let clients = data::clients(settings, &tokenizer, shape.context)?;
    let progress = Progress::new(TRAININGS * u64::from(settings.steps()), say);
    let lora = Start::lora(settings, &shape);
    let prompt = Start::prompt(settings)?;
    let trained = Trained {
        base: base(settings, &clients)?,
        lora: together(
            settings,
            &clients,
            &lora,
            (settings.federated_rate, settings.server, "federated LoRA"),
            &progress,
        )?,
        prompt: together(
            settings,
            &clients,
            &prompt,
            (
                settings.prompt_rate,
                settings.prompt_server,
                "federated prompt",
            ),
            &progress,
        )?,
        alone: Alone::train(settings, &clients, &lora, &progress)?,
    };
    Report::new(settings, &clients, &trained, progress.seconds())
}

fn base(settings: &Settings, clients: &[Client]) -> Result<scores::Scores, EvalError> {
    let base = Start::base();
    scores::scores(settings, &base.adapter, clients, &|_| &base.values)
}

fn together(
    settings: &Settings,
    clients: &[Client],
    start: &Start,
    (rate, server, name): (f32, ServerOptimizer, &str),
    progress: &Progress<'_>,
) -> Result<Federated, EvalError> {
    Run {
        settings,
        clients,
        start,
        rate,
        server,
        name,
    }
    .train(progress)
}
