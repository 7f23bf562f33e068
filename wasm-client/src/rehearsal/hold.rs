//! Holds a round: all of its clients, and the aggregator that they all talk to.

use std::collections::VecDeque;
use std::rc::Rc;

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::ids::{ConnectionId, Digest};
use choir_shared::messages::{AggregatorMessage, ClientMessage, Upload};
use choir_shared::round::{ClientEffect, ClientEvent, ClientRound, PhaseName};
use choir_shared::update::FrozenUpdate;
use choir_shared::wire::{self, limits};
use serde_bytes::ByteBuf;

use super::{AggregatorPlay, ClientPart, RehearsalError, Said, Scene, client, entropy, join_setup};

/// A round as it was.
pub struct Held {
    /// What the first client heard.
    pub client: ClientPart,
    /// What the aggregator heard: all before the uploads, ACKs, OPENs.
    pub said: [Vec<Said>; 3],
    /// The uploads, in order.
    pub uploads: Vec<Vec<u8>>,
    /// SHA-256 of the sum; none where the round was not held to its end.
    pub sum: Option<Digest>,
    /// Bytes that the first client sent, its upload included, and that it heard.
    pub bytes: [u64; 2],
}

struct Hall {
    scene: Scene,
    clients: Vec<(ClientRound, InsecureSeededEntropy)>,
    to_clients: VecDeque<(u16, Rc<[u8]>)>,
    said: [Vec<Said>; 3],
    uploads: Vec<Vec<u8>>,
    heard: Vec<ByteBuf>,
    sent: u64,
    finished: bool,
}

/// Holds the round of a scene. With `to_upload_only`, only until the first client has uploaded: then
/// nobody else masks anything.
///
/// # Errors
/// [`RehearsalError`] where something is refused or a client leaves.
pub fn hold(scene: Scene, to_upload_only: bool) -> Result<Held, RehearsalError> {
    let setup = scene.setup();
    let mut aggregator = AggregatorPlay::open(setup.clone())?;
    let mut hall = Hall {
        scene,
        clients: Vec::new(),
        to_clients: VecDeque::new(),
        said: [Vec::new(), Vec::new(), Vec::new()],
        uploads: Vec::new(),
        heard: Vec::new(),
        sent: 0,
        finished: false,
    };
    for client in 0..scene.clients {
        let mut entropy = entropy::of(client);
        let update = FrozenUpdate::new(&scene.values(client), 1, &setup.task, &mut entropy)?;
        let (round, effects) = ClientRound::join(&join_setup(&setup), update, &mut entropy)?;
        hall.clients.push((round, entropy));
        hall.perform(&mut aggregator, client, effects)?;
    }
    while let Some((client, bytes)) = hall.to_clients.pop_front() {
        if to_upload_only && (client > 0 && hall.is_sharing(client) || !hall.uploads.is_empty()) {
            continue;
        }
        hall.tell(&mut aggregator, client, &bytes)?;
        if aggregator.expands() {
            let to_clients = &mut hall.to_clients;
            aggregator.expand(|to, frame| deliver(to_clients, to, frame))?;
        }
    }
    if to_upload_only == hall.finished || hall.uploads.is_empty() {
        return Err(RehearsalError::Other("the round did not end"));
    }
    let heard = hall.heard.iter().map(|bytes| bytes.len() as u64).sum();
    Ok(Held {
        client: ClientPart {
            scene,
            client: 0,
            upload: client::head(&hall.uploads[0]),
            heard: hall.heard,
            finished: hall.finished,
        },
        said: hall.said,
        uploads: hall.uploads,
        sum: aggregator.sum(),
        bytes: [hall.sent, heard],
    })
}

/// Puts a frame into the queue of everybody that it is for.
fn deliver(queue: &mut VecDeque<(u16, Rc<[u8]>)>, to: &[ConnectionId], frame: &[u8]) {
    let frame: Rc<[u8]> = frame.into();
    queue.extend(to.iter().map(|to| (to.0 as u16, Rc::clone(&frame))));
}

/// Of [`Held::said`]. A client that goes while others upload is as good as one that went before.
fn phase_of(said: &Said) -> usize {
    let Said::Message(_, bytes) = said else {
        return 0;
    };
    match wire::decode(bytes, limits::CLIENT_MESSAGE) {
        Ok(ClientMessage::Ack { .. }) => 1,
        Ok(ClientMessage::Open { .. }) => 2,
        _ => 0,
    }
}

impl Hall {
    /// The last clients are the ones that drop out, so that the first is never one of them.
    fn drops(&self, client: u16) -> bool {
        client >= self.scene.clients - self.scene.dropped
    }

    /// Whether the next that it hears is DELIVER.
    fn is_sharing(&self, client: u16) -> bool {
        self.clients[usize::from(client)].0.phase() == PhaseName::ShareKeys
    }

    fn tell(
        &mut self,
        aggregator: &mut AggregatorPlay,
        client: u16,
        bytes: &Rc<[u8]>,
    ) -> Result<(), RehearsalError> {
        let message: AggregatorMessage = wire::decode(bytes, limits::AGGREGATOR_MESSAGE)?;
        if client == 0 {
            self.heard.push(ByteBuf::from(bytes.to_vec()));
        }
        if self.drops(client) && matches!(message, AggregatorMessage::Deliver { .. }) {
            return self.say(aggregator, Said::Gone(u64::from(client)));
        }
        let (round, entropy) = &mut self.clients[usize::from(client)];
        let effects = round.handle(ClientEvent::Message(message), entropy);
        self.perform(aggregator, client, effects)
    }

    fn perform(
        &mut self,
        aggregator: &mut AggregatorPlay,
        client: u16,
        effects: Vec<ClientEffect>,
    ) -> Result<(), RehearsalError> {
        for effect in effects {
            match effect {
                ClientEffect::Send(bytes) => {
                    self.count(client, bytes.len());
                    let said = Said::Message(u64::from(client), ByteBuf::from(bytes));
                    self.say(aggregator, said)?;
                }
                ClientEffect::Upload(bytes) => self.upload(aggregator, client, bytes)?,
                ClientEffect::Finished(_) => self.finished |= client == 0,
                ClientEffect::Left(_) => return Err(RehearsalError::Other("a client left")),
                ClientEffect::Lobby { .. } | ClientEffect::Phase(_) => {}
            }
        }
        Ok(())
    }

    fn count(&mut self, client: u16, bytes: usize) {
        if client == 0 {
            self.sent += bytes as u64;
        }
    }

    fn say(&mut self, aggregator: &mut AggregatorPlay, said: Said) -> Result<(), RehearsalError> {
        let to_clients = &mut self.to_clients;
        aggregator.hear(&said, |to, frame| deliver(to_clients, to, frame))?;
        self.said[phase_of(&said)].push(said);
        Ok(())
    }

    fn upload(
        &mut self,
        aggregator: &mut AggregatorPlay,
        client: u16,
        bytes: Vec<u8>,
    ) -> Result<(), RehearsalError> {
        self.count(client, bytes.len());
        let upload: Upload<'_> = wire::decode(&bytes, usize::MAX)?;
        let digest = Digest::of(upload.words);
        let to_clients = &mut self.to_clients;
        aggregator.take(&bytes, digest, |to, frame| deliver(to_clients, to, frame))?;
        self.uploads.push(bytes);
        let (round, entropy) = &mut self.clients[usize::from(client)];
        let effects = round.handle(ClientEvent::Uploaded, entropy);
        self.perform(aggregator, client, effects)
    }
}
