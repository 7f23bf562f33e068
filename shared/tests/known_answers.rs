//! Every value of a round against an independent implementation: `vectors/flsa1.py` makes
//! `vectors/kat_expected.json` of `vectors/kat_input.json`.

use choir_shared::ids::Bytes32;
use choir_shared::kat::{self, KatError, KatInput, KatOutput};
use choir_shared::secure_sum::{self, MaskKey, Ring, Sign};
use zeroize::Zeroizing;

fn input() -> KatInput {
    serde_json::from_str(include_str!("vectors/kat_input.json")).expect("the input's format")
}

#[test]
fn every_value_is_that_of_the_independent_implementation() {
    let expected: KatOutput = serde_json::from_str(include_str!("vectors/kat_expected.json"))
        .expect("the output's format");
    let output = kat::kat(&input()).expect("a round");
    // One by one first, so that a failure says where.
    assert_eq!(output.header, expected.header);
    assert_eq!(output.roster, expected.roster);
    assert_eq!(output.ctx, expected.ctx);
    assert_eq!(output.pairs, expected.pairs);
    for (client, expected) in output.clients.iter().zip(&expected.clients) {
        assert_eq!(client, expected);
    }
    assert_eq!(output, expected);
}

#[test]
fn the_printed_json_has_the_same_keys_and_values() {
    let output = kat::kat(&input()).expect("a round");
    let printed = serde_json::to_value(&output).expect("JSON");
    let expected: serde_json::Value =
        serde_json::from_str(include_str!("vectors/kat_expected.json")).expect("JSON");
    assert_eq!(printed, expected);
}

#[test]
fn the_masked_vectors_of_the_survivors_open_to_their_sum() {
    let output = kat::kat(&input()).expect("a round");
    let sum = output.sum.clone().expect("updates were given");
    let mut masked = vec![0u32; sum.len()];
    let survivors = [0, 2, 4];
    for index in survivors {
        let client = &output.clients[index];
        let words = client.masked_update.as_ref().expect("an update was given");
        masked
            .iter_mut()
            .zip(words)
            .for_each(|(total, word)| *total = total.wrapping_add(*word));
        let key = MaskKey::new(Zeroizing::new(client.self_mask_key.0));
        secure_sum::add_mask(&mut masked, &key, Sign::Minus, Ring::FULL);
    }
    // Client 1 shared and did not upload: its pair masks are still in the sum.
    for pair in output
        .pairs
        .iter()
        .filter(|pair| pair.i == 1 || pair.j == 1)
    {
        let survivor = if pair.i == 1 { pair.j } else { pair.i };
        if survivors.contains(&usize::from(survivor)) {
            let key = MaskKey::new(Zeroizing::new(pair.key.0));
            secure_sum::add_mask(
                &mut masked,
                &key,
                secure_sum::pair_sign(survivor, 1).flipped(),
                Ring::FULL,
            );
        }
    }
    assert_eq!(masked, sum);
}

#[test]
fn input_that_makes_no_round_is_refused() {
    let refused = |change: fn(&mut KatInput)| {
        let mut input = input();
        change(&mut input);
        kat::kat(&input).err()
    };
    let coefficients = KatError::Coefficients {
        client: 2,
        expected: 2,
    };
    assert_eq!(
        refused(|input| input.clients.truncate(2)),
        Some(KatError::Cohort)
    );
    assert_eq!(refused(|input| input.g = 1000), Some(KatError::Cohort));
    assert_eq!(
        refused(|input| input.clients[1].z_b = Bytes32([255; 32])),
        Some(KatError::Scalar(1))
    );
    assert_eq!(
        refused(|input| input.clients[2].coefficients_s.truncate(1)),
        Some(coefficients)
    );
    assert_eq!(refused(|input| input.d += 1), Some(KatError::Update(0)));
    assert_eq!(
        refused(|input| input.clients[0] = input.clients[1].clone()),
        Some(KatError::Keys)
    );
    assert_eq!(
        refused(|input| input.shared = Some(vec![5])),
        Some(KatError::Sets)
    );
    assert_eq!(
        refused(|input| input.survivors = Some(vec![3])),
        Some(KatError::Sets)
    );
}
