//! What holds for every run: sums, drop-outs, stops, partitions, settings.

use choir_wasm_client::sim::config::{Config, Split};
use choir_wasm_client::sim::record::Record;
use choir_wasm_client::sim::{self, Options, SimError};

use crate::stage::{Stage, fedavg};

fn timeless(records: &[Record]) -> Vec<Record> {
    let without = |record: &Record| Record {
        seconds: 0.0,
        ..record.clone()
    };
    records.iter().map(without).collect()
}

#[test]
fn drop_outs_happen_and_every_secure_sum_is_the_plain_one() {
    let stage = Stage::new("drop-outs");
    let mut config = stage.config(vec![fedavg()]);
    config.sum.secure = true;
    config.clients.drop_out = 0.3;
    config.rounds = 6;
    let summary = stage.run(&config);
    let row = &summary.rows[0];
    assert_eq!(row.joined, 30);
    assert!((1..20).contains(&row.dropped), "{}", row.dropped);
    assert_eq!(row.secure_sums + row.aborted, 6);
    assert!(row.secure_sums >= 3, "{}", row.secure_sums);
    // A mean of rounded values is off by less than one step of the quantiser.
    let step = 2.0 * 4.0 * 0.02 * 8.0 / 65_535.0;
    assert!(
        row.rounding_error > 0.0 && row.rounding_error < step,
        "{}",
        row.rounding_error
    );
}

#[test]
fn a_secure_round_moves_the_adapter_as_a_plain_one_does() {
    let stage = Stage::new("secure-and-plain");
    let mut config = stage.config(vec![fedavg()]);
    config.rounds = 1;
    config.clients.drop_out = 0.3;
    let start = stage.version_zero(&config, 0);
    stage.run(&config);
    let plain = stage.adapter(&config, 0);
    config.sum.secure = true;
    stage.run(&config);
    let secure = stage.adapter(&config, 0);
    let distance = |a: &[f32], b: &[f32]| {
        let pairs = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        pairs.fold(0.0, f32::max)
    };
    assert!(distance(&start, &plain) > 0.01);
    assert!(distance(&secure, &plain) < 5e-5);
}

#[test]
fn a_stopped_experiment_goes_on_to_the_same_numbers_bit_for_bit() {
    let stage = Stage::new("whole");
    let mut second = fedavg();
    second.name = "FedAdam".to_owned();
    second.server = choir_shared::strategy::ServerOptimizer::Adam(Default::default());
    let mut config = stage.config(vec![fedavg(), second]);
    config.seeds = vec![1, 2];
    config.sum.secure = true;
    config.clients.drop_out = 0.2;
    config.baselines.central = true;
    config.baselines.local_clients = 2;
    let whole = stage.run(&config);

    let mut other = Stage::new("stopped");
    config.data = other.config(Vec::new()).data;
    other.options.until_round = Some(1);
    let part = other.run(&config);
    assert_eq!(part.rows[0].accuracy, None);
    assert!(part.records.iter().all(|record| record.round <= 1));
    other.options.until_round = Some(2);
    other.options.resume = true;
    other.run(&config);
    other.options.until_round = None;
    let resumed = other.run(&config);

    assert_eq!(timeless(&resumed.records), timeless(&whole.records));
    assert_eq!(resumed.rows, whole.rows);
    assert_eq!(resumed.central_accuracy, whole.central_accuracy);
    assert_eq!(resumed.local_accuracy, whole.local_accuracy);
    for strategy in 0..2 {
        let resumed = other.adapter(&config, strategy);
        assert_eq!(resumed, stage.adapter(&config, strategy));
    }
}

#[test]
fn states_of_other_settings_are_not_gone_on_from() {
    let mut stage = Stage::new("settings");
    let mut config = stage.config(vec![fedavg()]);
    config.rounds = 1;
    stage.run(&config);
    stage.options.resume = true;
    config.rounds = 2;
    assert_eq!(stage.run(&config).records.len(), 3);
    config.training.learning_rate = 0.01;
    let refused = sim::run(&config, &stage.options, &mut |_| {});
    assert!(matches!(refused, Err(SimError::OtherSettings { .. })));
}

#[test]
fn natural_users_are_the_clients() {
    let stage = Stage::new("users");
    let mut config = stage.config(vec![fedavg()]);
    stage.with_users(&mut config, 5);
    config.rounds = 1;
    config.clients.count = 5;
    assert_eq!(stage.run(&config).rows[0].joined, 5);
    config.clients.count = 6;
    let refused = sim::run(&config, &stage.options, &mut |_| {}).unwrap_err();
    assert!(refused.to_string().contains("5 users"), "{refused}");
    config
        .data
        .train
        .clone_from(&stage.config(Vec::new()).data.train);
    let refused = sim::run(&config, &stage.options, &mut |_| {}).unwrap_err();
    assert!(
        refused.to_string().contains("no column `user`"),
        "{refused}"
    );
}

#[test]
fn every_partition_trains_and_seeds_differ() {
    let stage = Stage::new("partitions");
    for partition in [
        Split::Iid,
        Split::Labels,
        Split::Shards { per_client: 2 },
        Split::Dirichlet { alpha: 0.1 },
    ] {
        let mut config = stage.config(vec![fedavg()]);
        config.clients.partition = partition;
        config.rounds = 1;
        config.seeds = vec![1, 2];
        let records = timeless(&stage.run(&config).records);
        assert_ne!(records[1].loss, records[3].loss, "{partition:?}");
    }
}

#[test]
fn the_example_files_are_experiments() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sims");
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        // The data sets of the larger ones lie outside of the checkout.
        let text = text.replace("$CHOIR_SHARED", "data");
        let copy =
            std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(path.file_name().unwrap());
        std::fs::write(&copy, text).unwrap();
        Config::read(&copy).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        names.push(path);
    }
    assert!(names.len() >= 2);
}

#[test]
fn mistakes_in_a_file_are_named() {
    let stage = Stage::new("mistakes");
    let check = |change: &dyn Fn(&mut Config)| {
        let mut config = stage.config(vec![fedavg()]);
        change(&mut config);
        config.check().unwrap_err().to_string()
    };
    let says = |found: String, word: &str| assert!(found.contains(word), "{found}");
    says(check(&|c| c.clients.per_round = 9), "per_round");
    says(check(&|c| c.clients.drop_out = 1.0), "drop_out");
    says(check(&|c| c.strategies.push(fedavg())), "FedAvg");
    says(check(&|c| c.strategies[0].proximal = -1.0), "proximal");
    says(
        check(&|c| {
            c.sum.secure = true;
            c.clients.per_round = 2;
        }),
        "secure",
    );
    let file = stage.options.model.join("broken.toml");
    std::fs::write(&file, "name = \"x\"\nround = 3\n").unwrap();
    says(Config::read(&file).unwrap_err().to_string(), "broken.toml");
    let nothing = Options::default();
    let config = stage.config(vec![fedavg()]);
    let missing = sim::run(
        &config,
        &Options {
            model: "nowhere".into(),
            ..nothing
        },
        &mut |_| {},
    );
    assert!(matches!(missing, Err(SimError::File { .. })));
}
