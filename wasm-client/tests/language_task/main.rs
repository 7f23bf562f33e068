//! A language task is trained as its config says: views in the layout's order, losses that fall,
//! steps that can be resumed, and everything that is not its own refused.
#![cfg(feature = "cpu")]

use choir_shared::task::{
    AdapterLayout, BaseFiles, DecoderAdapterConfig, DecoderBiases, DecoderConfig,
    DecoderLoraConfig, DecoderStyle, DecoderTarget, EncoderShape, LanguageConfig, Payload,
    RopeScaling, TaskConfig, VirtualTokens, VirtualTokensConfig, workload,
};
use choir_wasm_client::adapter::initial::{Sources, initial_adapter};
use choir_wasm_client::engine::EngineError;
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::decoder::NOT_SCORED;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::generate::Continuation;
use choir_wasm_client::language::dataset::{Row, sliding};
use choir_wasm_client::train::language_task::LanguageTaskTrainer;
use choir_wasm_client::train::{TrainError, Trainer};

mod adapters;
mod gpt2;
#[cfg(feature = "wgsl")]
mod plan;

type Engine = Recorded<CpuKernels>;

/// The sizes of a llama2.c checkpoint, in its order: tied, context 32.
const SIZES: [i32; 7] = [8, 12, 2, 2, 1, 16, 32];

fn task() -> TaskConfig {
    let mut task = workload::encoder();
    task.base.shape = EncoderShape {
        dim: 8,
        layers: 2,
        heads: 2,
        intermediate: 12,
        vocabulary: 16,
        positions: 32,
        norm_eps: 1e-5,
    };
    task.base.weights_bytes = checkpoint().len() as u64;
    task.labels.clear();
    task.max_length = 16;
    task.training.optimizer.learning_rate = 0.02;
    task.training.local_steps = 24;
    task.training.batch_size = 2;
    task.payload = Payload::Language(language());
    task
}

fn language() -> LanguageConfig {
    LanguageConfig {
        files: BaseFiles::Llama2c,
        decoder: DecoderConfig {
            style: DecoderStyle::Llama,
            kv_heads: 1,
            head_dim: 4,
            rope_base: 10_000.0,
            rope_scaling: RopeScaling::None,
            tied: true,
            biases: DecoderBiases::default(),
            head_norms: false,
        },
        adapter: DecoderAdapterConfig {
            lora: Some(lora()),
            virtual_tokens: virtual_tokens(VirtualTokens::SoftPrompt),
            ..DecoderAdapterConfig::default()
        },
    }
}

fn lora() -> DecoderLoraConfig {
    DecoderLoraConfig {
        rank: 2,
        alpha: 4.0,
        rank_stabilised: false,
        dropout: 0.0,
        targets: DecoderTarget::ALL.to_vec(),
    }
}

fn virtual_tokens(trained: VirtualTokens) -> Option<VirtualTokensConfig> {
    Some(VirtualTokensConfig {
        num_virtual_tokens: 2,
        trained,
    })
}

/// Sizes, then values that are small and of both signs.
fn checkpoint() -> Vec<u8> {
    let of_block = 8 + 8 * 8 + 2 * 8 * 4 + 8 * 8 + 8 + 3 * 8 * 12;
    let count = 16 * 8 + 2 * of_block + 8 + 32 * 4;
    let value = |at: u32| (at.wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0 - 0.5;
    let values = (1..=count).map(value).flat_map(f32::to_le_bytes);
    let sizes = SIZES.into_iter().flat_map(i32::to_le_bytes);
    sizes.chain(values).collect()
}

fn trainer(task: TaskConfig) -> LanguageTaskTrainer<Engine> {
    let engine = Engine::new(CpuKernels::new());
    let mut trainer = LanguageTaskTrainer::new(engine, task).expect("a trainer");
    for chunk in checkpoint().chunks(1000) {
        trainer.add_weights(chunk).expect("weights");
    }
    trainer.finish_weights().expect("a decoder");
    trainer
}

fn version_zero(task: &TaskConfig) -> Vec<f32> {
    let layout = AdapterLayout::new(task).expect("a layout");
    initial_adapter(task, &layout, Sources::default()).expect("version 0")
}

fn rows() -> Vec<Row> {
    let tokens: Vec<u32> = (0..80).map(|at| at * at % 7 + 3).collect();
    sliding(&tokens, 10, 10).expect("rows")
}

#[test]
fn version_zero_changes_nothing_and_training_lowers_the_loss() {
    let task = task();
    let mut trainer = trainer(task.clone());
    let zero = version_zero(&task);
    trainer.set_adapter(&zero).expect("an adapter");
    trainer.set_rows(rows(), 7).expect("rows");
    let before = pollster::block_on(trainer.score(&rows())).expect("a score");
    assert_eq!(before.tokens, 79);
    let losses = pollster::block_on(trainer.steps(24)).expect("steps");
    assert_eq!(losses.len(), 24);
    let after = pollster::block_on(trainer.score(&rows())).expect("a score");
    assert!(after.mean() < 0.95 * before.mean(), "{before:?}, {after:?}");
    let adapter = pollster::block_on(trainer.adapter()).expect("the adapter");
    assert_ne!(adapter, zero);
}

#[test]
fn a_training_that_is_resumed_ends_as_one_that_was_not() {
    let mut task = task();
    if let Payload::Language(language) = &mut task.payload
        && let Some(lora) = &mut language.adapter.lora
    {
        lora.dropout = 0.2;
    }
    let mut whole = trainer(task.clone());
    whole.set_adapter(&version_zero(&task)).expect("an adapter");
    whole.set_rows(rows(), 3).expect("rows");
    pollster::block_on(whole.steps(5)).expect("steps");
    let adapter = pollster::block_on(whole.adapter()).expect("the adapter");
    let state = pollster::block_on(whole.optimizer_state()).expect("the state");
    pollster::block_on(whole.steps(4)).expect("steps");
    let mut resumed = trainer(task);
    resumed.set_rows(rows(), 3).expect("rows");
    resumed.resume(&adapter, &state).expect("resumed");
    pollster::block_on(resumed.steps(4)).expect("steps");
    assert_eq!(
        pollster::block_on(resumed.adapter()).expect("the adapter"),
        pollster::block_on(whole.adapter()).expect("the adapter")
    );
}

#[test]
fn what_is_not_the_tasks_is_refused() {
    let engine = || Engine::new(CpuKernels::new());
    assert!(matches!(
        LanguageTaskTrainer::new(engine(), workload::encoder()),
        Err(TrainError::Kind { .. })
    ));
    assert!(matches!(
        Trainer::new(engine(), task()),
        Err(TrainError::Kind { .. })
    ));
    let mut other = task();
    other.base.shape.intermediate = 16;
    let mut trainer = LanguageTaskTrainer::new(engine(), other).expect("a trainer");
    assert!(matches!(
        pollster::block_on(trainer.steps(1)),
        Err(TrainError::TooEarly(_))
    ));
    trainer.add_weights(&checkpoint()).expect("weights");
    assert!(matches!(
        trainer.finish_weights(),
        Err(TrainError::BaseModel(_))
    ));
    let mut trainer = LanguageTaskTrainer::new(engine(), task()).expect("a trainer");
    assert!(matches!(
        trainer.add_weights(&[checkpoint(), vec![0]].concat()),
        Err(TrainError::BaseModel(_))
    ));
    let mut trainer = self::trainer(task());
    let long = sliding(&[3; 40], 20, 20).expect("rows");
    assert!(matches!(
        trainer.set_rows(long, 1),
        Err(TrainError::Engine(_))
    ));
    assert!(trainer.set_adapter(&[0.0; 3]).is_err());
}

#[test]
fn without_its_adapter_a_trainer_is_the_base_model_until_one_is_set() {
    let task = task();
    let zero = version_zero(&task);
    let mut base = trainer(task.clone());
    let mut trainer = trainer(task);
    trainer.set_adapter(&zero).expect("an adapter");
    trainer.set_rows(rows(), 7).expect("rows");
    pollster::block_on(trainer.steps(5)).expect("steps");
    let trained = pollster::block_on(trainer.adapter()).expect("the adapter");
    let with = likeliest_logit(&mut trainer);
    trainer.remove_adapter().expect("none");
    base.remove_adapter().expect("none");
    assert_eq!(likeliest_logit(&mut trainer), likeliest_logit(&mut base));
    assert!(matches!(
        pollster::block_on(trainer.steps(1)),
        Err(TrainError::TooEarly("set the adapter"))
    ));
    trainer.set_adapter(&trained).expect("an adapter");
    assert_eq!(likeliest_logit(&mut trainer), with);
}

/// The highest logit behind a short text.
fn likeliest_logit(trainer: &mut LanguageTaskTrainer<Engine>) -> f32 {
    let room = trainer.room();
    let (engine, decoder) = trainer.parts().expect("a decoder");
    let mut text = Continuation::new(engine, decoder, room).expect("a text");
    let logits = pollster::block_on(text.read(engine, decoder, &[3, 4, 5])).expect("logits");
    logits.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

#[test]
fn a_text_that_is_rewound_goes_on_as_one_that_was_read_anew() {
    let task = task();
    let mut trainer = trainer(task.clone());
    trainer.set_adapter(&version_zero(&task)).expect("zero");
    let (engine, decoder) = trainer.parts().expect("a decoder");
    let prompt = decoder.adapter().num_virtual_tokens() as usize;
    let mut text = Continuation::new(engine, decoder, 32).expect("a text");
    let mut anew = Continuation::new(engine, decoder, 32).expect("a text");
    pollster::block_on(text.read(engine, decoder, &[3, 4, 5, 6, 7])).expect("logits");
    text.rewind(prompt + 3).expect("rows that were read");
    let found = pollster::block_on(text.read(engine, decoder, &[8, 9])).expect("logits");
    let expected =
        pollster::block_on(anew.read(engine, decoder, &[3, 4, 5, 8, 9])).expect("logits");
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
    }
    let beyond = prompt + 6;
    assert!(matches!(
        text.rewind(beyond),
        Err(EngineError::OutOfRange { value, .. }) if value == beyond
    ));
}

/// Rows of which different numbers of tokens are scored.
fn mixed_rows() -> Vec<Row> {
    let mut rows = rows();
    for (at, row) in rows.iter_mut().enumerate() {
        let unscored = at * 3 % row.labels.len();
        row.labels[..unscored].fill(NOT_SCORED);
    }
    rows
}

#[test]
fn steps_in_portions_are_the_steps_of_one_thread() {
    for batch_size in [1, 2, 5] {
        let mut task = task();
        task.training.batch_size = batch_size;
        let [mut alone, mut first, mut second] = [(); 3].map(|()| {
            let mut trainer = trainer(task.clone());
            trainer.set_adapter(&version_zero(&task)).expect("zero");
            trainer.set_rows(mixed_rows(), 3).expect("rows");
            trainer
        });
        for _ in 0..8 {
            let expected = pollster::block_on(alone.steps(1)).expect("a step")[0];
            let adapter = pollster::block_on(first.adapter()).expect("the adapter");
            second.set_adapter(&adapter).expect("an adapter");
            let (mut loss, mut sum) = (0.0, vec![0.0; adapter.len()]);
            let portions = first.next_portions(2).expect("portions");
            assert_eq!(portions.len(), usize::from(batch_size).min(2));
            for (at, portion) in portions.iter().enumerate() {
                let thread = if at == 0 { &mut first } else { &mut second };
                let found = pollster::block_on(thread.gradient(&portion.examples));
                let found = found.expect("a gradient");
                loss += portion.weight * f64::from(found.loss);
                for (sum, value) in sum.iter_mut().zip(&found.gradient) {
                    *sum += portion.weight as f32 * value;
                }
            }
            first.apply_gradient(&sum).expect("a step");
            let error = (loss / f64::from(expected) - 1.0).abs();
            assert!(error <= 1e-5, "{batch_size}: {loss} for {expected}");
        }
        let found = pollster::block_on(first.adapter()).expect("the adapter");
        let expected = pollster::block_on(alone.adapter()).expect("the adapter");
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= 2e-4, "{found} for {expected}");
        }
    }
}

#[test]
fn with_dropout_a_batch_is_one_portion_and_its_step_the_same() {
    let mut task = task();
    if let Payload::Language(language) = &mut task.payload {
        let dropout = 0.5;
        language.adapter.lora = Some(DecoderLoraConfig { dropout, ..lora() });
    }
    let [mut alone, mut first] = [(); 2].map(|()| {
        let mut trainer = trainer(task.clone());
        trainer.set_adapter(&version_zero(&task)).expect("zero");
        trainer.set_rows(rows(), 3).expect("rows");
        trainer
    });
    for _ in 0..4 {
        let expected = pollster::block_on(alone.steps(1)).expect("a step")[0];
        let portions = first.next_portions(2).expect("portions");
        assert_eq!(portions.len(), 1);
        let found = pollster::block_on(first.gradient(&portions[0].examples));
        let found = found.expect("a gradient");
        first.apply_gradient(&found.gradient).expect("a step");
        assert_eq!(found.loss, expected);
    }
    assert_eq!(
        pollster::block_on(first.adapter()).expect("the adapter"),
        pollster::block_on(alone.adapter()).expect("the adapter")
    );
}
