//! Two issuers of tokens, for tests only: their private keys are printed below.
//!
//! They sign the token's input themselves. A true issuer signs it blinded; the signature that comes
//! out is of the same form (RFC 9474, section 4.4).

use core::convert::Infallible;

use rsa::pss::SigningKey;
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::signature::{RandomizedSigner, SignatureEncoding};
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, RsaPrivateKey};
use sha2::Sha384;

use crate::entropy::{Entropy, InsecureSeededEntropy};
use crate::ids::{self, Digest};
use crate::secure_sum::{Issuer, RosterEntry, Token, token_nonce};
use crate::task::Attestation;

/// An issuer whose private key everybody knows.
pub struct InsecureIssuer {
    key: SigningKey<Sha384>,
    public: Issuer,
    attestation: Attestation,
    entropy: InsecureSeededEntropy,
}

impl InsecureIssuer {
    /// The first or the second issuer, with a challenge made of `origin`.
    ///
    /// # Panics
    /// Never: the keys are constants.
    #[must_use]
    pub fn new(which: TestKey, origin: &str) -> Self {
        let primes = match which {
            TestKey::First => FIRST,
            TestKey::Second => SECOND,
        };
        let [p, q] = primes.map(|prime| {
            let bytes = ids::from_hex::<128>(prime).expect("a constant");
            BoxedUint::from_be_slice_vartime(&bytes)
        });
        let key = RsaPrivateKey::from_p_q(p, q, BoxedUint::from(65_537u64)).expect("two primes");
        let modulus = key.n_bytes();
        let attestation = Attestation {
            issuer_key: Issuer::key_bytes(modulus[..].try_into().expect("2048 bits")),
            challenge_digest: Digest::of_parts(&[b"challenge", origin.as_bytes()]),
        };
        Self {
            key: SigningKey::new(key),
            public: Issuer::new(&attestation).expect("of token type 2"),
            attestation,
            entropy: InsecureSeededEntropy::new(9578),
        }
    }

    /// What a task says of this issuer.
    #[must_use]
    pub fn attestation(&self) -> Attestation {
        self.attestation.clone()
    }

    /// A token for these keys.
    pub fn issue(&mut self, keys: &RosterEntry) -> Token {
        let input = self.public.token_input(&token_nonce(keys));
        let signature = self.key.sign_with_rng(&mut Salt(&mut self.entropy), &input);
        Token::from_bytes(&signature.to_bytes()).expect("as long as the modulus")
    }
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestKey {
    /// The one that tests name in their tasks.
    First,
    /// Another.
    Second,
}

/// Our entropy as the crate `rsa` wants it.
struct Salt<'a>(&'a mut InsecureSeededEntropy);

impl TryRng for Salt<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u64() as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Salt<'_> {}

/// TEST-ONLY primes: these keys vouch for nothing.
const FIRST: [&str; 2] = [
    "e55dab6dc13d7d44a25bb62a54325eb5a279ef1f9a836d4996f758fad6eedd22\
     da1e9f891b326310346b9d2e940db9175f6dd6c8d55cac435199600f65d0a6a0\
     ac7317a6b78dc051cb7d112b6617ed9a6c45e42bc36e32f6d2ceec218d535e5b\
     859e4c648cb9929873a3f78dd1e6df8f2cd5e73b1b139982f14ab4965c9383fb",
    "c61c9098a2726d8a52c776c9baa9430be335e32364e0de8f3f87f02e0ce2ef82\
     dba92f4a16fde4feec1d50ce9092e071986bd084ad232bac4ec7ce9835bbbd65\
     f3df055a47498b7811d8364b8b7ce6da87ebaa11c5b7d1c3d112b3de43654e77\
     702cf45537547f038266c9a0c205083bc407f8eed5f06f0488ce4062b8b7edb1",
];
/// TEST-ONLY primes: these keys vouch for nothing.
const SECOND: [&str; 2] = [
    "f7e2fd3f7e7fa0478e36b58fd6f5a3268e7c95cefeb18cf04c4ddcdc659e95a6\
     cfe68e2c93c60410a6fc46175426fd0b647be1bfd7b55d5589bcb546710cc3b2\
     de0b2773f03a1929cfbbcdb5334bf34b5771f280548fe480d7fcac1338f6f4f9\
     ee994537c70259742fee7579dee21e7f6d46533e4535228a84b920dc9d52b88b",
    "d986edd85e253a33c567d962afe1c84ed719517b3a6b4684c401bc412fa4364c\
     b7f0e65057ce1f7a4972b03d134d5c9b7461545fa0172639e2b23a4e0a24db17\
     f00aa241d49c49d86331621128fb358d47bae917cf7ad0bfc6bcf8129e9dd35e\
     60849dd71f3db82cf0b46648097845aa1619783442eed1b6d45272358e07b227",
];
