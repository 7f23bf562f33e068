//! A client's side of a round.
//!
//! The update is frozen before JOIN and consumed by it. Everything that the aggregator says is
//! checked against what the client knows by itself: the header that it makes from its own copy of
//! the task, the roster that it hashes itself, the quorum of signatures that it verifies. Whatever
//! does not fit makes it leave, silently, with keys and update wiped.
//!
//! It signs at most one list of survivors and opens at most one share for each owner: both messages
//! are made once and only ever repeated to the byte.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::ids::{Digest, RoundId, TaskId, Version};
use crate::messages::{AggregatorMessage, ClientMessage};
use crate::policy::Policy;
use crate::reject::RejectCode;
use crate::round::PhaseName;
use crate::secure_sum::{Issuer, SessionKeys, Token};
use crate::task::{AdapterLayout, TaskConfig, TaskError};
use crate::update::FrozenUpdate;
use crate::wire;

mod event;
#[cfg(feature = "test-util")]
mod insecure;
mod lobby;
mod masked;
mod membership;
mod opening;
mod sharing;

pub use event::{ClientEffect, ClientEvent, ClientFault, JoinError, JoinSetup, LeaveReason};
#[cfg(feature = "test-util")]
pub use insecure::InsecureQuorum;

use lobby::Lobby;
use masked::Masked;
use opening::{Confirming, Opened};
use sharing::Sharing;

/// What the client agreed to when it joined.
struct Agreement {
    policy: Policy,
    task: TaskConfig,
    task_id: TaskId,
    round_id: RoundId,
    version: Version,
    model_digest: Digest,
    issuer: Option<Issuer>,
    #[cfg(feature = "test-util")]
    insecure_quorum: Option<InsecureQuorum>,
}

impl Agreement {
    fn new(setup: &JoinSetup<'_>, update: &FrozenUpdate) -> Result<Self, JoinError> {
        setup.task.check()?;
        setup.policy.allows(setup.task)?;
        if update.len() != AdapterLayout::new(setup.task)?.ring_len() {
            return Err(JoinError::WrongLength);
        }
        let attestation = setup.task.attestation.as_ref();
        Ok(Self {
            policy: setup.policy,
            task: setup.task.clone(),
            task_id: setup.task_id,
            round_id: setup.round_id,
            version: setup.version,
            model_digest: setup.task.model_digest(setup.version, setup.adapter),
            issuer: attestation
                .map(Issuer::new)
                .transpose()
                .map_err(TaskError::from)?,
            #[cfg(feature = "test-util")]
            insecure_quorum: None,
        })
    }
}

enum State {
    Lobby(Lobby),
    Sharing(Sharing),
    Masked(Masked),
    Confirming(Confirming),
    Opened(Opened),
    Over(PhaseName),
}

/// A step's outcome: the next state and what is to be done, or what was wrong.
type Step = Result<(State, Vec<ClientEffect>), LeaveReason>;

/// One client in one round.
pub struct ClientRound {
    agreement: Agreement,
    state: State,
}

impl ClientRound {
    /// Joins a round with an update.
    ///
    /// # Errors
    /// [`JoinError`]; nothing was sent and the update is gone.
    pub fn join(
        setup: &JoinSetup<'_>,
        update: FrozenUpdate,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Vec<ClientEffect>), JoinError> {
        let agreement = Agreement::new(setup, &update)?;
        if agreement.issuer.is_some() {
            return Err(JoinError::Token);
        }
        Ok(Self::enter(agreement, Lobby::new(update, entropy)))
    }

    /// Joins a round whose task names an issuer, with keys that it vouched for.
    ///
    /// # Errors
    /// [`JoinError`]; nothing was sent, the update and the keys are gone.
    pub fn join_attested(
        setup: &JoinSetup<'_>,
        update: FrozenUpdate,
        keys: SessionKeys,
        token: Token,
    ) -> Result<(Self, Vec<ClientEffect>), JoinError> {
        let agreement = Agreement::new(setup, &update)?;
        let issuer = agreement.issuer.as_ref().ok_or(JoinError::Token)?;
        if !issuer.verify(&keys.public(), &token) {
            return Err(JoinError::Token);
        }
        Ok(Self::enter(agreement, Lobby::attested(update, keys, token)))
    }

    fn enter(agreement: Agreement, lobby: Lobby) -> (Self, Vec<ClientEffect>) {
        let join = lobby.join(&agreement);
        let round = Self {
            agreement,
            state: State::Lobby(lobby),
        };
        (
            round,
            alloc::vec![ClientEffect::Phase(PhaseName::Enroll), join],
        )
    }

    /// Applies one event. A client that has left, or finished, does nothing more.
    pub fn handle(&mut self, event: ClientEvent, entropy: &mut dyn Entropy) -> Vec<ClientEffect> {
        let state = core::mem::replace(&mut self.state, State::Over(PhaseName::Aborted));
        let step = match (state, event) {
            (state @ State::Over(_), _) => Ok((state, Vec::new())),
            (state, ClientEvent::Message(message)) => self.message(state, message, entropy),
            (state, ClientEvent::Uploaded) => Ok((state.uploaded(), Vec::new())),
            (state, ClientEvent::UploadRefused(RejectCode::Duplicate)) => {
                Ok((state.uploaded(), Vec::new()))
            }
            (_, ClientEvent::UploadRefused(code)) => Err(LeaveReason::Refused(code)),
            (state, ClientEvent::Disconnected) => Ok((state, Vec::new())),
            (state, ClientEvent::Reconnected) => Ok(self.reconnect(state, entropy)),
        };
        match step {
            Ok((state, effects)) => {
                self.state = state;
                effects
            }
            Err(reason) => alloc::vec![ClientEffect::Left(reason)],
        }
    }

    /// Leaves because the visitor wants to; the aggregator is told, so that nobody waits.
    pub fn leave(&mut self) -> Vec<ClientEffect> {
        if self.is_over() {
            return Vec::new();
        }
        self.state = State::Over(PhaseName::Aborted);
        let leave = ClientMessage::Leave {
            round: self.agreement.round_id,
        };
        alloc::vec![
            ClientEffect::Send(wire::encode(&leave)),
            ClientEffect::Left(LeaveReason::Stopped)
        ]
    }

    /// Where the client stands.
    #[must_use]
    pub const fn phase(&self) -> PhaseName {
        match &self.state {
            State::Lobby(_) => PhaseName::Enroll,
            State::Sharing(_) => PhaseName::ShareKeys,
            State::Masked(_) => PhaseName::Collect,
            State::Confirming(_) => PhaseName::Confirm,
            State::Opened(_) => PhaseName::Unmask,
            State::Over(phase) => *phase,
        }
    }

    /// The client's place in the roster, from ROSTER until the round is over for it.
    #[must_use]
    pub const fn index(&self) -> Option<u16> {
        match &self.state {
            State::Lobby(_) | State::Over(_) => None,
            State::Sharing(state) => Some(state.membership.index),
            State::Masked(state) => Some(state.membership.index),
            State::Confirming(state) => Some(state.index()),
            State::Opened(state) => Some(state.index()),
        }
    }

    /// Whether the round is over for this client.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over(_))
    }

    fn message(&self, state: State, message: AggregatorMessage, entropy: &mut dyn Entropy) -> Step {
        let agreement = &self.agreement;
        match (state, message) {
            (_, AggregatorMessage::Aborted { reason }) => Err(LeaveReason::Aborted(reason)),
            (state, AggregatorMessage::Refused { code, version }) => state.refused(code, version),
            (
                state @ State::Lobby(_),
                AggregatorMessage::Lobby {
                    joined,
                    cohort_size,
                    min_cohort,
                    deadline,
                },
            ) => {
                let lobby = ClientEffect::Lobby {
                    joined,
                    cohort_size,
                    min_cohort,
                    deadline,
                };
                Ok((state, alloc::vec![lobby]))
            }
            (State::Lobby(lobby), AggregatorMessage::Roster { header, roster }) => {
                Sharing::start(agreement, lobby, &header, &roster, entropy)
            }
            (State::Sharing(state), AggregatorMessage::Roster { header, roster }) => {
                state.again(&header, &roster)
            }
            (
                State::Sharing(state),
                AggregatorMessage::Deliver {
                    shared,
                    senders,
                    boxes,
                },
            ) => Masked::start(agreement, state, &shared, &senders, &boxes),
            (
                State::Masked(state),
                AggregatorMessage::Deliver {
                    shared,
                    senders,
                    boxes,
                },
            ) => state.again(&shared, &senders, &boxes),
            (State::Masked(state), AggregatorMessage::Survivors { survivors }) => {
                Confirming::start(agreement, state, &survivors)
            }
            (State::Confirming(state), AggregatorMessage::Survivors { survivors }) => {
                state.again(&survivors)
            }
            (
                State::Confirming(state),
                AggregatorMessage::Acks {
                    signers,
                    signatures,
                },
            ) => Opened::start(agreement, state, &signers, &signatures),
            (State::Opened(state), AggregatorMessage::Acks { .. }) => Ok(state.again()),
            (State::Confirming(state), AggregatorMessage::Done { receipt }) => {
                state.sum().finish(agreement, receipt)
            }
            (State::Opened(state), AggregatorMessage::Done { receipt }) => {
                state.sum().finish(agreement, receipt)
            }
            (state, message) if state.has_passed(&message) => Ok((state, Vec::new())),
            _ => Err(ClientFault::OutOfOrder.into()),
        }
    }

    /// In the lobby nothing binds the client yet: it joins anew. Later it proves that it is the
    /// client of the roster.
    fn reconnect(&self, state: State, entropy: &mut dyn Entropy) -> (State, Vec<ClientEffect>) {
        let mut state = state;
        let round = self.agreement.round_id;
        let resume = match &mut state {
            State::Lobby(_) | State::Over(_) => None,
            State::Sharing(sharing) => {
                Some(sharing.membership.resume(round, &sharing.secrets.signing))
            }
            State::Masked(masked) => Some(masked.membership.resume(round, &masked.signing)),
            State::Confirming(state) => Some(state.resume(round)),
            State::Opened(state) => Some(state.resume(round)),
        };
        match (state, resume) {
            (State::Lobby(lobby), _) => {
                let lobby = lobby.anew(entropy);
                let join = lobby.join(&self.agreement);
                (State::Lobby(lobby), alloc::vec![join])
            }
            (state, resume) => (state, resume.into_iter().collect()),
        }
    }
}

impl State {
    fn uploaded(mut self) -> Self {
        if let Self::Masked(masked) = &mut self {
            masked.pending = None;
        }
        self
    }

    fn refused(self, code: RejectCode, version: Option<Version>) -> Step {
        match (self, code, version) {
            (Self::Lobby(_), RejectCode::StaleVersion, Some(version)) => {
                Err(LeaveReason::StaleVersion(version))
            }
            // A repeated message had arrived the first time.
            (
                state @ (Self::Sharing(_) | Self::Masked(_) | Self::Confirming(_) | Self::Opened(_)),
                RejectCode::Duplicate,
                _,
            )
            // Enough others had opened their shares already: DONE follows.
            | (state @ Self::Opened(_), RejectCode::Late, _) => Ok((state, Vec::new())),
            (_, code, _) => Err(LeaveReason::Refused(code)),
        }
    }

    /// Whether `message` belongs to a step that is behind the client: a repetition, to be ignored.
    const fn has_passed(&self, message: &AggregatorMessage) -> bool {
        let step = match self {
            Self::Lobby(_) => 0,
            Self::Sharing(_) => 1,
            Self::Masked(_) => 2,
            Self::Confirming(_) => 3,
            Self::Opened(_) => 4,
            Self::Over(_) => 5,
        };
        let of_message = match message {
            AggregatorMessage::Lobby { .. } => 0,
            AggregatorMessage::Roster { .. } => 1,
            AggregatorMessage::Deliver { .. } => 2,
            AggregatorMessage::Survivors { .. } => 3,
            AggregatorMessage::Acks { .. } => 4,
            _ => 5,
        };
        of_message < step
    }
}

/// The two shares that one owner entrusted to this client: of `z_b`, of `z_s`.
struct HeldShares {
    owner: u16,
    shares: Zeroizing<[u8; 64]>,
}
