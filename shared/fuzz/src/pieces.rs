//! Readers of single values: rosters, sets, packed words, keys, shares, boxes.

use choir_shared::fixed_point;
use choir_shared::ids::{Digest, PublicKey, SignatureBytes, TaskId, to_hex};
use choir_shared::secure_sum::{
    self, Bitmap, Context, Expansion, Ring, RosterEntry, canonical_x25519, check_keys,
    roster_from_bytes, sound_x25519,
};
use choir_shared::wire::limits;
use curve25519_dalek::Scalar;

use crate::script::Script;

/// A roster: read and written it is the same, and sound keys can be agreed with.
#[must_use]
pub fn roster(data: &[u8]) -> bool {
    let Some(roster) = roster_from_bytes(data) else {
        assert_ne!(data.len() % RosterEntry::BYTES, 0);
        return false;
    };
    assert_eq!(RosterEntry::roster_bytes(&roster), data);
    let sound = check_keys(&roster);
    if sound {
        for entry in &roster {
            let keys = [&entry.channel_key, &entry.mask_key];
            assert!(keys.iter().all(|key| sound_x25519(key)));
            assert!(
                keys.iter()
                    .all(|key| secure_sum::agree(&[3; 32], key).is_some())
            );
        }
    }
    core::hint::black_box(Context::new(b"header", &roster));
    sound && !roster.is_empty()
}

/// A set of clients: two bytes of length, then the bytes.
#[must_use]
pub fn bitmap(data: &[u8]) -> bool {
    let mut script = Script::new(data);
    let len = script.word();
    let bytes = script.rest();
    let Some(set) = Bitmap::from_bytes(len, bytes) else {
        return false;
    };
    assert_eq!(set.as_bytes(), bytes);
    let members: Vec<u16> = set.iter().collect();
    assert_eq!(members.len(), usize::from(set.count()));
    assert!(
        members
            .iter()
            .all(|&index| index < len && set.contains(index))
    );
    assert_eq!(Bitmap::from_fn(len, |index| set.contains(index)), set);
    assert!(set.is_subset(&set) && !set.contains(len));
    true
}

/// Packed words: a byte of width, a byte of count, then the bytes.
#[must_use]
pub fn ring(data: &[u8]) -> bool {
    let mut script = Script::new(data);
    let (bits, count) = (script.or_zero(), usize::from(script.or_zero()));
    let Some(ring) = Ring::new(bits) else {
        assert!(bits == 0 || bits > 32);
        return false;
    };
    let bytes = script.rest();
    let Some(words) = ring.unpack(bytes, count) else {
        return false;
    };
    assert!(words.len() == count && words.iter().all(|word| *word <= ring.mask()));
    assert_eq!(ring.pack(&words), bytes);
    let mut sum: Vec<u32> = words.iter().map(|word| !word).collect();
    assert!(ring.add_packed(&mut sum, bytes));
    assert!(sum.iter().all(|word| *word == u32::MAX));
    true
}

/// Masks to be expanded: what decodes encodes to the same bytes, and its parts are the whole.
#[must_use]
pub fn expansion(data: &[u8]) -> bool {
    let Some(expansion) = Expansion::from_bytes(data) else {
        return false;
    };
    assert_eq!(*expansion.to_bytes(), data);
    let whole = expansion.expand(0..9);
    assert_eq!(
        [expansion.expand(0..4), expansion.expand(4..9)].concat(),
        whole
    );
    assert_eq!(expansion.len(), data.len() / 33);
    !expansion.is_empty()
}

/// An adapter object.
#[must_use]
pub fn adapter(data: &[u8]) -> bool {
    let Some(adapter) = fixed_point::adapter_from_bytes(data) else {
        return false;
    };
    assert_eq!(fixed_point::adapter_bytes(&adapter), data);
    true
}

/// The text of an identifier.
#[must_use]
pub fn hex(data: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(data) else {
        return false;
    };
    let digest = text.parse::<Digest>();
    if let Ok(digest) = &digest {
        assert_eq!(to_hex(&digest.0), text.to_ascii_lowercase());
    }
    text.parse::<TaskId>().is_ok() || digest.is_ok() || text.parse::<SignatureBytes>().is_ok()
}

/// A public key, a message and a signature.
#[must_use]
pub fn keys(data: &[u8]) -> bool {
    let mut script = Script::new(data);
    let key = PublicKey(padded(script.bytes(32)));
    let signature = SignatureBytes(padded(script.bytes(64)));
    if !canonical_x25519(&key) {
        return false;
    }
    // Whatever the secret, a key of small order gives nothing.
    let agreed = [[1; 32], [2; 32]].map(|secret| secure_sum::agree(&secret, &key).is_some());
    assert_eq!(agreed, [sound_x25519(&key); 2]);
    secure_sum::verify(&key, script.rest(), &signature)
}

/// Shares of a secret: a byte of threshold, then points of two bytes with scalars of 32.
#[must_use]
pub fn shares(data: &[u8]) -> bool {
    let mut script = Script::new(data);
    let threshold = 1 + u16::from(script.or_zero() % 7);
    let secret = Scalar::from_bytes_mod_order(padded(script.bytes(32)));
    let coefficients: Vec<Scalar> = (1..threshold)
        .map(|_| Scalar::from_bytes_mod_order(padded(script.bytes(4))))
        .collect();
    let dealt = secure_sum::split(&secret, &coefficients, threshold + 2);
    let mut chosen = Vec::new();
    while let Some(byte) = script.byte() {
        let point = u16::from(byte % 12);
        let share = dealt.get(usize::from(point).wrapping_sub(1));
        chosen.push((point, share.copied().unwrap_or(Scalar::ONE)));
    }
    let mut points: Vec<u16> = chosen.iter().map(|(point, _)| *point).collect();
    points.sort_unstable();
    points.dedup();
    let is_distinct =
        points.len() == chosen.len() && points.first().is_some_and(|&first| first > 0);
    let solved = secure_sum::reconstruct(&chosen);
    assert_eq!(solved.is_ok(), is_distinct, "{points:?}");
    let is_dealt = points
        .iter()
        .all(|&point| usize::from(point) <= dealt.len());
    let is_enough = is_distinct && is_dealt && chosen.len() >= usize::from(threshold);
    if is_enough {
        assert_eq!(solved, Ok(secret));
    }
    is_enough
}

/// A sealed box between two clients, changed as the script says.
#[must_use]
pub fn sealed_box(data: &[u8]) -> bool {
    let mut script = Script::new(data);
    let secrets: [[u8; 32]; 2] = [[5; 32], [6; 32]];
    let roster = secrets.map(|secret| RosterEntry {
        signing_key: PublicKey(secret),
        channel_key: secure_sum::x25519_public(&secret),
        mask_key: PublicKey(secret),
    });
    let context = Context::new(script.bytes(4), &roster);
    let plain: [u8; 64] = padded(script.bytes(64));
    let sealed = secure_sum::seal_box(&context, &roster, (0, &secrets[0]), 1, &plain);
    let sealed = sealed.expect("both keys are sound");
    assert_eq!(sealed.len(), limits::BOX_BYTES);
    let spoilt = script.spoil(&sealed);
    let (from, to) = (
        u16::from(script.or_zero() % 3),
        u16::from(script.or_zero() % 3),
    );
    let secret = secrets[usize::from(to) % 2];
    let opened = secure_sum::open_box(&context, &roster, from, (to, &secret), &spoilt);
    assert!(opened.is_none(), "a box that was changed does not open");
    let opened = secure_sum::open_box(&context, &roster, from, (to, &secret), &sealed);
    assert_eq!(opened.is_some(), (from, to) == (0, 1), "nor one of others");
    if let Some(opened) = &opened {
        assert_eq!(**opened, plain);
    }
    opened.is_some()
}

/// The bytes, with zeros after them.
fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut all = [0; N];
    all[..bytes.len()].copy_from_slice(bytes);
    all
}
