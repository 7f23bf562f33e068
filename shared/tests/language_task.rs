//! A language task: the order of its payload, its bytes, its JSON, what it refuses.

use choir_shared::ids::{Digest, to_hex};
use choir_shared::sim;
use choir_shared::task::{
    AdapterLayout, BaseFiles, BottleneckConfig, DecoderAdapterConfig, DecoderBiases,
    DecoderLoraConfig, DecoderStyle, DecoderTarget, LanguageConfig, PartKind, Payload, RopeScaling,
    TaskConfig, TaskError, VirtualTokens, VirtualTokensConfig,
};
use choir_shared::wire::{self, limits};

fn task() -> TaskConfig {
    sim::language_task(4, 3)
}

fn language(task: &mut TaskConfig) -> &mut LanguageConfig {
    let Payload::Language(language) = &mut task.payload else {
        panic!("a language task")
    };
    language
}

fn adapter(task: &mut TaskConfig) -> &mut DecoderAdapterConfig {
    &mut language(task).adapter
}

fn lora(task: &mut TaskConfig) -> &mut DecoderLoraConfig {
    adapter(task).lora.as_mut().expect("LoRA")
}

fn virtual_tokens(trained: VirtualTokens) -> Option<VirtualTokensConfig> {
    Some(VirtualTokensConfig {
        num_virtual_tokens: 2,
        trained,
    })
}

/// The task with everything else of its adapter off.
fn only(change: impl FnOnce(&mut DecoderAdapterConfig)) -> TaskConfig {
    let mut task = task();
    *adapter(&mut task) = DecoderAdapterConfig::default();
    change(adapter(&mut task));
    assert_eq!(task.check(), Ok(()));
    task
}

fn names(task: &TaskConfig) -> Vec<(String, [usize; 2])> {
    let layout = AdapterLayout::new(task).expect("a layout");
    let parts = layout.parts().iter();
    parts
        .map(|part| (part.kind.to_string(), part.shape))
        .collect()
}

#[test]
fn the_payload_is_in_the_documented_order() {
    let layout = AdapterLayout::new(&task()).expect("a layout");
    let mut expected = Vec::new();
    for layer in 0..2 {
        for (target, out) in [
            (DecoderTarget::Q, 8),
            (DecoderTarget::V, 4),
            (DecoderTarget::Gate, 12),
        ] {
            expected.push((PartKind::DecoderLoraA { layer, target }, [8, 2]));
            expected.push((PartKind::DecoderLoraB { layer, target }, [2, out]));
        }
    }
    expected.push((PartKind::SoftPrompt, [2, 8]));
    let parts: Vec<_> = layout
        .parts()
        .iter()
        .map(|part| (part.kind, part.shape))
        .collect();
    assert_eq!(parts, expected);
    assert_eq!(layout.len(), 2 * (3 * 16 + 2 * (8 + 4 + 12)) + 16);
    assert_eq!(layout.ring_len(), layout.len() + 1);
}

#[test]
fn every_layer_has_its_own_sizes_and_a_prompt_that_is_off_is_absent() {
    let mut task = task();
    lora(&mut task).targets = DecoderTarget::ALL.to_vec();
    adapter(&mut task).virtual_tokens = None;
    let layout = AdapterLayout::new(&task).expect("a layout");
    let shapes: Vec<_> = layout.parts().iter().map(|part| part.shape).collect();
    let of_layer = [[8, 8], [8, 4], [8, 4], [8, 8], [8, 12], [8, 12], [12, 8]];
    let expected: Vec<_> = of_layer
        .iter()
        .chain(&of_layer)
        .flat_map(|&[rows, columns]| [[rows, 2], [2, columns]])
        .collect();
    assert_eq!(shapes, expected);
}

#[test]
fn all_that_can_be_trained_has_its_place() {
    let of_blocks = |parts: &[(&str, [usize; 2])]| {
        let of = |layer: u32| {
            let named = |(name, shape): &(&str, [usize; 2])| {
                (name.replacen('N', &layer.to_string(), 1), *shape)
            };
            parts.iter().map(named).collect::<Vec<_>>()
        };
        [of(0), of(1)].concat()
    };
    let biases = only(|adapter| adapter.biases = vec![DecoderTarget::K, DecoderTarget::Down]);
    assert_eq!(
        names(&biases),
        of_blocks(&[("biases/N/k", [1, 4]), ("biases/N/down", [1, 8])])
    );
    let mut norms = only(|adapter| adapter.norms = true);
    let stream = [
        ("norms/N/attention/gain", [1, 8]),
        ("norms/N/mlp/gain", [1, 8]),
    ];
    let last = ("norms/last/gain".to_owned(), [1, 8]);
    let with_last = |mut parts: Vec<_>| {
        parts.push(last.clone());
        parts
    };
    assert_eq!(names(&norms), with_last(of_blocks(&stream)));
    language(&mut norms).decoder.head_norms = true;
    let heads = [
        ("norms/N/queries/gain", [1, 4]),
        ("norms/N/keys/gain", [1, 4]),
    ];
    assert_eq!(
        names(&norms),
        with_last(of_blocks(&[stream[0], stream[1], heads[0], heads[1]]))
    );
    let bottleneck = only(|adapter| adapter.bottleneck = Some(BottleneckConfig { width: 3 }));
    assert_eq!(
        names(&bottleneck),
        of_blocks(&[
            ("bottleneck/N/down", [8, 3]),
            ("bottleneck/N/down_bias", [1, 3]),
            ("bottleneck/N/up", [3, 8]),
            ("bottleneck/N/up_bias", [1, 8]),
        ])
    );
    let prefix = only(|adapter| adapter.virtual_tokens = virtual_tokens(VirtualTokens::Prefix));
    assert_eq!(
        names(&prefix),
        of_blocks(&[("prefix/N/keys", [2, 4]), ("prefix/N/values", [2, 4])])
    );
    let width = 5;
    let encoder = only(|adapter| {
        adapter.virtual_tokens = virtual_tokens(VirtualTokens::PromptEncoder { width });
    });
    assert_eq!(
        names(&encoder),
        [
            ("prompt_encoder/embeddings", [2, 5]),
            ("prompt_encoder/hidden", [5, 5]),
            ("prompt_encoder/hidden_bias", [1, 5]),
            ("prompt_encoder/output", [5, 8]),
            ("prompt_encoder/output_bias", [1, 8]),
        ]
        .map(|(name, shape)| (name.to_owned(), shape))
    );
}

/// As GPT-2's blocks are.
fn gpt2(task: &mut TaskConfig) {
    let decoder = &mut language(task).decoder;
    decoder.style = DecoderStyle::Gpt2;
    decoder.kv_heads = 2;
    decoder.biases = DecoderBiases::ALL;
    lora(task).targets = DecoderStyle::Gpt2.targets().to_vec();
}

#[test]
fn a_task_of_gpt2_has_its_layers_and_no_others() {
    let mut task = task();
    gpt2(&mut task);
    assert_eq!(task.check(), Ok(()));
    adapter(&mut task).norms = true;
    let found = names(&task);
    assert!(found.contains(&("norms/1/mlp/bias".to_owned(), [1, 8])));
    assert!(!found.iter().any(|(name, _)| name.contains("gate")));
    lora(&mut task).targets = DecoderTarget::ALL.to_vec();
    assert_eq!(task.check(), Err(TaskError::Adapter));
    type Change = fn(&mut LanguageConfig);
    let changes: [Change; 5] = [
        |language| language.decoder.kv_heads = 1,
        |language| language.decoder.head_dim = 2,
        |language| language.decoder.rope_scaling = RopeScaling::Linear { factor: 2.0 },
        |language| language.decoder.biases.mlp = false,
        |language| language.decoder.head_norms = true,
    ];
    for (place, change) in changes.into_iter().enumerate() {
        let mut task = self::task();
        gpt2(&mut task);
        change(language(&mut task));
        assert_eq!(task.check(), Err(TaskError::Decoder), "change {place}");
    }
}

#[test]
fn a_language_task_that_makes_no_sense_is_refused() {
    type Change = fn(&mut TaskConfig);
    let changes: [(TaskError, Change); 23] = [
        (TaskError::Classifier, |task| {
            task.labels = vec!["yes".to_owned()]
        }),
        (TaskError::Classifier, |task| {
            task.frozen_head = Some(Digest::of(b"head"))
        }),
        (TaskError::Decoder, |task| {
            language(task).decoder.kv_heads = 0
        }),
        (TaskError::Decoder, |task| {
            language(task).decoder.kv_heads = 3
        }),
        (TaskError::Decoder, |task| {
            language(task).decoder.head_dim = 0
        }),
        (TaskError::Decoder, |task| {
            language(task).decoder.head_dim = 5
        }),
        (TaskError::Decoder, |task| {
            language(task).decoder.head_dim = u32::MAX - 1
        }),
        (TaskError::Decoder, |task| {
            language(task).decoder.rope_base = 0.0
        }),
        (TaskError::Decoder, |task| {
            language(task).decoder.rope_scaling = RopeScaling::Linear { factor: f32::NAN }
        }),
        (TaskError::Decoder, |task| {
            language(task).decoder.rope_scaling = RopeScaling::Llama3 {
                factor: 8.0,
                low_frequency_factor: 4.0,
                high_frequency_factor: 1.0,
                original_context: 8192.0,
            }
        }),
        (TaskError::Adapter, |task| lora(task).rank = 0),
        (TaskError::Adapter, |task| lora(task).alpha = f32::INFINITY),
        (TaskError::Adapter, |task| lora(task).dropout = 1.0),
        (TaskError::Adapter, |task| lora(task).dropout = f32::NAN),
        (TaskError::Adapter, |task| lora(task).targets.clear()),
        (TaskError::Adapter, |task| lora(task).targets.reverse()),
        (TaskError::Adapter, |task| {
            adapter(task).virtual_tokens = Some(VirtualTokensConfig {
                num_virtual_tokens: 0,
                trained: VirtualTokens::SoftPrompt,
            });
        }),
        (TaskError::Adapter, |task| {
            let width = 0;
            adapter(task).virtual_tokens = virtual_tokens(VirtualTokens::PromptEncoder { width });
        }),
        (TaskError::Adapter, |task| {
            adapter(task).bottleneck = Some(BottleneckConfig { width: 0 });
        }),
        (TaskError::Adapter, |task| {
            adapter(task).biases = vec![DecoderTarget::V, DecoderTarget::Q];
        }),
        (TaskError::Adapter, |task| {
            *adapter(task) = DecoderAdapterConfig::default();
        }),
        (TaskError::MaxLength, |task| task.max_length = 31),
        (TaskError::Shape, |task| task.base.shape.norm_eps = 0.0),
    ];
    assert_eq!(task().check(), Ok(()));
    for (place, (error, change)) in changes.into_iter().enumerate() {
        let mut task = task();
        change(&mut task);
        assert_eq!(task.check(), Err(error), "change {place}");
    }
}

#[test]
fn only_a_language_task_has_no_labels() {
    let mut classifier = sim::head_task(4, 3, 8);
    classifier.labels.clear();
    assert_eq!(classifier.check(), Err(TaskError::Labels));
    classifier.payload = Payload::Centroids;
    assert_eq!(classifier.check(), Err(TaskError::Labels));
}

#[test]
fn the_bytes_of_the_payload_are_pinned() {
    // The variant, the files, style, kv_heads, head_dim, rope_base, scaling, tied, three biases,
    // head_norms; LoRA with rank, alpha, rank_stabilised, dropout, three targets; no biases, no norms, no
    // bottleneck; two virtual tokens of a soft prompt.
    let expected = concat!(
        "0200", "000104", "00401c46", "00", "01", "000000", "00", "01", "02", "00008040", "00",
        "00000000", "03000204", "00", "00", "00", "010200"
    );
    assert_eq!(to_hex(&wire::encode_bare(&task().payload)), expected);
    // A style that nobody has yet is refused, and not taken for another.
    let mut bytes = wire::encode(&task());
    let payload = wire::encode_bare(&task().payload);
    let start = bytes.windows(payload.len()).position(|at| at == payload);
    bytes[start.expect("the payload") + 2] = 2;
    assert!(wire::decode::<TaskConfig>(&bytes, limits::TASK_CONFIG).is_err());
}

#[test]
fn a_language_task_comes_back_from_bytes_and_from_json() {
    let scalings = [
        RopeScaling::None,
        RopeScaling::Linear { factor: 2.0 },
        RopeScaling::Llama3 {
            factor: 8.0,
            low_frequency_factor: 1.0,
            high_frequency_factor: 4.0,
            original_context: 8192.0,
        },
    ];
    let mut digests = Vec::new();
    for rope_scaling in scalings {
        let mut task = task();
        language(&mut task).decoder.rope_scaling = rope_scaling;
        language(&mut task).files = BaseFiles::Llama2c;
        assert_eq!(task.check(), Ok(()));
        let bytes = wire::encode(&task);
        let back = wire::decode::<TaskConfig>(&bytes, limits::TASK_CONFIG);
        assert_eq!(back.as_ref(), Ok(&task));
        let json = serde_json::to_value(&task).expect("JSON");
        assert_eq!(json["payload"]["language"]["files"], "llama2c");
        assert_eq!(
            serde_json::from_value::<TaskConfig>(json).expect("a task"),
            task
        );
        digests.push(task.digest());
    }
    digests.push(task().digest());
    let count = digests.len();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), count);
}
