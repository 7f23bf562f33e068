//! A language task: the order of its payload, its bytes, its JSON, what it refuses.

use choir_shared::ids::{Digest, to_hex};
use choir_shared::sim;
use choir_shared::task::{
    AdapterLayout, BaseFiles, DecoderTarget, LanguageConfig, PartKind, Payload, RopeScaling,
    SoftPromptConfig, TaskConfig, TaskError,
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
    language(&mut task).lora.targets = DecoderTarget::ALL.to_vec();
    language(&mut task).soft_prompt = None;
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
fn a_language_task_that_makes_no_sense_is_refused() {
    type Change = fn(&mut TaskConfig);
    let changes: [(TaskError, Change); 17] = [
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
        (TaskError::Adapter, |task| language(task).lora.rank = 0),
        (TaskError::Adapter, |task| {
            language(task).lora.alpha = f32::INFINITY
        }),
        (TaskError::Adapter, |task| {
            language(task).lora.targets.clear()
        }),
        (TaskError::Adapter, |task| {
            language(task).lora.targets.reverse()
        }),
        (TaskError::Adapter, |task| {
            let num_virtual_tokens = 0;
            language(task).soft_prompt = Some(SoftPromptConfig { num_virtual_tokens });
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
    // head_norms; rank, alpha, three targets; the soft prompt.
    let expected = concat!(
        "0200", "000104", "00401c46", "00", "01", "000000", "00", "02", "00008040", "03000204",
        "0102"
    );
    assert_eq!(to_hex(&wire::encode_bare(&task().payload)), expected);
    // A style that nobody has yet is refused, and not taken for another.
    let mut bytes = wire::encode(&task());
    let payload = wire::encode_bare(&task().payload);
    let start = bytes.windows(payload.len()).position(|at| at == payload);
    bytes[start.expect("the payload") + 2] = 1;
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
