//! The aggregator's machine under any sequence of events: messages of real clients delivered,
//! changed, repeated, reordered, lost, on other connections; clients that go, come back and stay
//! away; restarts; time.

use choir_shared::ids::ConnectionId;
use choir_shared::messages::ClientMessage;
use choir_shared::round::{ClientEvent, Event};
use choir_shared::sim;
use choir_shared::task::TaskConfig;
use choir_shared::wire;

use crate::scene::{Letter, Scene, foreign_key};
use crate::script::Script;

/// The first byte says how many clients there are, each further one what happens next. True where a
/// sum was published.
#[must_use]
pub fn round_events(data: &[u8]) -> bool {
    let mut script = Script::new(data);
    let clients = 3 + u16::from(script.or_zero() % 3);
    let mut scene = Scene::new(clients);
    let mut steps = 0;
    while let (Some(event), 0..STEPS) = (script.byte(), steps) {
        steps += 1;
        happen(&mut scene, event, &mut script);
    }
    scene.finish()
}

/// Events of one run at most.
const STEPS: usize = 96;

fn happen(scene: &mut Scene, event: u8, script: &mut Script<'_>) {
    match event % 18 {
        0 => scene.give_all(),
        1 => scene.tell_all(),
        // One message arrives, before those that were sent earlier.
        2 => {
            if let Some(place) = script.place(scene.up.len()) {
                let letter = scene.up.remove(place);
                scene.give(&letter, true);
            }
        }
        3 => {
            if let Some(place) = script.place(scene.up.len()) {
                scene.up.remove(place);
            }
        }
        4 => {
            if let Some(place) = script.place(scene.down.len()) {
                let (client, message) = scene.down.remove(place);
                scene.tell(client, ClientEvent::Message(message));
            }
        }
        5 => {
            if let Some(place) = script.place(scene.down.len()) {
                scene.down.remove(place);
            }
        }
        // An old message again.
        6 => {
            if let Some(letter) = any_sent(scene, script) {
                scene.give(&letter, false);
            }
        }
        // A changed one instead of it, or beside it.
        7 | 8 => {
            if let Some(place) = script.place(scene.up.len()) {
                let mut letter = scene.up[place].clone();
                letter.bytes = script.spoil(&letter.bytes);
                scene.give(&letter, false);
                if event % 18 == 7 {
                    scene.up.remove(place);
                }
            }
        }
        // On another client's connection.
        9 => {
            if let Some(letter) = any_sent(scene, script) {
                let link = script.place(scene.clients.len()).unwrap_or_default();
                let link = scene.clients[link].link;
                scene.give(&Letter { link, ..letter }, false);
            }
        }
        10 => {
            scene.now = scene.now.after(u32::from(script.word()));
            scene.happen(Event::Tick);
        }
        11 => scene.wait_for_deadline(),
        12 => {
            if let Some(client) = script.place(scene.clients.len()) {
                let link = scene.clients[client].link;
                scene.happen(Event::Disconnected(link));
            }
        }
        13 => {
            if let Some(client) = script.place(scene.clients.len()) {
                scene.relink(client);
            }
        }
        14 => scene.restart(),
        15 => {
            if let Some(client) = script.place(scene.clients.len()) {
                scene.leave(client);
            }
        }
        16 => made_up(scene, script),
        _ => {
            if script.or_zero() == 0xff {
                scene.happen(Event::Stop);
            } else {
                scene.expand();
            }
        }
    }
}

fn any_sent(scene: &Scene, script: &mut Script<'_>) -> Option<Letter> {
    let place = script.place(scene.sent.len())?;
    Some(scene.sent[place].clone())
}

/// A message that no client made: a stranger's JOIN, or bytes of the script.
fn made_up(scene: &mut Scene, script: &mut Script<'_>) {
    let link = ConnectionId(u64::from(script.or_zero() % 8));
    let len = usize::from(script.or_zero());
    let bytes = match len {
        0 => wire::encode(&stranger(scene.round.setup().task.clone())),
        len => script.bytes(len).to_vec(),
    };
    let letter = Letter {
        client: 0,
        link,
        is_upload: len % 2 == 1,
        bytes,
    };
    scene.give(&letter, false);
}

/// A JOIN with a signing key that nobody has the secret of.
fn stranger(task: TaskConfig) -> ClientMessage {
    let setup = sim::round_setup(&task);
    ClientMessage::Join {
        round: setup.round_id,
        version: setup.version,
        signing_key: choir_shared::ids::PublicKey(BASE_POINT),
        channel_key: foreign_key(),
        mask_key: choir_shared::secure_sum::x25519_public(&[98; 32]),
        model_digest: task.model_digest(setup.version, setup.adapter),
        token: Vec::new(),
    }
}

/// The compressed base point of Ed25519 (RFC 8032, section 5.1).
const BASE_POINT: [u8; 32] = {
    let mut bytes = [0x66; 32];
    bytes[0] = 0x58;
    bytes
};
