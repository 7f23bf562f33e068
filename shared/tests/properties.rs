//! What holds for every round, every secret and every byte.

use choir_shared::control::{CreateTask, RoundStatus, SiteStatus, TaskStatus};
use choir_shared::entropy::{Entropy, InsecureSeededEntropy};
use choir_shared::fixed_point;
use choir_shared::ids::{Bytes32, Digest, RoundId, TaskId};
use choir_shared::kat::{self, KatInput, KatSecrets};
use choir_shared::messages::{AggregatorMessage, ClientMessage, Upload};
use choir_shared::policy::Policy;
use choir_shared::round::aggregator::Part;
use choir_shared::round::{PhaseName, Round};
use choir_shared::secure_sum::{self, MaskKey, Parameters, Ring, Sign};
use choir_shared::sim::{self, ClientEnd, Close, Faults, Plan, Step};
use choir_shared::task::{Dp, Quantiser};
use choir_shared::wire;
use curve25519_dalek::Scalar;
use proptest::prelude::*;
use zeroize::Zeroizing;

#[path = "support/table.rs"]
mod table;

use table::{Out, Table};

fn close() -> impl Strategy<Value = Close> {
    let step = prop::sample::select(vec![
        Step::Join,
        Step::Share,
        Step::Upload,
        Step::Ack,
        Step::Open,
    ]);
    prop_oneof![
        step.clone().prop_map(Close::Before),
        step.prop_map(Close::After),
        Just(Close::MidUpload),
    ]
}

fn faults(clients: usize) -> impl Strategy<Value = Faults> {
    let closes = prop::collection::vec((0..clients, close()), 0..=clients / 2);
    (closes, 0..200u64, 0..80u64, 0..300u64, 0..400u64).prop_map(
        |(closes, duplicate_permille, break_permille, restart_permille, max_delay_ms)| Faults {
            closes,
            duplicate_permille,
            break_permille,
            restart_permille,
            max_delay_ms,
            ..Faults::default()
        },
    )
}

fn plan() -> impl Strategy<Value = Plan> {
    (3..=10u16, any::<u64>())
        .prop_flat_map(|(clients, seed)| (Just(clients), Just(seed), faults(usize::from(clients))))
        .prop_map(|(clients, seed, faults)| {
            let mut entropy = InsecureSeededEntropy::new(seed);
            let mut update = || {
                let value = |_| entropy.below(2_400) as f32 / 1_000.0 - 1.2;
                let values: Vec<f32> = (0..10).map(value).collect();
                (values, 1 + entropy.below(1_000) as u32)
            };
            let updates = (0..clients).map(|_| update()).collect();
            let task = sim::head_task(clients, 3, 4);
            Plan {
                seed,
                task,
                updates,
                policy: Policy::demo(),
                faults,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn a_round_publishes_the_plain_sum_of_its_survivors_or_aborts(plan in plan()) {
        let task = plan.task.clone();
        let report = sim::run(plan).expect("a sound task");
        match &report.outcome {
            Some(outcome) => {
                prop_assert!(report.abort.is_none());
                let plain = report.plain_sum(&outcome.survivors);
                prop_assert_eq!(&outcome.sum, &plain);
                let mean = fixed_point::mean(&plain, &task);
                prop_assert_eq!(Some(&outcome.mean), mean.as_ref());
                prop_assert!(usize::from(outcome.clients) == report.roster.len());
            }
            // A lobby that never filled is the only end without a result or an abort.
            None => prop_assert!(report.abort.is_some() || report.roster.is_empty()),
        }
        // Nobody is left waiting but in a lobby.
        for end in &report.clients {
            let waits = matches!(end, ClientEnd::Waiting(phase) if *phase != PhaseName::Enroll);
            prop_assert!(!waits, "{end:?}");
        }
    }
}

fn scalar(bytes: [u8; 32]) -> Scalar {
    Scalar::from_bytes_mod_order(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_threshold_of_shares_gives_the_secret_and_one_less_fits_every_secret(
        secret: [u8; 32],
        claimed: [u8; 32],
        seed: u64,
        clients in 3..=49u16,
    ) {
        let mut entropy = InsecureSeededEntropy::new(seed);
        let parameters = Parameters::new(clients, 100, 300).expect("a cohort");
        let coefficients: Vec<Scalar> = (1..parameters.threshold)
            .map(|_| { let mut wide = [0; 64]; entropy.fill(&mut wide); secure_sum::scalar_from_wide(&wide) })
            .collect();
        let (secret, claimed) = (scalar(secret), scalar(claimed));
        let shares = secure_sum::split(&secret, &coefficients, parameters.neighbours);
        let mut points: Vec<u16> = (1..=parameters.neighbours).collect();
        for at in (1..points.len()).rev() {
            points.swap(at, entropy.below(at as u64 + 1) as usize);
        }
        points.truncate(usize::from(parameters.threshold));
        let mut chosen: Vec<(u16, Scalar)> =
            points.iter().map(|&point| (point, shares[usize::from(point) - 1])).collect();
        prop_assert_eq!(secure_sum::reconstruct(&chosen), Ok(secret));
        // The last share can be chosen so that the others belong to any secret whatever.
        let last = chosen.len() - 1;
        chosen[last].1 = Scalar::ZERO;
        let at_zero = secure_sum::reconstruct(&chosen).expect("distinct points");
        chosen[last].1 = Scalar::ONE;
        let at_one = secure_sum::reconstruct(&chosen).expect("distinct points");
        prop_assert_ne!(at_zero, at_one);
        chosen[last].1 = (claimed - at_zero) * (at_one - at_zero).invert();
        prop_assert_eq!(secure_sum::reconstruct(&chosen), Ok(claimed));
    }

    #[test]
    fn pair_masks_sum_to_zero_when_nobody_drops(seed: u64, clients in 3..=9u16, d in 1..20u32) {
        let output = kat::kat(&kat_input(seed, clients, d)).expect("a round");
        let mut sum = vec![0u32; d as usize];
        for client in &output.clients {
            let words = client.masked_update.as_ref().expect("an update was given");
            sum.iter_mut().zip(words).for_each(|(total, word)| *total = total.wrapping_add(*word));
            let key = MaskKey::new(Zeroizing::new(client.self_mask_key.0));
            secure_sum::add_mask(&mut sum, &key, Sign::Minus, Ring::FULL);
        }
        prop_assert_eq!(Some(sum), output.sum);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let versioned = [&[wire::WIRE_VERSION][..], &bytes].concat();
        for bytes in [&bytes, &versioned] {
            let _ = wire::decode::<ClientMessage>(bytes, 500);
            let _ = wire::decode::<AggregatorMessage>(bytes, 500);
            let _ = wire::decode::<Upload<'_>>(bytes, 500);
            let _ = wire::decode::<TaskStatus>(bytes, 500);
            let _ = wire::decode::<CreateTask>(bytes, 500);
            let _ = wire::decode::<RoundStatus>(bytes, 500);
            let _ = wire::decode::<SiteStatus>(bytes, 500);
            for part in [Part::Setup, Part::Head, Part::Roster, Part::Shared(0), Part::Sum] {
                let _ = Round::from_parts([(part, bytes)]);
            }
        }
    }

    #[test]
    fn a_changed_byte_never_panics_and_never_makes_a_wrong_sum(
        place: prop::sample::Index,
        flip in 1..=255u8,
        phase in prop::sample::select(vec![
            PhaseName::Enroll, PhaseName::ShareKeys, PhaseName::Collect, PhaseName::Confirm, PhaseName::Unmask,
        ]),
    ) {
        let (mut table, mut pending) = Table::at(phase, 4);
        let (Out::Socket(bytes) | Out::Upload(bytes)) = &mut pending[1].1;
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        for _ in 0..6 {
            for (client, out) in &pending {
                let before = table.round.clone();
                if table.give(*client, out).is_err() {
                    prop_assert!(table.round == before);
                }
            }
            if let Some(deadline) = table.round.deadline() {
                table.now = deadline;
                table.event(choir_shared::round::Event::Tick);
            }
            pending = table.answers();
        }
        if let Some(outcome) = &table.outcome {
            let sum = table.plain_sum(&outcome.survivors);
            prop_assert_eq!(&outcome.sum, &sum);
        }
    }
}

fn kat_input(seed: u64, clients: u16, d: u32) -> KatInput {
    let mut entropy = InsecureSeededEntropy::new(seed);
    let mut raw = || {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        bytes
    };
    let parameters = Parameters::new(clients, 100, 300).expect("a cohort");
    let mut client = || {
        let mut scalars = |count: u16| -> Vec<Bytes32> {
            (0..count)
                .map(|_| Bytes32(scalar(raw()).to_bytes()))
                .collect()
        };
        let coefficients_b = scalars(parameters.threshold - 1);
        let coefficients_s = scalars(parameters.threshold - 1);
        let seeds = scalars(2);
        KatSecrets {
            signing_secret: Bytes32(raw()),
            channel_secret: Bytes32(raw()),
            z_b: seeds[0],
            z_s: seeds[1],
            coefficients_b,
            coefficients_s,
            out_list: None,
            token: None,
            update: Some((0..d).map(|at| at * 1_000 + 1).collect()),
        }
    };
    KatInput {
        clients: (0..clients).map(|_| client()).collect(),
        task_id: TaskId([1; 16]),
        round_id: RoundId([2; 16]),
        model_digest: Digest([3; 32]),
        d,
        r: 32,
        quantiser: Quantiser {
            levels: 65_535,
            bound: 1.0,
            weight_max: 512,
        },
        dp: Dp {
            noise_multiplier: 0.0,
            clip: 0.0,
            honest: 0,
        },
        n_floor: 3,
        g: 100,
        drop: 300,
        m: None,
        t: None,
        shared: None,
        survivors: None,
    }
}
