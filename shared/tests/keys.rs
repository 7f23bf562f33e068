//! Which public keys a roster may have.

use std::collections::BTreeSet;

use choir_shared::ids::PublicKey;
use choir_shared::secure_sum::{
    self, LOW_ORDER_X25519, RosterEntry, canonical_x25519, sound_x25519,
};
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::CompressedEdwardsY;
use proptest::prelude::*;

/// p = 2^255 - 19 plus `offset`, little-endian.
fn prime_plus(offset: i16) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    bytes[31] = 0x7f;
    let low = 0xed + offset;
    bytes[0] = low.to_le_bytes()[0];
    if !(0..=0xff).contains(&low) {
        assert!(low < 0, "p plus 18 ends at 2^255 - 1");
        bytes[1] = 0xfe;
    }
    bytes
}

/// The check that costs a scalar multiplication.
fn agrees_on_something(key: &PublicKey) -> bool {
    canonical_x25519(key) && secure_sum::agree(&[1; 32], key).is_some()
}

/// Three keys of which nothing is wrong.
fn honest() -> RosterEntry {
    RosterEntry {
        signing_key: PublicKey(ED25519_BASEPOINT_POINT.compress().to_bytes()),
        channel_key: secure_sum::x25519_public(&[2; 32]),
        mask_key: secure_sum::x25519_public(&[3; 32]),
    }
}

#[test]
fn every_listed_point_gives_no_secret_with_any_scalar() {
    for bytes in LOW_ORDER_X25519 {
        let key = PublicKey(bytes);
        for scalar in 0..=255u8 {
            assert!(secure_sum::agree(&[scalar; 32], &key).is_none());
        }
        assert!(!sound_x25519(&key));
        let with_the_bit = PublicKey(core::array::from_fn(|place| {
            bytes[place] | if place == 31 { 0x80 } else { 0 }
        }));
        assert!(!sound_x25519(&with_the_bit));
    }
}

#[test]
fn the_list_is_the_torsion_of_the_curve_and_of_its_twist() {
    let curve = EIGHT_TORSION.map(|point| point.to_montgomery().to_bytes());
    // The twist's torsion of order 4: u(2P) = (u^2 - 1)^2 / (4 v^2) is 0 for u = 1 and u = -1 only.
    let expected: BTreeSet<_> = curve
        .into_iter()
        .chain([prime_plus(-1), prime_plus(0), prime_plus(1)])
        .collect();
    assert_eq!(BTreeSet::from(LOW_ORDER_X25519), expected);
}

#[test]
fn the_list_refuses_what_a_scalar_multiplication_refuses_at_every_special_value() {
    let small = (0..=255u8).map(|low| {
        let mut bytes = [0; 32];
        bytes[0] = low;
        bytes
    });
    let near_the_prime = (-300..=18).map(prime_plus);
    let beside_the_list = LOW_ORDER_X25519.into_iter().flat_map(|bytes| {
        (0..256).map(move |bit| {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        })
    });
    let mut refused = 0;
    for bytes in small.chain(near_the_prime).chain(beside_the_list) {
        for high in [0, 0x80] {
            let mut bytes = bytes;
            bytes[31] ^= high;
            let key = PublicKey(bytes);
            assert_eq!(sound_x25519(&key), agrees_on_something(&key), "{key}");
            refused += usize::from(!sound_x25519(&key));
        }
    }
    assert!(refused > 256, "the special values were not among these");
}

#[test]
fn a_key_of_the_prime_and_more_is_not_canonical() {
    assert!(!canonical_x25519(&PublicKey(prime_plus(0))));
    assert!(!canonical_x25519(&PublicKey(prime_plus(18))));
    assert!(!canonical_x25519(&PublicKey([0xff; 32])));
    assert!(canonical_x25519(&PublicKey(prime_plus(-1))));
}

#[test]
fn a_roster_with_an_unsound_x25519_key_is_refused() {
    assert!(secure_sum::check_keys(&[honest()]));
    for bytes in LOW_ORDER_X25519.into_iter().chain([[0xff; 32]]) {
        let bad = PublicKey(bytes);
        let channel = RosterEntry {
            channel_key: bad,
            ..honest()
        };
        let mask = RosterEntry {
            mask_key: bad,
            ..honest()
        };
        assert!(!secure_sum::check_keys(&[channel]));
        assert!(!secure_sum::check_keys(&[mask]));
    }
}

#[test]
fn a_roster_with_an_unsound_ed25519_key_is_refused() {
    let torsion = EIGHT_TORSION.map(|point| point.compress().to_bytes());
    // y = p + 1 reads as y = 1, and y = p as y = 0: not canonical, and of small order too.
    let others = [prime_plus(0), prime_plus(1), [2; 32]];
    for bytes in torsion.into_iter().chain(others) {
        let signing_key = PublicKey(bytes);
        let entry = RosterEntry {
            signing_key,
            ..honest()
        };
        assert!(!secure_sum::check_keys(&[entry]), "{signing_key}");
    }
}

#[test]
fn a_non_canonical_ed25519_key_of_large_order_is_refused() {
    // y = p + 2 and up are read as y = 2 and up; about half of those are on the curve.
    let (mut found, mut canonical) = (0, 0);
    for low in 2..=18 {
        let twin = PublicKey(prime_plus(low));
        let Some(point) = CompressedEdwardsY(twin.0).decompress() else {
            continue;
        };
        assert!(!point.is_small_order());
        found += 1;
        let entry = |signing_key| RosterEntry {
            signing_key,
            ..honest()
        };
        assert!(!secure_sum::check_keys(&[entry(twin)]));
        let reduced = PublicKey(point.compress().to_bytes());
        canonical += usize::from(secure_sum::check_keys(&[entry(reduced)]));
    }
    assert!(found > 0 && found == canonical);
}

#[test]
fn a_roster_with_a_key_twice_is_refused() {
    let twice_in_one = RosterEntry {
        mask_key: honest().channel_key,
        ..honest()
    };
    assert!(!secure_sum::check_keys(&[twice_in_one]));
    let other = RosterEntry {
        signing_key: PublicKey(
            (ED25519_BASEPOINT_POINT + ED25519_BASEPOINT_POINT)
                .compress()
                .to_bytes(),
        ),
        channel_key: secure_sum::x25519_public(&[4; 32]),
        mask_key: secure_sum::x25519_public(&[5; 32]),
    };
    assert!(secure_sum::check_keys(&[honest(), other]));
    let borrowed = RosterEntry {
        channel_key: honest().mask_key,
        ..other
    };
    assert!(!secure_sum::check_keys(&[honest(), borrowed]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_list_refuses_what_a_scalar_multiplication_refuses(bytes: [u8; 32]) {
        let key = PublicKey(bytes);
        prop_assert_eq!(sound_x25519(&key), agrees_on_something(&key));
    }
}
