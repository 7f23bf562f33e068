//! Known answers: every value of a round for given secrets, so that an outside implementation can be
//! compared byte by byte.
//!
//! [`KatInput`] as JSON: all byte strings in hex, integers as numbers.
//!
//! ```json
//! {
//!   "task_id": "16 bytes", "round_id": "16 bytes", "model_digest": "32 bytes", "d": 4, "r": 32,
//!   "quantiser": {"levels": 65535, "bound": 1.0, "weight_max": 512},
//!   "dp": {"noise_multiplier": 0.0, "clip": 0.0, "honest": 0},
//!   "n_floor": 3, "g": 100, "drop": 300, "m": 2, "t": 2,
//!   "clients": [{
//!     "signing_secret": "32 bytes", "channel_secret": "32 bytes",
//!     "z_b": "canonical scalar", "z_s": "canonical scalar",
//!     "coefficients_b": ["t-1 canonical scalars: of x, x^2, ..."], "coefficients_s": ["likewise"],
//!     "out_list": [1, 2], "token": "256 bytes",
//!     "update": [1, 2, 3, 4]
//!   }],
//!   "shared": [0, 1, 2], "survivors": [0, 1, 2]
//! }
//! ```
//!
//! 3 to 1000 clients. May be left out: `r` (32), `drop` (300), `m` and `t` (those of the number of
//! clients, `g` and `drop`; given ones are taken, so that a small sparse graph can be compared),
//! `shared` and `survivors`, U2 and U3 (everybody), `update` (`d` words; without it there are no
//! masked vectors and no sum), and `out_list` where `m = n - 1` (the others); elsewhere it has `m`
//! others, ascending. `token` is left out where the roster is not attested. `q` always follows from
//! the number of clients and `g`.

use alloc::vec::Vec;

use crate::ids::{Bytes32, Digest, to_hex};
use crate::secure_sum::{
    self, Bitmap, Context, Header, PROTOCOL_VERSION, Parameters, Ring, Roster, RosterEntry, SUITE,
};

mod input;
mod output;
mod session;

pub use input::{KatError, KatInput, KatSecrets};
pub use output::{KatBox, KatClient, KatOutput, KatPair, KatShare};

use session::{Member, Session};

/// Every value of the round that these secrets make.
///
/// # Errors
/// [`KatError`] if the input makes no round.
pub fn kat(input: &KatInput) -> Result<KatOutput, KatError> {
    let parameters = input.parameters()?;
    let clients = parameters.clients;
    let ring = Ring::new(input.r).ok_or(KatError::Ring)?;
    let members = input
        .clients
        .iter()
        .enumerate()
        .map(|(client, secrets)| Member::new(client, secrets, input, &parameters))
        .collect::<Result<Vec<Member>, KatError>>()?;
    let roster: Vec<RosterEntry> = members.iter().map(Member::public).collect();
    if !secure_sum::check_keys(&roster) {
        return Err(KatError::Keys);
    }
    let header = header(input, &parameters).to_bytes();
    let roster_bytes = Roster {
        entries: roster.clone(),
        tokens: input.tokens()?,
    }
    .to_bytes();
    let context = Context::of_bytes(&header, &roster_bytes);
    let shared = set(clients, input.shared.as_deref())?;
    let survivors = match &input.survivors {
        Some(survivors) => set(clients, Some(survivors))?,
        None => shared.clone(),
    };
    if !survivors.is_subset(&shared) {
        return Err(KatError::Sets);
    }
    let d = secure_sum::ack_digest(&context, &shared, &survivors);
    let session =
        Session::new(roster, context, members, shared.clone(), ring).ok_or(KatError::Keys)?;
    Ok(KatOutput {
        n: clients,
        m: parameters.neighbours,
        t: parameters.threshold,
        q: parameters.quorum,
        header: to_hex(&header),
        roster: to_hex(&roster_bytes),
        roster_digest: Digest::of(&roster_bytes),
        ctx: Bytes32(*context.as_bytes()),
        clients: (0..clients)
            .map(|index| session.client(index, &input.clients[usize::from(index)], d))
            .collect::<Option<_>>()
            .ok_or(KatError::Keys)?,
        pairs: session.pairs(),
        shared: to_hex(shared.as_bytes()),
        survivors: to_hex(survivors.as_bytes()),
        d,
        sum: plain_sum(input, &survivors, ring),
    })
}

fn header(input: &KatInput, parameters: &Parameters) -> Header {
    Header {
        ver: PROTOCOL_VERSION,
        suite: SUITE,
        task_id: input.task_id,
        round_id: input.round_id,
        model_digest: input.model_digest,
        d: input.d,
        r: input.r,
        quantiser: input.quantiser,
        dp: input.dp,
        n_floor: input.n_floor,
        g: input.g,
        m: parameters.neighbours,
        t: parameters.threshold,
        q: parameters.quorum,
    }
}

fn set(clients: u16, indices: Option<&[u16]>) -> Result<Bitmap, KatError> {
    match indices {
        Some(indices) if indices.iter().any(|&index| index >= clients) => Err(KatError::Sets),
        Some(indices) => Ok(Bitmap::from_fn(clients, |index| indices.contains(&index))),
        None => Ok(Bitmap::from_fn(clients, |_| true)),
    }
}

fn plain_sum(input: &KatInput, survivors: &Bitmap, ring: Ring) -> Option<Vec<u32>> {
    let mut sum = alloc::vec![0u32; input.d as usize];
    for index in survivors.iter() {
        let update = input.clients[usize::from(index)].update.as_ref()?;
        for (total, word) in sum.iter_mut().zip(update) {
            *total = total.wrapping_add(*word) & ring.mask();
        }
    }
    Some(sum)
}
