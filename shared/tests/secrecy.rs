//! Nothing that leaves a client or that the aggregator stores has a plain update in it; and the
//! detector that says so does find one where a mask is left out or used twice.

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::ids::{ClientIndex, RoundId, SignatureBytes};
use choir_shared::leak::{self, Detector, Plain, encodings::Encoding};
use choir_shared::messages::Upload;
use choir_shared::policy::Policy;
use choir_shared::sim::{self, Close, Faults, Plan, Report, Step};
use choir_shared::wire::{self, limits};

const DIM: u32 = 300;
const VALUES: usize = 602;

fn values(seed: u64) -> Vec<f32> {
    let mut entropy = InsecureSeededEntropy::new(seed);
    (0..VALUES)
        .map(|_| (entropy.below(2_000_001) as f32 / 1e6 - 1.0) * 0.05)
        .collect()
}

fn plan(seed: u64, clients: u16, faults: Faults) -> Plan {
    let task = sim::head_task(clients, 3, DIM);
    let updates = (0..clients)
        .map(|client| (values(u64::from(client)), 40))
        .collect();
    Plan {
        seed,
        task,
        updates,
        policy: Policy::demo(),
        faults,
    }
}

fn run(plan: Plan) -> (Vec<Vec<f32>>, Report) {
    let values = plan
        .updates
        .iter()
        .map(|(values, _)| values.clone())
        .collect();
    (values, sim::run(plan).expect("the plan's task is sound"))
}

fn detector(values: &[Vec<f32>], report: &Report) -> Detector {
    let plain: Vec<Plain<'_>> = values
        .iter()
        .zip(&report.plain)
        .map(|(values, words)| Plain { words, values })
        .collect();
    Detector::new(&plain)
}

fn little_endian(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn vector(upload: &[u8]) -> Vec<u8> {
    let upload: Upload<'_> =
        wire::decode(upload, limits::upload(4 * (VALUES + 1))).expect("an upload decodes");
    upload.words.to_vec()
}

#[test]
fn no_plain_update_leaves_a_client_or_is_stored() {
    let close = |close| Faults {
        closes: vec![(1, close)],
        ..Faults::default()
    };
    let faulty = Faults {
        restart_permille: 300,
        duplicate_permille: 200,
        ..Faults::default()
    };
    for faults in [
        Faults::default(),
        faulty,
        close(Close::After(Step::Share)),
        close(Close::MidUpload),
        close(Close::After(Step::Upload)),
    ] {
        let (values, report) = run(plan(11, 5, faults));
        assert!(report.outcome.is_some());
        let detector = detector(&values, &report);
        assert!(report.sent.len() > 15 && report.masked_sums.len() >= 5);
        for (_, bytes) in &report.sent {
            assert_eq!(detector.find(bytes), [], "in what a client sent");
        }
        for state in &report.states {
            assert_eq!(detector.find(state), [], "in a stored state");
        }
        for sum in &report.masked_sums {
            assert_eq!(detector.find(&little_endian(sum)), [], "in a stored sum");
        }
    }
}

#[test]
fn a_vector_without_its_mask_is_found() {
    let (values, report) = run(plan(12, 4, Faults::default()));
    let detector = detector(&values, &report);
    let words = little_endian(&report.plain[2]);
    let upload = wire::encode(&Upload {
        round: RoundId([2; 16]),
        index: ClientIndex(2),
        signature: SignatureBytes([9; 64]),
        words: &words,
    });
    let leaks = detector.find(&upload);
    assert!(leaks.len() >= VALUES / 8 && leaks.iter().all(|leak| leak.client == 2));
}

#[test]
fn the_same_update_under_fresh_randomness_agrees_at_no_more_places_than_chance() {
    let (_, one) = run(plan(13, 4, Faults::default()));
    let (_, other) = run(plan(14, 4, Faults::default()));
    for (client, upload) in one.uploads() {
        let (one, other) = (vector(upload), vector(other.uploads()[&client]));
        assert!(!leak::agrees_beyond_chance(&one, &other));
    }
}

#[test]
fn a_mask_used_twice_is_noticed() {
    let (_, one) = run(plan(15, 4, Faults::default()));
    // The same seed: the same secrets, the same masks.
    let (_, other) = run(plan(15, 4, Faults::default()));
    for (client, upload) in one.uploads() {
        assert!(leak::agrees_beyond_chance(
            &vector(upload),
            &vector(other.uploads()[&client])
        ));
    }
    // Another update under the same mask agrees in most high bytes.
    let masked = vector(one.uploads()[&0]);
    let reused: Vec<u8> = masked
        .chunks_exact(4)
        .zip(one.plain[0].iter().zip(&one.plain[1]))
        .flat_map(|(word, (plain, another))| {
            let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            word.wrapping_sub(*plain)
                .wrapping_add(*another)
                .to_le_bytes()
        })
        .collect();
    assert!(leak::agrees_beyond_chance(&masked, &reused));
}

#[test]
fn every_encoding_of_an_update_is_found_between_random_bytes() {
    let (values, report) = run(plan(16, 3, Faults::default()));
    let detector = detector(&values, &report);
    let (words, values) = (&report.plain[0], &values[0]);
    let mut found: Vec<Encoding> = Vec::new();
    let mut embed = |bytes: &[u8]| {
        let haystack = [&report.sent[0].1[..], bytes, &report.sent[1].1[..]].concat();
        let leaks = detector.find(&haystack);
        assert!(!leaks.is_empty());
        found.extend(leaks.iter().map(|leak| leak.encoding));
    };
    let weight = *words.last().expect("a weight");
    let window = |start: usize| (&words[start..start + 16], &values[start..start + 16]);
    for start in [0, 3, 64, 77] {
        let (words, values) = window(start);
        leak::encodings::each(words, values, weight, |encoding, bytes| {
            // A window that does not start on a group of eight is packed on other bits.
            let packed = format!("{encoding:?}").contains("Packed");
            if !packed || start % 8 == 0 {
                embed(&bytes);
            }
        });
    }
    found.sort();
    found.dedup();
    assert!(found.len() >= 90, "{} encodings", found.len());
}

#[test]
fn halves_are_those_of_ieee_754() {
    for (value, half) in [
        (0.0, 0x0000),
        (-0.0, 0x8000),
        (1.0, 0x3c00),
        (-2.0, 0xc000),
        (65_504.0, 0x7bff),
        (65_520.0, 0x7c00),
        (0.1, 0x2e66),
        (6.103_515_6e-5, 0x0400),
        (5.960_464_5e-8, 0x0001),
        (2.980_232_2e-8, 0x0000),
        (3.1e-8, 0x0001),
        (f32::INFINITY, 0x7c00),
    ] {
        assert_eq!(leak::encodings::half(value), half, "{value}");
    }
}
