//! The second aggregator of a task, on this machine: the same worker with another state, another
//! operator's secret and a key of its own, in a process of its own.

use crate::aggregator::{Aggregator, Settings};
use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use crate::stamp;
use choir_shared::ids::PublicKey;
use choir_shared::secure_sum::x25519_public;
use choir_shared::task;
use std::net::TcpListener;
use std::path::Path;

/// Who the helper is, before it runs: tasks name its key and address.
#[derive(Clone, Debug)]
pub(crate) struct Helper {
    secret: [u8; 32],
    /// Shared with the leader.
    pub(crate) token: String,
    /// Where it listens.
    pub(crate) port: u16,
    /// Where the leader asks: its own port, unless something stands in between.
    pub(crate) front: u16,
}

impl Helper {
    /// A fresh helper on a port that nothing listens on now.
    ///
    /// # Errors
    /// `Data` where the system gives no random bytes, `Check` where it gives no port.
    pub(crate) fn fresh() -> Outcome<Self> {
        let port = free_port()?;
        Ok(Self {
            secret: random()?,
            token: stamp::hex(&random()?),
            port,
            front: port,
        })
    }

    /// The same helper, which the leader asks on this port, where somebody passes it on.
    pub(crate) fn behind(self, front: u16) -> Self {
        Self { front, ..self }
    }

    /// What clients seal their seeds to.
    pub(crate) fn key(&self) -> PublicKey {
        x25519_public(&self.secret)
    }

    /// The second aggregator as tasks name it.
    pub(crate) fn named(&self) -> task::Helper {
        task::Helper {
            url: format!("http://127.0.0.1:{}", self.front),
            key: self.key(),
        }
    }

    /// Starts it.
    ///
    /// # Errors
    /// As [`Aggregator::start`].
    pub(crate) fn start(&self, paths: &Paths, state: &Path) -> Outcome<Aggregator> {
        Aggregator::start(
            paths,
            &Settings {
                port: Some(self.port),
                state,
                site: None,
                origins: "",
                variables: &[
                    ("HELPER_SECRET_KEY", stamp::hex(&self.secret)),
                    ("HELPER_TOKEN", self.token.clone()),
                    ("HELPER_MIN_BATCH", MIN_BATCH.to_string()),
                ],
            },
        )
    }
}

/// A port that nothing listens on now.
///
/// # Errors
/// `Check` where there is none.
pub(crate) fn free_port() -> Outcome<u16> {
    let any = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    any.map(|address| address.port())
        .map_err(|error| Failure::Check(format!("no free port: {error}")))
}

fn random() -> Outcome<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::Data(format!("this system gives no random bytes: {error}")))?;
    Ok(bytes)
}

/// A demo's batches are as small as its cohorts.
const MIN_BATCH: u16 = choir_shared::wire::limits::MIN_COHORT;
