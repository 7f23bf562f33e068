//! Single values: keys, sets, packed words, shares, headers, known answers.

use choir_shared::entropy::{Entropy, InsecureSeededEntropy};
use choir_shared::ids::{Bytes32, Digest, RoundId, TaskId};
use choir_shared::kat::{KatInput, KatSecrets};
use choir_shared::messages::AggregatorMessage;
use choir_shared::secure_sum::{Header, Parameters, Ring, x25519_public};
use choir_shared::sim;
use choir_shared::task::TaskConfig;
use choir_shared::wire;

use crate::scene::Scene;

pub(crate) fn header() -> Vec<Vec<u8>> {
    let header = |task: &TaskConfig| {
        let setup = sim::round_setup(task);
        let parameters = Parameters::new(task.cohort.cohort_size, 100, 300).expect("a cohort");
        Header::new(
            task,
            setup.task_id,
            setup.round_id,
            Digest([1; 32]),
            &parameters,
        )
        .expect("a sound task")
    };
    [sim::head_task(5, 3, 2), sim::head_task(40, 10, 2)]
        .iter()
        .map(|task| wire::encode(&header(task)))
        .collect()
}

pub(crate) fn kat_json() -> Vec<Vec<u8>> {
    let mut entropy = InsecureSeededEntropy::new(5);
    let mut scalar = || {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes[..31]);
        Bytes32(bytes)
    };
    let clients = 0..3;
    let mut secrets = |update| KatSecrets {
        signing_secret: scalar(),
        channel_secret: scalar(),
        z_b: scalar(),
        z_s: scalar(),
        coefficients_b: [scalar()].into(),
        coefficients_s: [scalar()].into(),
        out_list: None,
        token: None,
        update,
    };
    let task = sim::head_task(3, 3, 1);
    let mut input = KatInput {
        task_id: TaskId([1; 16]),
        round_id: RoundId([2; 16]),
        model_digest: Digest([3; 32]),
        d: 2,
        r: 24,
        quantiser: task.quantiser,
        dp: task.dp,
        n_floor: 3,
        g: 0,
        drop: 300,
        m: None,
        t: None,
        clients: clients.map(|at| secrets(Some([at, 1].into()))).collect(),
        shared: None,
        survivors: None,
    };
    let whole = serde_json::to_vec(&input).expect("own types print");
    input.survivors = Some([0, 2].into());
    input.shared = Some([0, 1, 2].into());
    vec![whole, serde_json::to_vec(&input).expect("own types print")]
}

pub(crate) fn roster() -> Vec<Vec<u8>> {
    let mut scene = Scene::new(5);
    scene.finish();
    let rosters = scene.said.iter().filter_map(|message| match message {
        AggregatorMessage::Roster { roster, .. } => Some(roster.clone()),
        _ => None,
    });
    rosters.take(1).collect()
}

pub(crate) fn bitmap() -> Vec<Vec<u8>> {
    vec![
        [3, 0, 0b101].into(),
        [9, 0, 0xff, 1].into(),
        [0, 0].into(),
        [[100, 0].as_slice(), &[0x0f; 13]].concat(),
    ]
}

pub(crate) fn ring() -> Vec<Vec<u8>> {
    [1, 7, 16, 24, 32]
        .map(|bits| {
            let ring = Ring::new(bits).expect("a width");
            let packed = ring.pack(&[1, 2, 0xffff_fffe, 0x1234_5678, 5]);
            [&[bits, 5], packed.as_slice()].concat()
        })
        .into()
}

pub(crate) fn expansion() -> Vec<Vec<u8>> {
    let mask = |byte| [&[byte % 2], [byte; 32].as_slice()].concat();
    vec![[&[24], mask(1).as_slice(), &mask(2)].concat(), [16].into()]
}

pub(crate) fn adapter() -> Vec<Vec<u8>> {
    let values = [0.0, -1.5, f32::INFINITY];
    vec![
        choir_shared::fixed_point::adapter_bytes(&values),
        Vec::new(),
    ]
}

pub(crate) fn hex() -> Vec<Vec<u8>> {
    vec![
        b"0123456789abcdefABCDEF0123456789".into(),
        [b'7'; 64].into(),
        [b'f'; 128].into(),
    ]
}

pub(crate) fn keys() -> Vec<Vec<u8>> {
    // RFC 8032, section 7.1, tests 1 and 2.
    let vectors = [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            "",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            "r",
        ),
    ];
    let bytes = |text: &str| -> Vec<u8> {
        let digits = text.as_bytes().chunks(2);
        let byte = |pair| {
            core::str::from_utf8(pair)
                .ok()
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        };
        digits.filter_map(byte).collect()
    };
    let mut seeds: Vec<Vec<u8>> = vectors
        .iter()
        .map(|(key, signature, message)| {
            [bytes(key), bytes(signature), message.as_bytes().to_vec()].concat()
        })
        .collect();
    seeds.push(x25519_public(&[1; 32]).0.into());
    seeds
}

pub(crate) fn shares() -> Vec<Vec<u8>> {
    let start = [&[2], [9; 32].as_slice(), &[1; 4], &[2; 4]].concat();
    [
        &[1, 2, 3][..],
        &[5, 3, 1, 2],
        &[1, 2],
        &[0, 1, 2],
        &[1, 1, 2],
    ]
    .map(|points| [start.as_slice(), points].concat())
    .into()
}

pub(crate) fn sealed_box() -> Vec<Vec<u8>> {
    let start = [b"ctx!".as_slice(), &[4; 64]].concat();
    [[3, 0, 1, 0, 1], [0, 0, 0, 0, 1], [9, 0, 7, 1, 0]]
        .map(|end| [start.as_slice(), &end].concat())
        .into()
}
