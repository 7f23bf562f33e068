//! Tokens of attested rosters: the vectors of RFC 9578 and RFC 9474, and what a token does not
//! vouch for.

use choir_shared::entropy::{Entropy, InsecureSeededEntropy};
use choir_shared::ids::{Digest, PublicKey};
use choir_shared::secure_sum::{Issuer, RosterEntry, Token, TokenError, token_nonce};
use choir_shared::sim::issuer::{InsecureIssuer, TestKey};
use choir_shared::task::Attestation;
use rsa::pss::{Signature, VerifyingKey};
use rsa::signature::Verifier;
use rsa::{BoxedUint, RsaPublicKey};
use serde_json::Value;
use sha2::Sha384;

fn json(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("JSON")
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().expect("hex");
    (0..digits.len())
        .step_by(2)
        .map(|place| u8::from_str_radix(&digits[place..place + 2], 16).expect("hex"))
        .collect()
}

/// Keys that nobody has the secrets of: tokens do not ask.
fn keys(seed: u64) -> RosterEntry {
    let mut entropy = InsecureSeededEntropy::new(seed);
    let mut key = || {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        PublicKey(bytes)
    };
    RosterEntry {
        signing_key: key(),
        channel_key: key(),
        mask_key: key(),
    }
}

#[test]
fn tokens_are_those_of_rfc_9578_and_of_another_implementation() {
    let sources = json(include_str!("vectors/rfc9578_type2.json"));
    let mut verified = 0;
    for vector in sources
        .iter()
        .flat_map(|source| source["vectors"].as_array().expect("a list"))
    {
        let attestation = Attestation {
            issuer_key: hex(&vector["issuer_key"]),
            challenge_digest: Digest::of_parts(&[&hex(&vector["token_challenge"])]),
        };
        let issuer = Issuer::new(&attestation).expect("a key of token type 2");
        let nonce = Digest(hex(&vector["nonce"]).try_into().expect("32 bytes"));
        let whole = hex(&vector["token"]);
        let (input, authenticator) = whole.split_at(Issuer::TOKEN_INPUT_BYTES);
        assert_eq!(issuer.token_input(&nonce), input);
        let token = Token::from_bytes(authenticator).expect("256 bytes");
        assert!(issuer.verify_nonce(&nonce, &token));
        let other = Digest::of_parts(&[&nonce.0]);
        assert!(!issuer.verify_nonce(&other, &token));
        verified += 1;
    }
    assert_eq!(verified, 10);
}

#[test]
fn signatures_are_the_rsassa_pss_of_rfc_9474() {
    // Appendix A: 4,096 bits, so of the library with our hash and our way of setting the salt.
    let vectors = json(include_str!("vectors/rfc9474.json"));
    for vector in &vectors {
        let number = |name: &str| BoxedUint::from_be_slice_vartime(&hex(&vector[name]));
        let public = RsaPublicKey::new(number("n"), number("e")).expect("an RSA key");
        let salt_bytes = vector["salt_bytes"].as_u64().expect("a number") as usize;
        let key = VerifyingKey::<Sha384>::new_with_salt_len(public.clone(), salt_bytes);
        let signature = Signature::try_from(&hex(&vector["signature"])[..]).expect("a signature");
        let mut message = hex(&vector["message"]);
        assert!(key.verify(&message, &signature).is_ok());
        let other_salt = VerifyingKey::<Sha384>::new_with_salt_len(public, 48 - salt_bytes);
        assert!(other_salt.verify(&message, &signature).is_err());
        message[0] ^= 1;
        assert!(key.verify(&message, &signature).is_err());
    }
    assert_eq!(vectors.len(), 4);
}

#[test]
fn a_token_vouches_for_its_own_three_keys_only() {
    let mut maker = InsecureIssuer::new(TestKey::First, "choir");
    let issuer = Issuer::new(&maker.attestation()).expect("an issuer");
    let (entry, other) = (keys(1), keys(2));
    let token = maker.issue(&entry);
    assert!(issuer.verify(&entry, &token));
    assert!(!issuer.verify(&other, &token));
    let replaced = [
        RosterEntry {
            signing_key: other.signing_key,
            ..entry
        },
        RosterEntry {
            channel_key: other.channel_key,
            ..entry
        },
        RosterEntry {
            mask_key: other.mask_key,
            ..entry
        },
        RosterEntry {
            channel_key: entry.mask_key,
            mask_key: entry.channel_key,
            ..entry
        },
    ];
    for entry in replaced {
        assert!(!issuer.verify(&entry, &token));
    }
}

#[test]
fn a_token_of_another_issuer_or_for_another_challenge_vouches_for_nothing() {
    let entry = keys(3);
    let origins = [
        (TestKey::First, "choir"),
        (TestKey::Second, "choir"),
        (TestKey::First, "elsewhere"),
    ];
    let mut makers = origins.map(|(key, origin)| InsecureIssuer::new(key, origin));
    let tokens = makers.each_mut().map(|maker| maker.issue(&entry));
    for (place, maker) in makers.iter().enumerate() {
        let issuer = Issuer::new(&maker.attestation()).expect("an issuer");
        for (of, token) in tokens.iter().enumerate() {
            assert_eq!(issuer.verify(&entry, token), of == place);
        }
    }
}

#[test]
fn a_changed_token_vouches_for_nothing() {
    let mut maker = InsecureIssuer::new(TestKey::First, "choir");
    let attestation = maker.attestation();
    let issuer = Issuer::new(&attestation).expect("an issuer");
    let entry = keys(4);
    let token = maker.issue(&entry);
    for bit in (0..Token::BYTES * 8).step_by(31) {
        let mut changed = token;
        changed.0[bit / 8] ^= 1 << (bit % 8);
        assert!(!issuer.verify(&entry, &changed));
    }
    for byte in [0, 1, 0xff] {
        assert!(!issuer.verify(&entry, &Token([byte; Token::BYTES])));
    }
    // The modulus itself, and one less: representatives at and beside the end of the range.
    let modulus = &attestation.issuer_key[attestation.issuer_key.len() - 261..][..256];
    let mut representative = Token::from_bytes(modulus).expect("256 bytes");
    assert!(!issuer.verify(&entry, &representative));
    representative.0[255] -= 1;
    assert!(!issuer.verify(&entry, &representative));
}

#[test]
fn two_tokens_for_the_same_keys_differ_and_both_vouch() {
    // Which is why a token used twice is found by its keys, not by its bytes.
    let mut maker = InsecureIssuer::new(TestKey::First, "choir");
    let issuer = Issuer::new(&maker.attestation()).expect("an issuer");
    let entry = keys(5);
    let [first, second] = [maker.issue(&entry), maker.issue(&entry)];
    assert_ne!(first, second);
    assert!(issuer.verify(&entry, &first) && issuer.verify(&entry, &second));
}

#[test]
fn the_nonce_is_the_digest_of_the_entry_as_the_roster_has_it() {
    let entry = keys(6);
    let bytes = entry.keys().map(|key| key.0).concat();
    assert_eq!(token_nonce(&entry), Digest::of_parts(&[&bytes]));
}

#[test]
fn only_the_one_form_of_a_key_of_type_2_is_taken() {
    let good = InsecureIssuer::new(TestKey::First, "choir").attestation();
    let refused = |issuer_key: Vec<u8>| {
        let attestation = Attestation {
            issuer_key,
            ..good.clone()
        };
        Issuer::new(&attestation).expect_err("refused")
    };
    for length in 0..good.issuer_key.len() {
        let short = good.issuer_key[..length].to_vec();
        assert_eq!(refused(short), TokenError::Encoding);
    }
    let with = |place: usize, byte: u8| {
        let mut changed = good.issuer_key.clone();
        changed[place] = byte;
        changed
    };
    let end = good.issuer_key.len();
    let mut trailing = good.issuer_key.clone();
    trailing.push(0);
    assert_eq!(refused(trailing), TokenError::Encoding);
    // rsaEncryption for id-RSASSA-PSS, SHA-512 for SHA-384, a salt of 32, the exponent 65539.
    for (place, byte) in [(16, 1), (33, 3), (66, 32), (end - 1, 3)] {
        assert_ne!(good.issuer_key[place], byte);
        assert_eq!(refused(with(place, byte)), TokenError::Encoding);
    }
    // An even modulus, and one with a zero in front.
    assert_eq!(refused(with(end - 6, 0)), TokenError::Modulus);
    assert_eq!(refused(with(end - 261, 0x7f)), TokenError::Modulus);
}
