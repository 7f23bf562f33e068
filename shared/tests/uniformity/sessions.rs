//! Masked vectors of true sessions: three clients and an aggregator, up to UPLOAD.

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::ids::{ConnectionId, Timestamp};
use choir_shared::messages::{AggregatorMessage, Upload};
use choir_shared::policy::Policy;
use choir_shared::round::{ClientEffect, ClientEvent, ClientRound, Effect, JoinSetup, Round};
use choir_shared::secure_sum::Ring;
use choir_shared::sim;
use choir_shared::task::{Quantiser, TaskConfig};
use choir_shared::update::FrozenUpdate;
use choir_shared::wire;

pub(crate) const CLIENTS: usize = 3;

/// What the clients have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Every integer is 0.
    Zero,
    /// Every integer is the most that its weight allows.
    Most,
    /// Waves around 0, as of an update.
    Update,
}

pub(crate) struct Sessions {
    task: TaskConfig,
    values: usize,
}

impl Sessions {
    /// Vectors of at least so many words.
    pub(crate) fn new(words: usize) -> Self {
        let dim = (words as u32 - 2) / 2;
        let mut task = sim::head_task(CLIENTS as u16, CLIENTS as u16, dim);
        task.quantiser = Quantiser {
            levels: (1 << 14) - 1,
            weight_max: 128,
            ..task.quantiser
        };
        assert_eq!(task.ring().bits(), 24, "the default ring");
        Self {
            task,
            values: 2 * dim as usize + 2,
        }
    }

    pub(crate) fn ring(&self) -> Ring {
        self.task.ring()
    }

    fn update(
        &self,
        input: Input,
        client: usize,
        entropy: &mut InsecureSeededEntropy,
    ) -> FrozenUpdate {
        let bound = self.task.quantiser.bound;
        let value = |at: usize| match input {
            Input::Zero => -bound,
            Input::Most => bound,
            Input::Update => bound * 0.1 * ((client + 1) as f32 * at as f32).sin(),
        };
        let values: Vec<f32> = (0..self.values).map(value).collect();
        FrozenUpdate::new(&values, 100, &self.task, entropy).expect("an update of the task")
    }

    /// The integers before masking.
    pub(crate) fn plain(&self, input: Input, entropy: &mut InsecureSeededEntropy) -> Vec<Vec<u32>> {
        (0..CLIENTS)
            .map(|client| self.update(input, client, entropy).plain_words().to_vec())
            .collect()
    }

    /// What the clients of one session upload.
    pub(crate) fn masked(&self, seed: u64, input: Input) -> Vec<Vec<u32>> {
        let entropy = &mut InsecureSeededEntropy::new(seed);
        let setup = sim::round_setup(&self.task);
        let mut round = Round::new(setup.clone()).expect("a sound task");
        let mut clients = Vec::new();
        let mut pending = Vec::new();
        for client in 0..CLIENTS {
            let update = self.update(input, client, entropy);
            let join = JoinSetup {
                policy: Policy::demo(),
                task: &self.task,
                task_id: setup.task_id,
                round_id: setup.round_id,
                version: setup.version,
                adapter: setup.adapter,
            };
            let (joined, effects) =
                ClientRound::join(&join, update, entropy).expect("the policy allows it");
            clients.push(joined);
            pending.extend(effects.into_iter().map(|effect| (client, effect)));
        }
        let mut uploads = vec![Vec::new(); CLIENTS];
        while !pending.is_empty() {
            let mut said: Vec<(usize, AggregatorMessage)> = Vec::new();
            for (client, effect) in std::mem::take(&mut pending) {
                match effect {
                    ClientEffect::Send(bytes) => {
                        let from = ConnectionId(client as u64);
                        let effects = round.handle_message(from, &bytes, Timestamp(1));
                        for effect in effects.expect("an honest message") {
                            if let Effect::Send { to, message } = effect {
                                let to = to.iter().map(|to| (to.0 as usize, message.clone()));
                                said.extend(to);
                            }
                        }
                    }
                    ClientEffect::Upload(bytes) => uploads[client] = self.words(&bytes),
                    _ => {}
                }
            }
            for (client, message) in said {
                let effects = clients[client].handle(ClientEvent::Message(message), entropy);
                pending.extend(effects.into_iter().map(|effect| (client, effect)));
            }
        }
        uploads
    }

    fn words(&self, bytes: &[u8]) -> Vec<u32> {
        let upload: Upload<'_> = wire::decode(bytes, bytes.len()).expect("UPLOAD");
        let words = self.ring().unpack(upload.words, self.values + 1);
        words.expect("packed words")
    }
}
