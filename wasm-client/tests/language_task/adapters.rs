//! Every kind of adapter that a task can name: in the layout's order, trained, and all of it.

use choir_shared::task::{
    AdapterLayout, BottleneckConfig, BottleneckPart, DecoderAdapterConfig, DecoderLoraConfig,
    DecoderNorm as NormPart, DecoderTarget, LanguageConfig, PartKind, Payload, PromptEncoderPart,
    VirtualTokens,
};
use choir_wasm_client::engine::Parameter;
use choir_wasm_client::model::decoder::{DecoderAdapter, DecoderNorm, DecoderShape, DecoderTensor};

use super::{language, lora, rows, task, trainer, version_zero, virtual_tokens};

/// An adapter of every kind, alone, and all that go together.
pub(super) fn adapters() -> Vec<DecoderAdapterConfig> {
    let none = DecoderAdapterConfig::default;
    let biases = vec![DecoderTarget::V, DecoderTarget::Down];
    let bottleneck = Some(BottleneckConfig { width: 3 });
    let encoder = VirtualTokens::PromptEncoder { width: 5 };
    vec![
        DecoderAdapterConfig::of_lora(lora()),
        DecoderAdapterConfig {
            biases: biases.clone(),
            ..none()
        },
        DecoderAdapterConfig {
            norms: true,
            ..none()
        },
        DecoderAdapterConfig {
            bottleneck,
            ..none()
        },
        DecoderAdapterConfig {
            virtual_tokens: virtual_tokens(VirtualTokens::SoftPrompt),
            ..none()
        },
        DecoderAdapterConfig {
            virtual_tokens: virtual_tokens(VirtualTokens::Prefix),
            ..none()
        },
        DecoderAdapterConfig {
            virtual_tokens: virtual_tokens(encoder),
            ..none()
        },
        DecoderAdapterConfig {
            lora: Some(DecoderLoraConfig {
                rank_stabilised: true,
                dropout: 0.1,
                ..lora()
            }),
            biases,
            norms: true,
            bottleneck,
            virtual_tokens: virtual_tokens(encoder),
        },
    ]
}

#[test]
fn every_adapter_lies_as_the_layout_says() {
    let mut decoders = vec![language().decoder; 2];
    decoders[1].head_norms = true;
    for (config, decoder) in adapters().into_iter().zip(decoders.into_iter().cycle()) {
        let mut task = task();
        let language = LanguageConfig {
            adapter: config,
            decoder,
            ..language()
        };
        task.payload = Payload::Language(language.clone());
        assert_eq!(task.check(), Ok(()));
        let layout = AdapterLayout::new(&task).expect("a layout");
        let shape = DecoderShape::of_task(&task.base.shape, &language);
        let adapter = DecoderAdapter::of_config(&shape, &language.adapter);
        assert_eq!(adapter.len, layout.len());
        for part in layout.parts() {
            let views = view(&adapter, part.kind);
            assert_eq!((&views.range, views.shape), (&part.range, part.shape));
        }
    }
}

/// What a part of the layout is in the decoder.
fn view(adapter: &DecoderAdapter, kind: PartKind) -> &Parameter {
    let encoder = || adapter.prompt_encoder.as_ref().expect("a prompt encoder");
    match kind {
        PartKind::DecoderLoraA { layer, target } => &adapter.lora[&(layer, target)].a,
        PartKind::DecoderLoraB { layer, target } => &adapter.lora[&(layer, target)].b,
        PartKind::SoftPrompt => adapter.prompt.as_ref().expect("a prompt"),
        PartKind::DecoderBias { layer, target } => {
            &adapter.vectors[&DecoderTensor::Bias(layer, target)]
        }
        PartKind::DecoderNormGain(norm) => &adapter.vectors[&gain(norm)],
        PartKind::Bottleneck { layer, part } => {
            let layers = &adapter.bottlenecks[&layer];
            match part {
                BottleneckPart::Down => &layers.down,
                BottleneckPart::DownBias => &layers.down_bias,
                BottleneckPart::Up => &layers.up,
                BottleneckPart::UpBias => &layers.up_bias,
            }
        }
        PartKind::PrefixKeys { layer } => &adapter.prefixes[&layer][0],
        PartKind::PrefixValues { layer } => &adapter.prefixes[&layer][1],
        PartKind::PromptEncoder(part) => match part {
            PromptEncoderPart::Embeddings => &encoder().embeddings,
            PromptEncoderPart::Hidden => &encoder().hidden,
            PromptEncoderPart::HiddenBias => &encoder().hidden_bias,
            PromptEncoderPart::Output => &encoder().output,
            PromptEncoderPart::OutputBias => &encoder().output_bias,
        },
        other => panic!("{other:?} in a decoder of Llama's kind"),
    }
}

fn gain(norm: NormPart) -> DecoderTensor {
    match norm {
        NormPart::Attention { layer } => DecoderTensor::NormGain(DecoderNorm::Attention(layer)),
        NormPart::Mlp { layer } => DecoderTensor::NormGain(DecoderNorm::Mlp(layer)),
        NormPart::Queries { layer } => DecoderTensor::QueryNorm(layer),
        NormPart::Keys { layer } => DecoderTensor::KeyNorm(layer),
        NormPart::Last => DecoderTensor::NormGain(DecoderNorm::Last),
    }
}

#[test]
fn every_kind_of_adapter_is_trained_as_its_task_says() {
    for config in adapters() {
        let mut task = task();
        task.payload = Payload::Language(LanguageConfig {
            adapter: config.clone(),
            ..language()
        });
        let mut trainer = trainer(task.clone());
        let zero = version_zero(&task);
        trainer.set_adapter(&zero).expect("an adapter");
        trainer.set_rows(rows(), 7).expect("rows");
        let before = pollster::block_on(trainer.score(&rows())).expect("a score");
        if config.virtual_tokens.is_none() {
            let base = base_score();
            assert!(
                (before.mean() - base).abs() < 1e-5,
                "{config:?} begins as the base"
            );
        }
        pollster::block_on(trainer.steps(24)).expect("steps");
        let after = pollster::block_on(trainer.score(&rows())).expect("a score");
        assert!(
            after.mean() < before.mean(),
            "{config:?}: {before:?}, {after:?}"
        );
        let adapter = pollster::block_on(trainer.adapter()).expect("the adapter");
        for part in trainer.layout().parts() {
            let range = part.range.clone();
            assert_ne!(adapter[range.clone()], zero[range], "{}", part.kind);
        }
    }
}

/// The mean loss of the decoder without an adapter.
fn base_score() -> f64 {
    let mut task = task();
    task.payload = Payload::Language(LanguageConfig {
        adapter: DecoderAdapterConfig::of_lora(lora()),
        ..language()
    });
    let mut trainer = trainer(task.clone());
    let zeros = vec![0.0; trainer.layout().len()];
    trainer.set_adapter(&zeros).expect("an adapter");
    pollster::block_on(trainer.score(&rows()))
        .expect("a score")
        .mean()
}
