//! The client's machine under an aggregator that says anything: what it said to others, what it said
//! before, the same with other lists, signatures and bytes. The clients' own words reach an honest
//! aggregator, so that there is always a true story to mix the false ones with.

use choir_shared::ids::ClientIndex;
use choir_shared::messages::{AbortReason, AggregatorMessage, ClientMessage};
use choir_shared::round::ClientEvent;
use choir_shared::secure_sum::Bitmap;
use choir_shared::wire::{self, limits};

use crate::scene::{Scene, code, foreign_key};
use crate::script::Script;

/// The first byte says how many clients there are, each further one what happens next. True where
/// some client opened shares.
#[must_use]
pub fn client_events(data: &[u8]) -> bool {
    let mut script = Script::new(data);
    let mut scene = Scene::new(3 + u16::from(script.or_zero() % 3));
    let mut steps = 0;
    while let (Some(event), 0..STEPS) = (script.byte(), steps) {
        steps += 1;
        happen(&mut scene, event, &mut script);
    }
    scene.finish();
    scene.has_opened()
}

/// Events of one run at most.
const STEPS: usize = 96;

fn happen(scene: &mut Scene, event: u8, script: &mut Script<'_>) {
    match event % 15 {
        0 => scene.give_all(),
        1 => scene.tell_all(),
        2 => {
            if let Some(place) = script.place(scene.down.len()) {
                let (client, message) = scene.down.remove(place);
                scene.tell(client, ClientEvent::Message(message));
            }
        }
        3 => {
            if let Some(place) = script.place(scene.down.len()) {
                scene.down.remove(place);
            }
        }
        // Something that was said before, perhaps to somebody else.
        4 => {
            if let Some(place) = script.place(scene.said.len()) {
                let message = scene.said[place].clone();
                say(scene, script, message);
            }
        }
        // The same, changed in one byte or cut.
        5 => {
            if let Some(place) = script.place(scene.said.len()) {
                let bytes = script.spoil(&wire::encode(&scene.said[place]));
                say_bytes(scene, script, &bytes);
            }
        }
        6 => {
            let len = usize::from(script.or_zero());
            let bytes = script.bytes(len);
            say_bytes(scene, script, bytes);
        }
        7 => {
            let survivors = set(scene, script);
            say(scene, script, AggregatorMessage::Survivors { survivors });
        }
        8 => acks(scene, script),
        9 => deliver(scene, script),
        10 => roster(scene, script),
        11 => {
            let client = script.place(scene.clients.len()).unwrap_or_default();
            let code = code(script.or_zero());
            let event = match script.or_zero() % 5 {
                0 => ClientEvent::UploadRefused(code),
                1 => ClientEvent::Uploaded,
                2 => ClientEvent::Disconnected,
                3 => ClientEvent::Message(AggregatorMessage::Aborted {
                    reason: AbortReason::TooFewAcks,
                }),
                _ => ClientEvent::Message(AggregatorMessage::Refused {
                    code,
                    version: None,
                }),
            };
            scene.tell(client, event);
        }
        12 => {
            if let Some(client) = script.place(scene.clients.len()) {
                scene.relink(client);
            }
        }
        13 => {
            if let Some(client) = script.place(scene.clients.len()) {
                scene.leave(client);
            }
        }
        _ => scene.wait_for_deadline(),
    }
}

fn say(scene: &mut Scene, script: &mut Script<'_>, message: AggregatorMessage) {
    if let Some(client) = script.place(scene.clients.len()) {
        scene.tell(client, ClientEvent::Message(message));
    }
}

fn say_bytes(scene: &mut Scene, script: &mut Script<'_>, bytes: &[u8]) {
    if let Ok(message) = wire::decode(bytes, limits::AGGREGATOR_MESSAGE) {
        say(scene, script, message);
    }
}

/// Any set of clients.
fn set(scene: &Scene, script: &mut Script<'_>) -> Vec<u8> {
    let (clients, bits) = (scene.clients.len() as u16, script.or_zero());
    let set = Bitmap::from_fn(clients, |index| bits >> index & 1 == 1);
    set.as_bytes().to_vec()
}

/// The signatures that clients made, for a set of signers that is or is not theirs.
fn acks(scene: &mut Scene, script: &mut Script<'_>) {
    let signers = set(scene, script);
    let mut signatures = Vec::new();
    for index in 0..scene.clients.len() as u16 {
        if signers[0] >> index & 1 == 0 {
            continue;
        }
        let signed = scene.sent.iter().filter_map(|letter| {
            match wire::decode(&letter.bytes, limits::CLIENT_MESSAGE) {
                Ok(ClientMessage::Ack {
                    index: ClientIndex(signer),
                    signature,
                    ..
                }) => Some((signer, signature)),
                _ => None,
            }
        });
        let signed: Vec<_> = signed.collect();
        let own = signed.iter().find(|(signer, _)| *signer == index);
        match own.or_else(|| signed.first()) {
            Some((_, signature)) => signatures.extend(signature.0),
            None => signatures.extend([0; 64]),
        }
    }
    let message = AggregatorMessage::Acks {
        signers,
        signatures,
    };
    say(scene, script, message);
}

/// A DELIVER of before, with another list of who shared, or another's boxes.
fn deliver(scene: &mut Scene, script: &mut Script<'_>) {
    let list = set(scene, script);
    let cut = usize::from(script.or_zero() % 4);
    let found = scene.said.iter().rev().find_map(|message| match message {
        AggregatorMessage::Deliver { senders, boxes, .. } => Some((senders.clone(), boxes.clone())),
        _ => None,
    });
    if let Some((mut senders, mut boxes)) = found {
        senders.truncate(senders.len().saturating_sub(cut));
        boxes.truncate(senders.len() * limits::BOX_BYTES);
        let message = AggregatorMessage::Deliver {
            shared: list,
            senders,
            boxes,
        };
        say(scene, script, message);
    }
}

/// A ROSTER of before with two entries swapped, one doubled, one foreign, or one missing.
fn roster(scene: &mut Scene, script: &mut Script<'_>) {
    let (how, place) = (script.or_zero(), script.or_zero());
    let found = scene
        .said
        .iter()
        .find(|message| matches!(message, AggregatorMessage::Roster { .. }));
    let Some(mut message) = found.cloned() else {
        return;
    };
    if let AggregatorMessage::Roster { roster, .. } = &mut message {
        let mut entries: Vec<Vec<u8>> = roster.chunks_exact(96).map(<[u8]>::to_vec).collect();
        let place = usize::from(place) % entries.len();
        match how % 4 {
            0 => entries.swap(0, place),
            1 => entries[place] = entries[0].clone(),
            2 => entries[place][64..].copy_from_slice(&foreign_key().0),
            _ => drop(entries.remove(place)),
        }
        *roster = entries.concat();
    }
    say(scene, script, message);
}
