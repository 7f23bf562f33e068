//! What a task is: its checks, its digests, the order of its payload, its JSON.

use choir_shared::ids::{Digest, TaskId, Version};
use choir_shared::policy::Policy;
use choir_shared::sim;
use choir_shared::task::{
    AdapterConfig, AdapterLayout, LoraConfig, PartKind, Payload, SoftPromptConfig, Target,
    TaskConfig, TaskError,
};
use choir_shared::wire::{self, limits};

fn task() -> TaskConfig {
    let mut task = sim::head_task(4, 3, 8);
    task.base.shape.layers = 2;
    task.base.shape.intermediate = 32;
    task.payload = Payload::Adapter(AdapterConfig {
        lora: Some(LoraConfig {
            rank: 2,
            alpha: 4.0,
            targets: vec![Target::Q, Target::V, Target::W1],
        }),
        soft_prompt: Some(SoftPromptConfig {
            num_virtual_tokens: 3,
        }),
        head: true,
    });
    task
}

fn adapter(task: &mut TaskConfig) -> &mut AdapterConfig {
    let Payload::Adapter(adapter) = &mut task.payload else {
        panic!("an adapter")
    };
    adapter
}

#[test]
fn the_payload_is_in_the_documented_order() {
    let layout = AdapterLayout::new(&task()).expect("a layout");
    let (q, v, w1) = (Target::Q, Target::V, Target::W1);
    let mut expected = Vec::new();
    for layer in 0..2 {
        for (target, out) in [(q, 8), (v, 8), (w1, 32)] {
            expected.push((PartKind::LoraA { layer, target }, [8, 2]));
            expected.push((PartKind::LoraB { layer, target }, [2, out]));
        }
    }
    expected.push((PartKind::SoftPrompt, [3, 8]));
    expected.push((PartKind::HeadWeight, [8, 2]));
    expected.push((PartKind::HeadBias, [1, 2]));
    let parts: Vec<_> = layout
        .parts()
        .iter()
        .map(|part| (part.kind, part.shape))
        .collect();
    assert_eq!(parts, expected);
    let mut end = 0;
    for part in layout.parts() {
        assert_eq!(part.range, end..end + part.shape[0] * part.shape[1]);
        end = part.range.end;
    }
    assert_eq!((layout.len(), layout.ring_len()), (end, end + 1));
    assert_eq!(
        layout.part(PartKind::HeadBias).map(|part| part.range.end),
        Some(end)
    );
}

#[test]
fn parts_that_are_off_are_absent() {
    let mut task = task();
    adapter(&mut task).lora = None;
    adapter(&mut task).soft_prompt = None;
    assert_eq!(AdapterLayout::new(&task).map(|layout| layout.len()), Ok(18));
    task.payload = Payload::Centroids;
    let layout = AdapterLayout::new(&task).expect("a layout");
    let parts: Vec<_> = layout
        .parts()
        .iter()
        .map(|part| (part.kind, part.shape))
        .collect();
    assert_eq!(
        parts,
        [
            (PartKind::CentroidSums, [2, 8]),
            (PartKind::CentroidCounts, [1, 2])
        ]
    );
}

#[test]
fn a_task_that_makes_no_sense_is_refused() {
    type Change = fn(&mut TaskConfig);
    let changes: [(TaskError, Change); 34] = [
        (TaskError::Name, |task| task.name.clear()),
        (TaskError::Name, |task| task.name = "x".repeat(257)),
        (TaskError::Labels, |task| task.labels.clear()),
        (TaskError::Labels, |task| {
            task.labels[1] = task.labels[0].clone()
        }),
        (TaskError::Labels, |task| task.labels[1].clear()),
        (TaskError::Labels, |task| {
            task.labels = (0..1_025).map(|at| at.to_string()).collect()
        }),
        (TaskError::Shape, |task| task.base.shape.heads = 3),
        (TaskError::Shape, |task| task.base.shape.dim = 0),
        (TaskError::Shape, |task| {
            task.base.shape.vocabulary = u32::MAX
        }),
        (TaskError::Shape, |task| task.base.shape.norm_eps = f32::NAN),
        (TaskError::MaxLength, |task| task.max_length = 30),
        (TaskError::MaxLength, |task| task.max_length = 2),
        (TaskError::Adapter, |task| {
            *adapter(task) = AdapterConfig::default()
        }),
        (TaskError::Adapter, |task| lora(task).rank = 0),
        (TaskError::Adapter, |task| lora(task).alpha = f32::INFINITY),
        (TaskError::Adapter, |task| lora(task).targets.clear()),
        (TaskError::Adapter, |task| lora(task).targets.reverse()),
        (TaskError::Adapter, |task| lora(task).targets[1] = Target::Q),
        (TaskError::Head, |task| adapter(task).head = false),
        (TaskError::Head, |task| {
            task.frozen_head = Some(Digest::of(b"head"))
        }),
        (TaskError::PayloadSize, |task| task.base.shape.dim = 1 << 20),
        (TaskError::PayloadSize, |task| lora(task).rank = u16::MAX),
        (TaskError::Training, |task| task.training.batch_size = 0),
        (TaskError::Training, |task| {
            task.training.optimizer.beta1 = 1.0
        }),
        (TaskError::Training, |task| {
            task.training.optimizer.learning_rate = -0.1
        }),
        (TaskError::Quantiser, |task| task.quantiser.bound = 0.0),
        (TaskError::Overflow, |task| task.quantiser.levels = u32::MAX),
        (TaskError::Dp, |task| task.dp.noise_multiplier = f32::NAN),
        (TaskError::Dp, |task| task.dp.noise_multiplier = 1.0),
        (TaskError::Dp, |task| task.dp.clip = -1.0),
        (TaskError::Cohort, |task| task.cohort.min_cohort = 2),
        (TaskError::Cohort, |task| {
            task.cohort.cohort_size = 1_001;
            task.quantiser.weight_max = 1;
        }),
        (TaskError::Cohort, |task| {
            task.cohort.corrupt_permille = 1_000
        }),
        // Two of four corrupt clients hold as many shares of a seed as open it.
        (TaskError::Cohort, |task| task.cohort.corrupt_permille = 500),
    ];
    assert_eq!(task().check(), Ok(()));
    for (place, (error, change)) in changes.into_iter().enumerate() {
        let mut task = task();
        change(&mut task);
        assert_eq!(task.check(), Err(error), "change {place}");
    }
    let mut task = task();
    task.deadlines.collect_ms = 0;
    assert_eq!(task.check(), Err(TaskError::Deadlines));
}

fn lora(task: &mut TaskConfig) -> &mut LoraConfig {
    adapter(task).lora.as_mut().expect("LoRA")
}

#[test]
fn every_setting_changes_the_digest() {
    let of = |change: fn(&mut TaskConfig)| {
        let mut task = task();
        change(&mut task);
        task.digest()
    };
    let mut digests = vec![
        of(|_| {}),
        of(|task| task.labels.reverse()),
        of(|task| task.max_length += 1),
        of(|task| task.seed[31] ^= 1),
        of(|task| task.quantiser.bound *= 2.0),
        of(|task| task.training.local_steps += 1),
        of(|task| task.deadlines.unmask_ms += 1),
        of(|task| task.base.tokenizer.0[0] ^= 1),
        of(|task| adapter(task).head = false),
    ];
    let model =
        |version, adapter: &[u8]| task().model_digest(Version(version), Digest::of(adapter));
    digests.extend([model(0, b"a"), model(1, b"a"), model(0, b"b")]);
    let count = digests.len();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), count);
}

#[test]
fn a_task_reads_well_as_json_and_comes_back() {
    let task = task();
    let json = serde_json::to_value(&task).expect("JSON");
    assert_eq!(json["base"]["weights"], Digest::of(b"weights").to_string());
    assert_eq!(json["seed"], "07".repeat(32));
    assert_eq!(
        json["payload"]["adapter"]["lora"]["targets"],
        serde_json::json!(["q", "v", "w1"])
    );
    assert_eq!(json["frozen_head"], serde_json::Value::Null);
    assert_eq!(
        serde_json::from_value::<TaskConfig>(json).expect("a task"),
        task
    );
    let bytes = wire::encode(&task);
    assert_eq!(
        wire::decode::<TaskConfig>(&bytes, limits::TASK_CONFIG),
        Ok(task)
    );
    let policy: Policy = serde_json::from_str(r#"{"min_cohort": 4}"#).expect("a policy");
    assert_eq!(
        policy,
        Policy {
            min_cohort: 4,
            ..Policy::default()
        }
    );
}

#[test]
fn hex_is_read_strictly() {
    let id: TaskId = "000102030405060708090a0B0c0d0e0f".parse().expect("hex");
    assert_eq!(id.to_string(), "000102030405060708090a0b0c0d0e0f");
    for bad in [
        "",
        "00",
        "000102030405060708090a0b0c0d0e0g",
        "é00102030405060708090a0b0c0d0e0",
    ] {
        assert!(bad.parse::<TaskId>().is_err(), "{bad}");
    }
}
