//! What each strategy trains and sends, and how it moves.

use choir_shared::sim::partition::{Partition, deal};
use choir_shared::sim::random::Stream;
use choir_shared::strategy::{Adaptive, ServerOptimizer};
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::quantised::WeightPrecision;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::sim::config::{HeadStart, Split};
use choir_wasm_client::sim::personal::Personalization;
use choir_wasm_client::sim::strategy::{ClientOptimizer, Strategy, Trained};
use choir_wasm_client::train::Trainer;
use choir_wasm_client::train::batch::Examples;
use pollster::block_on;

use crate::stage::{DIM, HEAD, LABELS, LORA, Stage, fedavg};

fn length(a: &[f32], b: &[f32]) -> f32 {
    let squares: f32 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    squares.sqrt()
}

fn ffa() -> Strategy {
    Strategy {
        name: "FFA-LoRA".to_owned(),
        train: Some(vec![Trained::LoraB, Trained::Head]),
        ..fedavg()
    }
}

fn with_server(name: &str, server: ServerOptimizer) -> Strategy {
    Strategy {
        name: name.to_owned(),
        server,
        ..fedavg()
    }
}

fn prompt() -> Strategy {
    Strategy {
        name: "soft prompt".to_owned(),
        rank: 0,
        virtual_tokens: 2,
        train: Some(vec![Trained::Prompt]),
        ..fedavg()
    }
}

fn head() -> Strategy {
    Strategy {
        name: "head".to_owned(),
        rank: 0,
        ..fedavg()
    }
}

#[test]
fn every_strategy_learns_and_sends_what_it_trains_and_nothing_else() {
    let stage = Stage::new("every");
    let adaptive = Adaptive {
        learning_rate: 0.1,
        tau: 0.1,
        ..Adaptive::default()
    };
    let expected = [
        (fedavg(), LORA + HEAD),
        (
            Strategy {
                name: "FedProx".to_owned(),
                proximal: 0.1,
                ..fedavg()
            },
            LORA + HEAD,
        ),
        (
            with_server("FedAvgM", ServerOptimizer::Momentum { beta1: 0.5 }),
            LORA + HEAD,
        ),
        (
            with_server("FedAdagrad", ServerOptimizer::Adagrad(adaptive)),
            LORA + HEAD,
        ),
        (
            with_server("FedYogi", ServerOptimizer::Yogi(adaptive)),
            LORA + HEAD,
        ),
        (
            with_server("FedAdam", ServerOptimizer::Adam(adaptive)),
            LORA + HEAD,
        ),
        (ffa(), LORA / 2 + HEAD),
        (head(), HEAD),
    ];
    let (strategies, values): (Vec<_>, Vec<_>) = expected.into_iter().unzip();
    let mut config = stage.config(strategies);
    config.clients.partition = Split::Iid;
    config.training.steps = 20;
    let summary = stage.run(&config);
    for (place, (row, values)) in summary.rows.iter().zip(values).enumerate() {
        assert_eq!(row.bytes_down, 4 * values as u64, "{}", row.strategy);
        let records = summary
            .records
            .iter()
            .filter(|record| record.strategy == row.strategy);
        let losses: Vec<f32> = records.map(|record| record.loss).collect();
        assert!(
            (losses[0] - (LABELS as f32).ln()).abs() < 1e-3,
            "a head of zeros"
        );
        let best = losses.iter().copied().fold(f32::INFINITY, f32::min);
        assert!(best < losses[0] - 0.02, "{} {losses:?}", row.strategy);
        assert_ne!(
            stage.adapter(&config, place),
            stage.version_zero(&config, place)
        );
    }
}

#[test]
fn a_soft_prompt_is_trained_alone_beside_a_head_that_stays() {
    let stage = Stage::new("prompt");
    let mut config = stage.config(vec![prompt()]);
    config.training.head = HeadStart::Centroids;
    config.clients.partition = Split::Iid;
    let start = stage.version_zero(&config, 0);
    let summary = stage.run(&config);
    let end = stage.adapter(&config, 0);
    let prompt = 2 * DIM;
    assert_eq!(summary.rows[0].bytes_down, 4 * prompt as u64);
    assert_eq!(start[prompt..], end[prompt..]);
    assert!(start[prompt..].iter().any(|value| *value != 0.0));
    assert!(summary.records[3].loss < summary.records[0].loss);
}

#[test]
fn ffa_lora_leaves_the_first_factors_as_they_were_drawn() {
    let stage = Stage::new("ffa");
    let config = stage.config(vec![ffa()]);
    let start = stage.version_zero(&config, 0);
    stage.run(&config);
    let end = stage.adapter(&config, 0);
    // Each linear layer has A [8, 2] and then B [2, 8].
    for (start, end) in start[..LORA].chunks(32).zip(end[..LORA].chunks(32)) {
        assert_eq!(start[..16], end[..16]);
        assert_ne!(start[16..], end[16..]);
    }
    assert_ne!(start[LORA..], end[LORA..]);
}

#[test]
fn a_large_proximal_term_holds_clients_near_the_global_adapter() {
    let stage = Stage::new("proximal");
    let moved = |proximal: f32| {
        let mut config = stage.config(vec![Strategy {
            proximal,
            ..fedavg()
        }]);
        config.rounds = 1;
        config.training.steps = 30;
        let start = stage.version_zero(&config, 0);
        stage.run(&config);
        length(&stage.adapter(&config, 0), &start)
    };
    let (free, held, firm) = (moved(0.0), moved(1.0), moved(1e4));
    assert!(held < free && firm < 0.3 * free, "{free} {held} {firm}");
}

#[test]
fn forward_passes_alone_lower_the_loss() {
    let stage = Stage::new("mezo");
    let mezo = Strategy {
        name: "FedMeZO".to_owned(),
        client: ClientOptimizer::Mezo { epsilon: 1e-3 },
        learning_rate: Some(0.02),
        bound: Some(1.0),
        ..head()
    };
    let mut config = stage.config(vec![mezo]);
    config.clients.partition = Split::Iid;
    config.training.steps = 100;
    config.training.batch = 12;
    let losses: Vec<f32> = stage.run(&config).records.iter().map(|r| r.loss).collect();
    assert!(losses[3] < losses[0] - 0.008, "{losses:?}");
}

#[test]
fn a_simulated_client_steps_as_a_tab_does() {
    let stage = Stage::new("as-a-tab");
    let mut config = stage.config(vec![fedavg()]);
    config.rounds = 1;
    config.clients.count = 1;
    config.clients.per_round = 1;
    config.clients.partition = Split::Iid;
    let start = stage.version_zero(&config, 0);
    stage.run(&config);
    let simulated = stage.adapter(&config, 0);

    // The same texts by their ids: [CLS] w k k [SEP].
    let ids = |n: u32| vec![1, 3 + n % 17, 29 + n % 3, 29 + n % 3, 2];
    let labels: Vec<u32> = (0..120).map(|n| n % 3).collect();
    let share = deal(&labels, Partition::Even, 1, 1).unwrap().remove(0);
    let sequences: Vec<Vec<u32>> = share.iter().map(|&n| ids(n as u32)).collect();
    let labels = share.iter().map(|&n| labels[n]).collect();
    let examples = Examples::pack(sequences.iter().map(Vec::as_slice), labels).unwrap();
    let mut tab: Trainer<Recorded<CpuKernels>> =
        Trainer::new(Recorded::new(CpuKernels::new()), stage.task(&config)).unwrap();
    tab.add_weights(&std::fs::read(stage.options.model.join("model.safetensors")).unwrap())
        .unwrap();
    tab.finish_weights().unwrap();
    tab.set_adapter(&start).unwrap();
    let seed = Stream::new(1, "client 0 round 1").next_word();
    tab.set_examples(examples, seed);
    for _ in 0..config.training.steps {
        block_on(tab.step()).unwrap();
    }
    let trained = block_on(tab.adapter()).unwrap();
    assert!(length(&trained, &start) > 0.1);
    // The update is a difference: adding it again rounds the last bit.
    let moved: Vec<f32> = start
        .iter()
        .zip(&trained)
        .map(|(s, t)| s + (t - s))
        .collect();
    assert_eq!(simulated, moved);
}

#[test]
fn clients_that_go_on_alone_gain_on_their_own_texts_and_mixtures_lie_between() {
    let stage = Stage::new("personal");
    let mut config = stage.config(vec![fedavg()]);
    config.rounds = 1;
    config.training.steps = 3;
    config.clients.partition = Split::Shards { per_client: 1 };
    config.personalization = Some(Personalization {
        clients: 4,
        steps: 30,
    });
    let personal = stage.run(&config).rows[0].personal.clone();
    let parts: Vec<f32> = personal.iter().map(|mixture| mixture.own_part).collect();
    assert_eq!(parts, [0.0, 0.25, 0.5, 0.75, 1.0]);
    let (global, own) = (&personal[0], &personal[4]);
    // A client with one label learns to say it, and forgets the others.
    assert!(own.own_accuracy > global.own_accuracy + 0.3, "{personal:?}");
    assert!(own.all_accuracy < 0.6, "{personal:?}");
}

#[test]
fn a_base_in_fewer_bits_trains_another_adapter_from_centroids_of_its_own() {
    let stage = Stage::new("precision");
    let strategies = [
        WeightPrecision::F32,
        WeightPrecision::Int8,
        WeightPrecision::Int4,
    ];
    let strategies = strategies.map(|precision| Strategy {
        name: format!("{precision:?}"),
        precision,
        virtual_tokens: 1,
        ..fedavg()
    });
    let mut config = stage.config(strategies.to_vec());
    config.training.head = HeadStart::Centroids;
    let summary = stage.run(&config);
    let [f32s, int8, int4] = [0, 1, 2].map(|strategy| stage.adapter(&config, strategy));
    let size = length(&f32s, &vec![0.0; f32s.len()]);
    let [near, far] = [&int8, &int4].map(|other| length(&f32s, other) / size);
    assert!(
        near > 0.0 && near < far && far < 1.0,
        "int8 {near} and int4 {far} from f32"
    );
    for row in &summary.rows {
        let own = summary
            .records
            .iter()
            .filter(|r| r.strategy == row.strategy);
        let losses: Vec<f32> = own.map(|record| record.loss).collect();
        let best = losses.iter().copied().fold(f32::INFINITY, f32::min);
        assert!(best < losses[0], "{} {losses:?}", row.strategy);
    }
}
