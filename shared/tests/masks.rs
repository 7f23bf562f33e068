//! Masks and packing by their public functions: RFC 8439's own streams, parts of a vector against
//! the whole, and every ring's bytes there and back.

use choir_shared::secure_sum::{MaskKey, Ring, Sign, add_mask, add_mask_from, mask_words};
use zeroize::Zeroizing;

fn key(bytes: [u8; 32]) -> MaskKey {
    MaskKey::new(Zeroizing::new(bytes))
}

fn ring(bits: u8) -> Ring {
    Ring::new(bits).expect("1 to 32 bits")
}

/// Words that use every bit.
fn words(count: usize) -> Vec<u32> {
    (1..=count as u32)
        .map(|at| at.wrapping_mul(0x9e37_79b9) ^ at >> 3)
        .collect()
}

fn hex(words: &[u32]) -> String {
    words
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn the_streams_of_rfc_8439_a_1() {
    let first = mask_words(&key([0; 32]), 32, Ring::FULL);
    assert_eq!(
        hex(&first),
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
         da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586\
         9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
         29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
    );
    let mut last = [0; 32];
    last[31] = 1;
    let mut third = [0; 16];
    add_mask_from(&mut third, &key(last), Sign::Plus, Ring::FULL, 16);
    assert_eq!(
        hex(&third),
        "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a\
         8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0"
    );
}

#[test]
fn up_to_sixteen_bits_a_word_masks_two_coordinates_low_half_first() {
    let whole = mask_words(&key([7; 32]), 500, Ring::FULL);
    for bits in [1, 8, 15, 16] {
        let expected: Vec<u32> = whole
            .iter()
            .flat_map(|word| [word & 0xffff, word >> 16])
            .map(|half| half & ring(bits).mask())
            .collect();
        assert_eq!(mask_words(&key([7; 32]), 1000, ring(bits)), expected);
        assert_eq!(mask_words(&key([7; 32]), 999, ring(bits)), expected[..999]);
    }
    assert_eq!(
        mask_words(&key([7; 32]), 500, ring(17)),
        whole.iter().map(|word| word & 0x1_ffff).collect::<Vec<_>>()
    );
}

#[test]
fn parts_of_a_vector_get_the_mask_of_the_whole() {
    for bits in [16, 24] {
        let mut whole = words(3001);
        add_mask(&mut whole, &key([3; 32]), Sign::Minus, ring(bits));
        for cut in (0..700).chain([1023, 1024, 1025, 2047, 2048, 2999, 3000, 3001]) {
            let mut parts = words(3001);
            let (low, high) = parts.split_at_mut(cut);
            add_mask_from(high, &key([3; 32]), Sign::Minus, ring(bits), cut);
            add_mask_from(low, &key([3; 32]), Sign::Minus, ring(bits), 0);
            assert!(parts == whole, "cut at {cut} in {bits} bits");
        }
    }
}

#[test]
fn what_is_added_can_be_subtracted() {
    for bits in [12, 32] {
        let mut vector = words(777);
        add_mask_from(&mut vector, &key([5; 32]), Sign::Plus, ring(bits), 41);
        assert_ne!(vector, words(777));
        add_mask_from(
            &mut vector,
            &key([5; 32]),
            Sign::Plus.flipped(),
            ring(bits),
            41,
        );
        assert_eq!(vector, words(777));
    }
}

/// Bit by bit, as the format is described.
fn packed_by_bits(words: &[u32], bits: u8) -> Vec<u8> {
    let r = usize::from(bits);
    let mut bytes = vec![0; (words.len() * r).div_ceil(8)];
    for (at, word) in words.iter().enumerate() {
        for bit in (0..r).filter(|bit| word >> bit & 1 == 1) {
            bytes[(at * r + bit) / 8] |= 1 << ((at * r + bit) % 8);
        }
    }
    bytes
}

#[test]
fn every_ring_packs_its_low_bits_and_unpacks_them() {
    for bits in 1..=32 {
        for count in (0..50).chain([255, 1000, 1001]) {
            let given = words(count);
            let cut: Vec<u32> = given.iter().map(|word| word & ring(bits).mask()).collect();
            let bytes = ring(bits).pack(&given);
            assert_eq!(
                bytes,
                packed_by_bits(&given, bits),
                "{count} words of {bits} bits"
            );
            assert_eq!(ring(bits).unpack(&bytes, count), Some(cut.clone()));
            let mut sum = given.clone();
            assert!(ring(bits).add_packed(&mut sum, &bytes));
            let expected: Vec<u32> = given
                .iter()
                .zip(&cut)
                .map(|(one, other)| one.wrapping_add(*other))
                .collect();
            assert_eq!(sum, expected);
        }
    }
}

#[test]
fn spare_bits_and_other_lengths_are_refused_and_add_nothing() {
    for bits in 1..=32 {
        for count in 1..20 {
            let bytes = ring(bits).pack(&words(count));
            let used = count * usize::from(bits);
            let mut sum = words(count);
            for bit in used..bytes.len() * 8 {
                let mut spoilt = bytes.clone();
                spoilt[bit / 8] |= 1 << (bit % 8);
                assert!(
                    !ring(bits).add_packed(&mut sum, &spoilt),
                    "bit {bit} of {used}"
                );
            }
            assert!(!ring(bits).add_packed(&mut sum, &bytes[1..]));
            assert!(!ring(bits).add_packed(&mut sum, &[&bytes[..], &[0]].concat()));
            assert_eq!(sum, words(count));
        }
    }
}
