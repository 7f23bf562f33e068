//! What every client keeps to, whatever it is told: each message is made once and only repeated to
//! the byte; one list of survivors is signed; shares are opened only with a quorum on that list, and
//! by all clients for the same list; nothing follows once it is over.

use choir_shared::ids::Digest;
use choir_shared::messages::{AggregatorMessage, ClientMessage};
use choir_shared::round::{ClientEffect, PhaseName};
use choir_shared::secure_sum::{self, Bitmap, Context, Header, roster_from_bytes};
use choir_shared::wire::{self, WIRE_VERSION, limits};

/// What was seen of one client.
#[derive(Default)]
pub(super) struct Watch {
    share: Option<Vec<u8>>,
    upload: Option<Vec<u8>>,
    ack: Option<Vec<u8>>,
    open: Option<Vec<u8>>,
    /// Context, clients and quorum of the ROSTER that it took.
    membership: Option<(Context, u16, u16)>,
    /// U2, as it took it.
    shared: Option<Bitmap>,
    /// What it signed.
    digest: Option<Digest>,
    is_over: bool,
}

impl Watch {
    /// Sees what a client did; `taken` is the message that moved it to another phase.
    pub(super) fn see(
        &mut self,
        taken: Option<&AggregatorMessage>,
        effects: &[ClientEffect],
        phase: PhaseName,
    ) {
        assert!(
            !self.is_over || effects.is_empty(),
            "nothing follows once it is over"
        );
        match (taken, phase) {
            (Some(AggregatorMessage::Roster { header, roster, .. }), PhaseName::ShareKeys) => {
                self.membership = Some(membership(header, roster));
            }
            (Some(AggregatorMessage::Deliver { shared, .. }), PhaseName::Collect) => {
                self.shared = Some(self.set(shared));
            }
            (Some(AggregatorMessage::Survivors { survivors }), PhaseName::Confirm) => {
                let survivors = self.set(survivors);
                let (context, _, quorum) = self.membership.expect("a ROSTER was taken");
                assert!(survivors.count() >= quorum, "it signs no smaller list");
                let shared = self.shared.as_ref().expect("a DELIVER was taken");
                let digest = secure_sum::ack_digest(&context, shared, &survivors);
                assert!(self.digest.is_none(), "it signs at most one list");
                self.digest = Some(digest);
            }
            _ => {}
        }
        for effect in effects {
            match effect {
                ClientEffect::Send(bytes) => self.sees(bytes),
                ClientEffect::Upload(bytes) => once(&mut self.upload, bytes),
                ClientEffect::Left(_) | ClientEffect::Finished(_) => self.is_over = true,
                ClientEffect::Lobby { .. } | ClientEffect::Phase(_) => {}
            }
        }
    }

    /// Its visitor went.
    pub(super) const fn left(&mut self) {
        self.is_over = true;
    }

    /// It has just opened shares: a quorum has signed its list, and nobody opened for another.
    pub(super) fn check_opening<'a>(&self, all: impl Iterator<Item = &'a Self>) {
        let (context, _, quorum) = self.membership.expect("a ROSTER was taken");
        let mut signers = 0;
        for watch in all {
            let same = watch.digest == self.digest;
            signers += u16::from(same && watch.ack.is_some());
            let in_round = watch.membership.is_some_and(|(other, ..)| other == context);
            assert!(
                same || !in_round || watch.open.is_none(),
                "no two clients open for two lists"
            );
        }
        assert!(signers >= quorum, "opened with {signers} of {quorum}");
    }

    pub(super) const fn has_opened(&self) -> bool {
        self.open.is_some()
    }

    fn sees(&mut self, bytes: &[u8]) {
        let message = wire::decode(bytes, limits::CLIENT_MESSAGE);
        match message.expect("the aggregator can read it") {
            ClientMessage::Share { .. } => once(&mut self.share, bytes),
            ClientMessage::Ack { .. } => once(&mut self.ack, bytes),
            ClientMessage::Open { .. } => once(&mut self.open, bytes),
            _ => {}
        }
    }

    fn set(&self, bytes: &[u8]) -> Bitmap {
        let (_, clients, _) = self.membership.expect("a ROSTER was taken");
        Bitmap::from_bytes(clients, bytes).expect("it takes only sets of its roster")
    }
}

fn membership(header: &[u8], roster: &[u8]) -> (Context, u16, u16) {
    let roster = roster_from_bytes(roster).expect("it takes only whole rosters");
    let versioned: Vec<u8> = [&[WIRE_VERSION], header].concat();
    let settings: Header = wire::decode(&versioned, 256).expect("it takes only its own header");
    let clients = roster.len() as u16;
    (Context::new(header, &roster), clients, settings.q)
}

fn once(place: &mut Option<Vec<u8>>, bytes: &[u8]) {
    match place {
        Some(first) => assert_eq!(first, bytes, "it is only repeated to the byte"),
        None => *place = Some(bytes.to_vec()),
    }
}
