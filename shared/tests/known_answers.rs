//! Every value of a round against an independent implementation: `vectors/generate.py` makes the
//! files beside it, by `vectors/flsa1.py`. The same files are read through the wasm module, in
//! `wasm-client/tests/known_answers.test.mjs`.

use choir_shared::ids::{Bytes32, Digest};
use choir_shared::kat::{self, KatError, KatInput, KatOutput};
use choir_shared::secure_sum::{self, Bitmap, MaskKey, Parameters, Ring, Sign};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

macro_rules! vector {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("vectors/", $name, ".input.json")),
            include_str!(concat!("vectors/", $name, ".expected.json")),
        )
    };
}

/// A name, and the texts of its input and of its expected output.
const VECTORS: [(&str, &str, &str); 7] = [
    vector!("complete"),
    vector!("sparse_16"),
    vector!("sparse_24"),
    vector!("sparse_13"),
    vector!("wide_16"),
    vector!("wide_24"),
    vector!("searched_50"),
];

fn input(text: &str) -> KatInput {
    serde_json::from_str(text).expect("the input's format")
}

fn output(text: &str) -> KatOutput {
    kat::kat(&input(text)).expect("a round")
}

fn complete() -> KatInput {
    input(VECTORS[0].1)
}

/// SHA-256 of a value's compact JSON, which stands for a long list.
fn digest(value: &impl Serialize) -> Value {
    let text = serde_json::to_string(value).expect("JSON");
    Digest::of(text.as_bytes()).to_string().into()
}

#[test]
fn every_value_is_that_of_the_independent_implementation() {
    for (name, input, expected) in VECTORS {
        let output = output(input);
        let expected: Value = serde_json::from_str(expected).expect("JSON");
        let mut printed = serde_json::to_value(&output).expect("JSON");
        if expected["pairs"].is_string() {
            printed["pairs"] = digest(&output.pairs);
            printed["sum"] = digest(&output.sum);
            for (place, client) in output.clients.iter().enumerate() {
                let printed = &mut printed["clients"][place];
                printed["shares"] = digest(&client.shares);
                printed["boxes"] = digest(&client.boxes);
                printed["upload"] = digest(&client.upload);
                printed["masked_update"] = digest(&client.masked_update);
            }
        }
        // Value by value first, so that a failure says where.
        for (key, expected) in expected.as_object().expect("an object") {
            if key != "clients" {
                assert_eq!(&printed[key], expected, "{name}: {key}");
            }
        }
        let clients = expected["clients"].as_array().expect("clients").iter();
        for (place, expected) in clients.enumerate() {
            for (key, expected) in expected.as_object().expect("an object") {
                let printed = &printed["clients"][place][key];
                assert_eq!(printed, expected, "{name}: client {place}: {key}");
            }
        }
        assert_eq!(printed, expected, "{name}");
    }
}

#[test]
fn the_masked_vectors_of_the_survivors_open_to_their_sum() {
    for (name, given, _) in VECTORS {
        let (given, output) = (input(given), output(given));
        let ring = Ring::new(given.r).expect("a ring");
        let all: Vec<u16> = (0..output.n).collect();
        let set = |indices: &Option<Vec<u16>>| {
            let indices = indices.as_ref().unwrap_or(&all);
            Bitmap::from_fn(output.n, |index| indices.contains(&index))
        };
        let (shared, survivors) = (set(&given.shared), set(&given.survivors));
        let mut masked = vec![0u32; given.d as usize];
        for client in &output.clients {
            if survivors.contains(client.index) {
                let words = client.masked_update.as_ref().expect("an update was given");
                let upload = client.upload.as_ref().expect("an upload");
                assert_eq!(upload, &choir_shared::ids::to_hex(&ring.pack(words)));
                assert!(ring.add_packed(&mut masked, &ring.pack(words)));
                let key = MaskKey::new(Zeroizing::new(client.self_mask_key.0));
                secure_sum::add_mask(&mut masked, &key, Sign::Minus, ring);
            }
        }
        // Who shared and did not upload left pair masks in the sum.
        for pair in &output.pairs {
            for (survivor, lost) in [(pair.i, pair.j), (pair.j, pair.i)] {
                if survivors.contains(survivor)
                    && shared.contains(lost)
                    && !survivors.contains(lost)
                {
                    let key = MaskKey::new(Zeroizing::new(pair.key.0));
                    let sign = secure_sum::pair_sign(survivor, lost).flipped();
                    secure_sum::add_mask(&mut masked, &key, sign, ring);
                }
            }
        }
        masked.iter_mut().for_each(|word| *word &= ring.mask());
        assert_eq!(Some(masked), output.sum, "{name}");
    }
}

#[test]
fn any_threshold_of_opened_shares_gives_the_seeds_of_its_owner() {
    for (name, given, _) in VECTORS {
        let (given, output) = (input(given), output(given));
        for (client, secrets) in output.clients.iter().zip(&given.clients) {
            let shares = client.shares.iter().rev().take(usize::from(output.t));
            let points: Vec<_> = shares
                .map(|share| (share.x, scalar(&share.share_b), scalar(&share.share_s)))
                .collect();
            let of = |kind: fn(&Point) -> (u16, curve25519_dalek::Scalar)| {
                let points: Vec<_> = points.iter().map(kind).collect();
                secure_sum::reconstruct(&points).expect("distinct points")
            };
            assert_eq!(
                of(|point| (point.0, point.1)),
                scalar(&secrets.z_b),
                "{name}"
            );
            assert_eq!(
                of(|point| (point.0, point.2)),
                scalar(&secrets.z_s),
                "{name}"
            );
        }
    }
}

type Point = (u16, curve25519_dalek::Scalar, curve25519_dalek::Scalar);

fn scalar(bytes: &Bytes32) -> curve25519_dalek::Scalar {
    curve25519_dalek::Scalar::from_canonical_bytes(bytes.0).expect("canonical")
}

#[derive(Deserialize)]
struct Table {
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    n: u16,
    g: u16,
    drop: u16,
    parameters: Option<Expected>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Expected {
    m: u16,
    t: u16,
    q: u16,
    masks: u16,
}

#[test]
fn parameters_are_those_of_the_independent_search() {
    let table: Table =
        serde_json::from_str(include_str!("vectors/parameters.json")).expect("the table's format");
    assert!(table.rows.len() > 100);
    for Row {
        n,
        g,
        drop,
        parameters,
    } in table.rows
    {
        let found = Parameters::new(n, g, drop).map(|found| Expected {
            m: found.neighbours,
            t: found.threshold,
            q: found.quorum,
            masks: found.masks(),
        });
        assert_eq!(found, parameters, "n {n}, g {g}, drop {drop}");
    }
}

type Change = fn(&mut KatInput);

#[test]
fn input_that_makes_no_round_is_refused() {
    let refused = |change: Change| {
        let mut input = complete();
        change(&mut input);
        kat::kat(&input).err()
    };
    let coefficients = KatError::Coefficients {
        client: 2,
        expected: 2,
    };
    let cases: [(KatError, Change); 14] = [
        (KatError::Cohort, |input| input.clients.truncate(2)),
        (KatError::Cohort, |input| input.g = 1000),
        (KatError::Graph, |input| input.m = Some(5)),
        (KatError::Graph, |input| input.t = Some(0)),
        (KatError::Graph, |input| {
            (input.m, input.t) = (Some(2), Some(3))
        }),
        (KatError::Ring, |input| input.r = 33),
        (KatError::Scalar(1), |input| {
            input.clients[1].z_b = Bytes32([255; 32]);
        }),
        (coefficients, |input| {
            input.clients[2].coefficients_s.truncate(1);
        }),
        (KatError::Update(0), |input| input.d += 1),
        (KatError::Token(0), |input| {
            input.clients[1].token = Some("00".repeat(256));
        }),
        (KatError::Token(2), |input| {
            for client in &mut input.clients {
                client.token = Some("00".repeat(256));
            }
            input.clients[2].token = Some("00".repeat(255));
        }),
        (KatError::Keys, |input| {
            input.clients[0] = input.clients[1].clone();
        }),
        (KatError::Sets, |input| input.shared = Some(vec![5])),
        (KatError::Sets, |input| input.survivors = Some(vec![3])),
    ];
    for (error, change) in cases {
        assert_eq!(refused(change), Some(error));
    }
}

#[test]
fn an_out_list_is_needed_on_a_sparse_graph_and_must_be_others_in_order() {
    let with = |out_list: Option<Vec<u16>>| {
        let mut input = input(VECTORS[1].1);
        input.clients[3].out_list = out_list;
        kat::kat(&input).err()
    };
    let error = KatError::OutList {
        client: 3,
        expected: 4,
    };
    for list in [
        None,
        Some(vec![0, 1, 2]),
        Some(vec![0, 1, 2, 3]),
        Some(vec![0, 1, 2, 2]),
        Some(vec![0, 2, 1, 4]),
        Some(vec![0, 1, 2, 7]),
    ] {
        assert_eq!(with(list), Some(error));
    }
    assert_eq!(with(Some(vec![0, 1, 2, 6])), None);
    assert!(error.to_string().contains("out_list of 4"));
}
