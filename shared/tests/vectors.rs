//! The algorithms, through our own wrappers where there is one, against the vectors of their RFCs.

use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use choir_shared::ids::{Digest, PublicKey, SignatureBytes, from_hex, to_hex};
use choir_shared::secure_sum::{self, MaskKey, Ring};
use curve25519_dalek::Scalar;
use ed25519_dalek::{Signer, SigningKey};
use zeroize::Zeroizing;

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    from_hex(hex).expect("hex")
}

fn long(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks_exact(2)
        .map(|pair| from_hex::<1>(core::str::from_utf8(pair).expect("ASCII")).expect("hex")[0])
        .collect()
}

#[test]
fn x25519_is_that_of_rfc_7748() {
    // Section 5.2.
    for (scalar, point, result) in [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a413",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ] {
        let shared = secure_sum::agree(&bytes(scalar), &PublicKey(bytes(point)));
        assert_eq!(to_hex(&*shared.expect("contributory")), result);
    }
    // Section 6.1.
    let alice: [u8; 32] = bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    let bob: [u8; 32] = bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    let public = secure_sum::x25519_public(&bob);
    assert_eq!(
        public.to_string(),
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    );
    let shared = secure_sum::agree(&alice, &public).expect("contributory");
    assert_eq!(
        to_hex(&*shared),
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    );
    let mirrored = secure_sum::agree(&bob, &secure_sum::x25519_public(&alice));
    assert_eq!(shared, mirrored.expect("contributory"));
}

#[test]
fn masks_are_the_chacha20_of_rfc_8439() {
    // Appendix A.1, vectors 1 and 2: one key, counters 0 and 1.
    let expected = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
                    da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586\
                    9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
                    29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f";
    let key = MaskKey::new(Zeroizing::new([0; 32]));
    let stream = secure_sum::mask_words(&key, 32, Ring::FULL);
    let stream: Vec<u8> = stream.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(to_hex(&stream), expected);
    // Vector 3: counter 1.
    let mut key = [0; 32];
    key[31] = 1;
    let words = secure_sum::mask_words(&MaskKey::new(Zeroizing::new(key)), 20, Ring::FULL);
    let stream: Vec<u8> = words[16..]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    assert_eq!(to_hex(&stream), "3aeb5224ecf849929b9d828db1ced4dd");
}

#[test]
fn masks_are_the_same_in_tiles_of_any_length() {
    let key = MaskKey::new(Zeroizing::new([3; 32]));
    let whole = secure_sum::mask_words(&key, 5_000, Ring::FULL);
    for count in (0..70).chain([1_023, 1_024, 1_025, 2_047, 2_048, 4_097]) {
        assert_eq!(
            secure_sum::mask_words(&key, count, Ring::FULL),
            whole[..count]
        );
    }
}

#[test]
fn boxes_are_the_aead_of_rfc_8439() {
    // Section 2.8.2.
    let key: [u8; 32] = bytes("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    let nonce: [u8; 12] = bytes("070000004041424344454647");
    let aad = long("50515253c0c1c2c3c4c5c6c7");
    let msg = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for \
                the future, sunscreen would be it.";
    let sealed = ChaCha20Poly1305::new(&key.into())
        .encrypt(&nonce.into(), Payload { msg, aad: &aad })
        .expect("sealed");
    assert_eq!(
        to_hex(&sealed),
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6\
         3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36\
         92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
         3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691"
    );
}

#[test]
fn derivation_is_the_hkdf_of_rfc_5869() {
    // Appendix A.1 and A.3.
    let mut okm = [0; 42];
    let salt = long("000102030405060708090a0b0c");
    let info = long("f0f1f2f3f4f5f6f7f8f9");
    hkdf::Hkdf::<sha2::Sha256>::new(Some(&salt), &[0x0b; 22])
        .expand_multi_info(&[&info[..3], &info[3..]], &mut okm)
        .expect("one block and a half");
    assert_eq!(
        to_hex(&okm),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    );
    // No salt is a salt of zeros, as that of the mask key's secret.
    for salt in [None, Some(&[0; 32][..])] {
        hkdf::Hkdf::<sha2::Sha256>::new(salt, &[0x0b; 22])
            .expand(&[], &mut okm)
            .expect("one block and a half");
        assert_eq!(
            to_hex(&okm),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
        );
    }
}

#[test]
fn signatures_are_the_ed25519_of_rfc_8032() {
    // Section 7.1, tests 1 and 2.
    for (secret, public, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
             5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ] {
        let (public, message) = (PublicKey(bytes(public)), long(message));
        let key = SigningKey::from_bytes(&bytes(secret));
        assert_eq!(key.verifying_key().to_bytes(), public.0);
        assert_eq!(to_hex(&key.sign(&message).to_bytes()), signature);
        let mut signature = SignatureBytes(bytes(signature));
        assert!(secure_sum::verify(&public, &message, &signature));
        signature.0[3] ^= 1;
        assert!(!secure_sum::verify(&public, &message, &signature));
    }
    // A key of small order verifies nothing.
    let weak = PublicKey(bytes(
        "0100000000000000000000000000000000000000000000000000000000000000",
    ));
    assert!(!secure_sum::verify(&weak, b"", &SignatureBytes([0; 64])));
}

#[test]
fn digests_are_those_of_sha_256() {
    assert_eq!(
        Digest::of_parts(&[b"a", b"bc"]).to_string(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[test]
fn shares_of_a_known_polynomial_are_its_values() {
    let [secret, a, b] = [11u8, 7, 3].map(Scalar::from);
    let shares = secure_sum::split(&secret, &[a, b], 4);
    let expected = [21u16, 37, 59, 87].map(Scalar::from);
    assert_eq!(shares, expected);
    assert_eq!(
        secure_sum::reconstruct(&[(4, shares[3]), (1, shares[0]), (2, shares[1])]),
        Ok(secret)
    );
}
