//! The bytes of every message of a round: the table of docs/protocol.md.

use choir_shared::ids::{ClientIndex, Digest, PublicKey, RoundId, SignatureBytes, TaskId, Version};
use choir_shared::messages::{AggregatorMessage, ClientMessage, Receipt, Upload};
use choir_shared::secure_sum::{Header, PROTOCOL_VERSION, Parameters, Ring, SUITE};
use choir_shared::task::{Dp, Quantiser};
use choir_shared::wire;

const ROUND: RoundId = RoundId([2; 16]);
const SIGNATURE: SignatureBytes = SignatureBytes([7; 64]);
/// The vector's own size is not in the table.
const COORDINATES: u32 = 100_000;

/// The settings that the table names: weights of 1, no noise, 10 % corrupt, 30 % lost.
fn header(parameters: &Parameters) -> Vec<u8> {
    Header {
        ver: PROTOCOL_VERSION,
        suite: SUITE,
        task_id: TaskId([1; 16]),
        round_id: ROUND,
        model_digest: Digest([3; 32]),
        d: COORDINATES,
        r: 24,
        quantiser: Quantiser {
            levels: 16_383,
            bound: 0.25,
            weight_max: 1,
        },
        dp: Dp {
            noise_multiplier: 0.0,
            clip: 0.0,
            honest: 0,
        },
        n_floor: parameters.clients.min(50),
        g: 100,
        m: parameters.neighbours,
        t: parameters.threshold,
        q: parameters.quorum,
    }
    .to_bytes()
}

/// Indices evenly over the roster, as many as there are neighbours.
fn spread(parameters: &Parameters) -> Vec<ClientIndex> {
    let (n, m) = (
        u32::from(parameters.clients),
        u32::from(parameters.neighbours),
    );
    (0..m)
        .map(|place| ClientIndex((place * n / m) as u16))
        .collect()
}

/// The name and the bytes of each message, to and from one client: everybody stays, and as many chose
/// it as it chose.
fn sizes(clients: u16) -> Vec<(&'static str, usize)> {
    let parameters = Parameters::new(clients, 100, 300).expect("parameters");
    let (n, m) = (usize::from(clients), usize::from(parameters.neighbours));
    let bitmap = vec![0xff; n.div_ceil(8)];
    let last = ClientIndex(clients - 1);
    let from_client = |message: ClientMessage| wire::encode(&message).len();
    let to_client = |message: AggregatorMessage| wire::encode(&message).len();
    vec![
        (
            "JOIN",
            from_client(ClientMessage::Join {
                round: ROUND,
                version: Version(1),
                signing_key: PublicKey([4; 32]),
                channel_key: PublicKey([5; 32]),
                mask_key: PublicKey([6; 32]),
                model_digest: Digest([3; 32]),
                token: Vec::new(),
            }),
        ),
        (
            "ROSTER",
            to_client(AggregatorMessage::Roster {
                header: header(&parameters),
                roster: vec![0; n * 96],
            }),
        ),
        (
            "SHARE",
            from_client(ClientMessage::Share {
                round: ROUND,
                out_list: spread(&parameters),
                commitment_b: Digest([8; 32]),
                commitment_s: Digest([9; 32]),
                boxes: vec![0; m * 80],
            }),
        ),
        (
            "DELIVER",
            to_client(AggregatorMessage::Deliver {
                shared: bitmap.clone(),
                senders: spread(&parameters),
                boxes: vec![0; m * 80],
            }),
        ),
        (
            "UPLOAD",
            // Beside the vector.
            wire::encode(&Upload {
                round: ROUND,
                index: last,
                signature: SIGNATURE,
                words: &vec![0; packed()],
            })
            .len()
                - packed(),
        ),
        (
            "SURVIVORS",
            to_client(AggregatorMessage::Survivors {
                survivors: bitmap.clone(),
            }),
        ),
        (
            "ACK",
            from_client(ClientMessage::Ack {
                round: ROUND,
                index: last,
                signature: SIGNATURE,
            }),
        ),
        (
            "ACKS",
            to_client(AggregatorMessage::Acks {
                signers: bitmap,
                signatures: vec![0; n * 64],
            }),
        ),
        (
            "OPEN",
            from_client(ClientMessage::Open {
                round: ROUND,
                shares: vec![0; m * 32],
            }),
        ),
        (
            "DONE",
            to_client(AggregatorMessage::Done {
                receipt: Receipt {
                    round: ROUND,
                    version: Version(2),
                    sum: Digest([5; 32]),
                    total_weight: u32::from(clients),
                    clients,
                    survivors: clients,
                },
            }),
        ),
    ]
}

fn packed() -> usize {
    Ring::new(24)
        .expect("a ring")
        .packed_len(COORDINATES as usize)
}

#[test]
fn every_message_has_the_bytes_that_the_specification_says() {
    for (clients, expected) in [
        (10, [148, 1_056, 814, 737, 85, 5, 83, 647, 308, 54]),
        (100, [148, 9_696, 2_515, 2_449, 85, 16, 83, 6_418, 980, 54]),
        (
            1000,
            [148, 96_098, 6_143, 6_189, 86, 128, 84, 64_131, 2_388, 57],
        ),
    ] {
        let sizes = sizes(clients);
        let found: Vec<usize> = sizes.iter().map(|(_, bytes)| *bytes).collect();
        assert_eq!(found, expected, "{clients} clients: {sizes:?}");
    }
}
