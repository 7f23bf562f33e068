//! The same model made by clients that keep their texts: each takes some steps of its own, by an
//! optimizer whose state stays with it, and what they moved by in the mean is taken as a gradient by an
//! outer optimizer with momentum (Reddi et al. 2021; Douillard et al. 2023, *DiLoCo*, algorithm 1).

use choir_shared::strategy::{ServerOptimizer, ServerState};

use super::model::WholeModel;
use super::run::{Order, Progress, Rows};
use super::schedule::learning_rate;
use super::{PretrainError, Settings};
use crate::engine::OptimizerState;
use crate::language::dataset::Row;

/// Trains in rounds; the steps of the settings are those of each client.
pub(super) fn train(
    model: &mut WholeModel,
    settings: &Settings,
    rows: &Rows,
    say: &dyn Fn(&str),
) -> Result<(), PretrainError> {
    let shares = shares(&rows.training, settings.clients);
    let mut clients: Vec<(Order, Option<OptimizerState>)> = (0..settings.clients as u64)
        .map(|client| (Order::new(settings.seed + client), None))
        .collect();
    let optimizer = match settings.outer_momentum {
        0.0 => ServerOptimizer::Average,
        beta1 => ServerOptimizer::Momentum { beta1 },
    };
    let mut state = ServerState::default();
    let mut global = model.weights()?;
    let mut progress = Progress::new(settings, say);
    let mut done = 0;
    while done < settings.steps {
        let steps = settings.local_steps.clamp(1, settings.steps - done);
        let mut mean = vec![0.0; global.len()];
        let mut losses = 0.0;
        for (share, (order, optimizer)) in shares.iter().zip(&mut clients) {
            match optimizer {
                Some(state) => model.resume(&global, state)?,
                None => model.load(&global)?,
            }
            for step in done..done + steps {
                let rate = learning_rate(settings.learning_rate, step, settings.steps);
                let batch = order.next(share, settings.batch);
                losses += model.train(&batch, &settings.optimizer(rate))?;
            }
            for ((mean, local), global) in mean.iter_mut().zip(model.weights()?).zip(&global) {
                *mean += (local - global) / settings.clients as f32;
            }
            *optimizer = Some(model.optimizer()?);
        }
        optimizer.step(&mut state, &mut global, &mean);
        done += steps;
        progress.step(done, losses / (steps * settings.clients as u64) as f32);
    }
    Ok(model.load(&global)?)
}

/// Neighbouring rows go to one client: documents differ between clients.
fn shares(rows: &[Row], clients: usize) -> Vec<Vec<Row>> {
    let each = rows.len() / clients;
    rows.chunks_exact(each)
        .take(clients)
        .map(<[Row]>::to_vec)
        .collect()
}
