//! A run's state on disk, renewed after every round: a line of JSON, then the values as
//! little-endian f32. A file is replaced as a whole, so that a kill leaves the old or the new one.

use std::fs;
use std::path::Path;

use choir_shared::fixed_point::{adapter_bytes, adapter_from_bytes};
use choir_shared::ids::Digest;
use choir_shared::strategy::ServerState;
use serde::{Deserialize, Serialize};

use super::error::SimError;
use super::record::{Final, Record};

/// Where a run is.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Rounds that are over.
    pub round: u32,
    /// The trained values of the global adapter.
    pub values: Vec<f32>,
    /// What the server optimizer keeps.
    pub server: ServerState,
    /// What was noted down so far.
    pub records: Vec<Record>,
    /// The last version on all test texts, and the round it is of.
    pub last: Option<(u32, Final)>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    settings: Digest,
    round: u32,
    /// Lengths of values, momentum and second moment.
    lengths: [usize; 3],
    records: Vec<Record>,
    last: Option<(u32, Final)>,
}

impl State {
    /// Reads a state of these settings; none if there is no file.
    ///
    /// # Errors
    /// [`SimError::OtherSettings`], [`SimError::BrokenState`] or [`SimError::File`].
    pub fn read(path: &Path, settings: Digest) -> Result<Option<Self>, SimError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SimError::file(path, error)),
        };
        let broken = || SimError::BrokenState {
            path: path.to_owned(),
        };
        let end = bytes
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or_else(broken)?;
        let head: Head = serde_json::from_slice(&bytes[..end]).map_err(|_| broken())?;
        if head.settings != settings {
            return Err(SimError::OtherSettings {
                path: path.to_owned(),
                wanted: settings,
            });
        }
        let mut values = adapter_from_bytes(&bytes[end + 1..]).ok_or_else(broken)?;
        let [first, second, third] = head.lengths;
        if first
            .checked_add(second)
            .and_then(|len| len.checked_add(third))
            != Some(values.len())
        {
            return Err(broken());
        }
        let second_moment = values.split_off(first + second);
        let momentum = values.split_off(first);
        Ok(Some(Self {
            round: head.round,
            values,
            server: ServerState {
                momentum,
                second_moment,
            },
            records: head.records,
            last: head.last,
        }))
    }

    /// Writes it in the place of the last one.
    ///
    /// # Errors
    /// [`SimError::File`].
    pub fn write(&self, path: &Path, settings: Digest) -> Result<(), SimError> {
        let Self { server, values, .. } = self;
        let parts = [values, &server.momentum, &server.second_moment];
        let head = Head {
            settings,
            round: self.round,
            lengths: parts.map(Vec::len),
            records: self.records.clone(),
            last: self.last.clone(),
        };
        let head =
            serde_json::to_vec(&head).map_err(|error| SimError::data(path, error.to_string()));
        let mut bytes = head?;
        bytes.push(b'\n');
        for part in parts {
            bytes.extend(adapter_bytes(part));
        }
        replace(path, &bytes)
    }
}

/// Writes a file beside the old one and puts it in its place.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), SimError> {
    let beside = path.with_extension("new");
    fs::write(&beside, bytes).map_err(|error| SimError::file(&beside, error))?;
    fs::rename(&beside, path).map_err(|error| SimError::file(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_as_it_was_and_only_for_its_settings() {
        let folder = std::env::temp_dir().join(format!("choir-state-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("run.state");
        let state = State {
            round: 3,
            values: vec![1.0, f32::MIN_POSITIVE, -0.1],
            server: ServerState {
                momentum: vec![0.3; 3],
                second_moment: Vec::new(),
            },
            records: vec![Record {
                strategy: "a\nb".to_owned(),
                accuracy: 0.1,
                loss: 1.0 / 3.0,
                rounding_error: Some(1e-7),
                ..Record::default()
            }],
            last: Some((
                3,
                Final {
                    accuracy: 0.7,
                    loss: 0.2,
                    personal: Vec::new(),
                },
            )),
        };
        let settings = Digest::of(b"settings");
        assert_eq!(State::read(&path, settings).unwrap(), None);
        state.write(&path, settings).unwrap();
        assert_eq!(State::read(&path, settings).unwrap(), Some(state));
        let other = State::read(&path, Digest::of(b"others"));
        assert!(matches!(other, Err(SimError::OtherSettings { .. })));
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 4]).unwrap();
        let cut = State::read(&path, settings);
        assert!(matches!(cut, Err(SimError::BrokenState { .. })));
        fs::remove_dir_all(&folder).unwrap();
    }
}
