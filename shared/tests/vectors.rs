//! The algorithms, through our own wrappers where there is one, against the vectors of their RFCs.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use choir_shared::ids::{Digest, PublicKey, SignatureBytes, from_hex, to_hex};
use choir_shared::secure_sum::{self, MaskKey, Ring};
use curve25519_dalek::Scalar;
use ed25519_dalek::{Signer, SigningKey};
use zeroize::Zeroizing;

/// The text of RFC 8439.
const SUNSCREEN: &[u8] =
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one \
                           tip for the future, sunscreen would be it.";

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
    // Section 5.2, iterated: the output is the next scalar, the scalar the next point.
    let (mut scalar, mut point) = ([0; 32], [0; 32]);
    (scalar[0], point[0]) = (9, 9);
    for iteration in 1..=1_000 {
        let shared = secure_sum::agree(&scalar, &PublicKey(point)).expect("contributory");
        (point, scalar) = (scalar, *shared);
        if iteration == 1 {
            assert_eq!(
                to_hex(&scalar),
                "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
            );
        }
    }
    assert_eq!(
        to_hex(&scalar),
        "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"
    );
}

#[test]
fn an_agreement_is_that_of_rfc_7748() {
    // Section 6.1.
    let alice: [u8; 32] = bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    let bob: [u8; 32] = bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    assert_eq!(
        secure_sum::x25519_public(&alice).to_string(),
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    );
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
fn chacha20_is_that_of_rfc_8439_with_a_nonce_and_a_counter() {
    let key: [u8; 32] = core::array::from_fn(|place| u8::try_from(place).expect("below 32"));
    // Section 2.3.2: the second block.
    let nonce: [u8; 12] = bytes("000000090000004a00000000");
    let mut block = [0; 64];
    let mut cipher = ChaCha20::new(&key.into(), &nonce.into());
    cipher.seek(64);
    cipher.apply_keystream(&mut block);
    assert_eq!(
        to_hex(&block),
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e\
         d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
    );
    // Section 2.4.2: a text over two blocks, from counter 1.
    let nonce: [u8; 12] = bytes("000000000000004a00000000");
    let mut text = SUNSCREEN.to_vec();
    let mut cipher = ChaCha20::new(&key.into(), &nonce.into());
    cipher.seek(64);
    cipher.apply_keystream(&mut text);
    assert_eq!(
        to_hex(&text),
        "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b\
         f91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d8\
         07ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736\
         5af90bbf74a35be6b40b8eedf2785e42874d"
    );
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
    let sealed = ChaCha20Poly1305::new(&key.into())
        .encrypt(
            &nonce.into(),
            Payload {
                msg: SUNSCREEN,
                aad: &aad,
            },
        )
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
    // Appendix A.1.
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
    // Appendix A.2: more than one block of everything.
    let run = |from: u8| (from..from + 80).collect::<Vec<u8>>();
    let mut long_okm = [0; 82];
    hkdf::Hkdf::<sha2::Sha256>::new(Some(&run(0x60)), &run(0))
        .expand(&(0xb0..=0xff).collect::<Vec<u8>>(), &mut long_okm)
        .expect("three blocks");
    assert_eq!(
        to_hex(&long_okm),
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c\
         59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71\
         cc30c58179ec3e87c14c01d5c1f3434f1d87"
    );
    // Appendix A.3: no salt is a salt of zeros, as that of the mask key's secret.
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
    // Section 7.1, all five that are of plain Ed25519.
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
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
             18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
            "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
            "08b8b2b733424243760fe426a4b54908632110a66c2f6591eabd3345e3e4eb98\
             fa6e264bf09efe12ee50f8f54e9f77b1e355f6c50544e23fb1433ddf73be84d8\
             79de7c0046dc4996d9e773f4bc9efe5738829adb26c81b37c93a1b270b20329d\
             658675fc6ea534e0810a4432826bf58c941efb65d57a338bbd2e26640f89ffbc\
             1a858efcb8550ee3a5e1998bd177e93a7363c344fe6b199ee5d02e82d522c4fe\
             ba15452f80288a821a579116ec6dad2b3b310da903401aa62100ab5d1a36553e\
             06203b33890cc9b832f79ef80560ccb9a39ce767967ed628c6ad573cb116dbef\
             efd75499da96bd68a8a97b928a8bbc103b6621fcde2beca1231d206be6cd9ec7\
             aff6f6c94fcd7204ed3455c68c83f4a41da4af2b74ef5c53f1d8ac70bdcb7ed1\
             85ce81bd84359d44254d95629e9855a94a7c1958d1f8ada5d0532ed8a5aa3fb2\
             d17ba70eb6248e594e1a2297acbbb39d502f1a8c6eb6f1ce22b3de1a1f40cc24\
             554119a831a9aad6079cad88425de6bde1a9187ebb6092cf67bf2b13fd65f270\
             88d78b7e883c8759d2c4f5c65adb7553878ad575f9fad878e80a0c9ba63bcbcc\
             2732e69485bbc9c90bfbd62481d9089beccf80cfe2df16a2cf65bd92dd597b07\
             07e0917af48bbb75fed413d238f5555a7a569d80c3414a8d0859dc65a46128ba\
             b27af87a71314f318c782b23ebfe808b82b0ce26401d2e22f04d83d1255dc51a\
             ddd3b75a2b1ae0784504df543af8969be3ea7082ff7fc9888c144da2af58429e\
             c96031dbcad3dad9af0dcbaaaf268cb8fcffead94f3c7ca495e056a9b47acdb7\
             51fb73e666c6c655ade8297297d07ad1ba5e43f1bca32301651339e22904cc8c\
             42f58c30c04aafdb038dda0847dd988dcda6f3bfd15c4b4c4525004aa06eeff8\
             ca61783aacec57fb3d1f92b0fe2fd1a85f6724517b65e614ad6808d6f6ee34df\
             f7310fdc82aebfd904b01e1dc54b2927094b2db68d6f903b68401adebf5a7e08\
             d78ff4ef5d63653a65040cf9bfd4aca7984a74d37145986780fc0b16ac451649\
             de6188a7dbdf191f64b5fc5e2ab47b57f7f7276cd419c17a3ca8e1b939ae49e4\
             88acba6b965610b5480109c8b17b80e1b7b750dfc7598d5d5011fd2dcc5600a3\
             2ef5b52a1ecc820e308aa342721aac0943bf6686b64b2579376504ccc493d97e\
             6aed3fb0f9cd71a43dd497f01f17c0e2cb3797aa2a2f256656168e6c496afc5f\
             b93246f6b1116398a346f1a641f3b041e989f7914f90cc2c7fff357876e506b5\
             0d334ba77c225bc307ba537152f3f1610e4eafe595f6d9d90d11faa933a15ef1\
             369546868a7f3a45a96768d40fd9d03412c091c6315cf4fde7cb68606937380d\
             b2eaaa707b4c4185c32eddcdd306705e4dc1ffc872eeee475a64dfac86aba41c\
             0618983f8741c5ef68d3a101e8a3b8cac60c905c15fc910840b94c00a0b9d0",
            "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350\
             aa5371b1508f9f4528ecea23c436d94b5e8fcd4f681e30a6ac00a9704a188a03",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589\
             09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
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
