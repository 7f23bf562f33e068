//! Seeds on their way to the helper: HPKE in base mode (RFC 9180, section 6.1) with
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20Poly1305. The sealed form is the encapsulated
//! key, then the ciphertext with its tag.

use alloc::vec::Vec;
use core::convert::Infallible;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::{Zeroize, Zeroizing};

use super::ReportContext;
use crate::entropy::{self, Entropy};
use crate::ids::{Digest, PublicKey, ReportId, SealedSeed};

/// Info of every report's key schedule.
pub const REPORT_INFO: &[u8] = b"choir/report";

/// Bytes of an encapsulated key.
const ENCAPSULATED: usize = 32;

/// The caller's entropy as the random source that the `hpke` crate takes.
struct Source<'a>(&'a mut dyn Entropy);

impl TryRng for Source<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(entropy::array(self.0)))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(entropy::array(self.0)))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Source<'_> {}

/// Seals `plaintext` to the holder of `receiver`.
///
/// Nothing if the key is of small order.
#[must_use]
pub fn seal(
    receiver: &PublicKey,
    info: &[u8],
    associated_data: &[u8],
    plaintext: &[u8],
    entropy: &mut dyn Entropy,
) -> Option<Vec<u8>> {
    let receiver = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&receiver.0).ok()?;
    let (encapsulated, ciphertext) =
        hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &receiver,
            info,
            plaintext,
            associated_data,
            &mut Source(entropy),
        )
        .ok()?;
    let mut sealed = encapsulated.to_bytes().to_vec();
    sealed.extend(ciphertext);
    Some(sealed)
}

/// Opens what was sealed to the holder of `secret`, an X25519 secret.
///
/// Nothing if it was not sealed so.
#[must_use]
pub fn open(
    secret: &[u8; 32],
    info: &[u8],
    associated_data: &[u8],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (encapsulated, ciphertext) = sealed.split_at_checked(ENCAPSULATED)?;
    let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(secret).ok()?;
    let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).ok()?;
    hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret,
        &encapsulated,
        info,
        ciphertext,
        associated_data,
    )
    .ok()
    .map(Zeroizing::new)
}

/// What a seed is bound to: the round, the report, and the vector that it masks.
fn associated_data(context: &ReportContext, id: ReportId, vector: Digest) -> [u8; 80] {
    let mut data = [0; 80];
    data[..32].copy_from_slice(context.as_bytes());
    data[32..48].copy_from_slice(&id.0);
    data[48..].copy_from_slice(&vector.0);
    data
}

/// Seals the seed of one report to the helper.
pub(super) fn seal_seed(
    helper: &PublicKey,
    (context, id, vector): (&ReportContext, ReportId, Digest),
    seed: &[u8; 32],
    entropy: &mut dyn Entropy,
) -> Option<SealedSeed> {
    let data = associated_data(context, id, vector);
    let sealed = seal(helper, REPORT_INFO, &data, seed, entropy)?;
    sealed.try_into().ok().map(SealedSeed)
}

/// The seed of one report, if it was sealed for this report and to this secret.
pub(super) fn open_seed(
    secret: &[u8; 32],
    (context, id, vector): (&ReportContext, ReportId, Digest),
    sealed: &SealedSeed,
) -> Option<Zeroizing<[u8; 32]>> {
    let data = associated_data(context, id, vector);
    let mut opened = open(secret, REPORT_INFO, &data, &sealed.0)?;
    let seed = <[u8; 32]>::try_from(opened.as_slice())
        .ok()
        .map(Zeroizing::new);
    opened.zeroize();
    seed
}
