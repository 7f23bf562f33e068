//! The texts of an experiment as token ids, and what is computed of them once: class centroids.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use choir_shared::ids::Digest;
use choir_shared::sim::partition;
use choir_shared::sim::random::Stream;
use choir_shared::task::EncoderShape;
use serde_json::Value;

use super::config::{Config, Data, Split};
use super::error::SimError;
use crate::engine::EngineError;
use crate::native::base::Base;
use crate::native::data::Rows;
use crate::train::batch::Examples;

/// Labelled texts as token ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    pub(super) tokens: Vec<Vec<u32>>,
    pub(super) labels: Vec<u32>,
}

impl Texts {
    /// Those at these places.
    pub(super) fn pack(&self, places: &[usize]) -> Result<Examples, EngineError> {
        let labels = places.iter().map(|&at| self.labels[at]).collect();
        Examples::pack(places.iter().map(|&at| self.tokens[at].as_slice()), labels)
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// All of them.
    pub(super) fn all(&self) -> Result<Examples, EngineError> {
        self.pack(&(0..self.len()).collect::<Vec<_>>())
    }
}

/// An experiment's data.
#[derive(Clone, Debug)]
pub(super) struct DataSet {
    /// Class names, sorted.
    pub(super) labels: Vec<String>,
    /// To be dealt out.
    pub(super) train: Texts,
    /// Never trained on.
    pub(super) test: Texts,
    /// Places of the test texts that are measured after each round.
    pub(super) watched: Vec<usize>,
    /// Whose each training text is, where the data says so.
    users: Option<Vec<String>>,
    /// Of everything above.
    pub(super) digest: Digest,
}

impl DataSet {
    /// Reads and tokenizes.
    pub(super) fn read(config: &Config, base: &Base) -> Result<Self, SimError> {
        let data = &config.data;
        let (mut train, mut test) = tables(data)?;
        let labels = choose_labels(&train.labels, data.labels);
        keep(&mut train, &labels);
        keep(&mut test, &labels);
        if labels.len() < 2 || train.texts.is_empty() || test.texts.is_empty() {
            return Err(SimError::data(&data.train, "too few texts or labels"));
        }
        let tokenize = |rows: &Rows| -> Result<Texts, SimError> {
            let (tokens, _) = base.tokenize(&rows.texts, usize::from(data.max_length))?;
            let rank = |label: &String| labels.partition_point(|known| known < label) as u32;
            Ok(Texts {
                tokens,
                labels: rows.labels.iter().map(rank).collect(),
            })
        };
        let (train_texts, test) = (tokenize(&train)?, tokenize(&test)?);
        let watched = match config.evaluation.texts {
            0 => (0..test.len()).collect(),
            count => Stream::new(0, "watched").choose(count, test.len()),
        };
        let mut set = Self {
            labels,
            train: train_texts,
            test,
            watched,
            users: train.users,
            digest: Digest([0; 32]),
        };
        set.digest = set.hash();
        Ok(set)
    }

    /// Places of each client's training texts.
    pub(super) fn shares(&self, config: &Config, seed: u64) -> Result<Vec<Vec<usize>>, SimError> {
        let clients = &config.clients;
        if let Some(by_labels) = clients.partition.by_labels() {
            return Ok(partition::deal(
                &self.train.labels,
                by_labels,
                clients.count,
                seed,
            )?);
        }
        let users = self.users.clone().ok_or_else(|| {
            SimError::data(&config.data.train, "it has no column `user` to deal out by")
        })?;
        let groups = partition::by_key(users);
        if groups.len() < clients.count {
            let found = groups.len();
            let reason = format!("it has {found} users: clients.count must not be larger");
            return Err(SimError::data(&config.data.train, reason));
        }
        let largest = groups.into_iter().take(clients.count);
        Ok(largest.map(|(_, places)| places).collect())
    }

    fn hash(&self) -> Digest {
        let mut bytes = self.labels.join("\n").into_bytes();
        for texts in [&self.train, &self.test] {
            for (tokens, label) in texts.tokens.iter().zip(&texts.labels) {
                bytes.extend(label.to_le_bytes());
                bytes.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
            }
        }
        let watched = self
            .watched
            .iter()
            .flat_map(|&at| (at as u64).to_le_bytes());
        bytes.extend(watched);
        bytes.extend(self.users.iter().flatten().flat_map(|user| user.bytes()));
        Digest::of(&bytes)
    }
}

/// Training and test rows.
fn tables(data: &Data) -> Result<(Rows, Rows), SimError> {
    let is_clinc = data
        .train
        .extension()
        .is_some_and(|ending| ending == "json");
    if is_clinc {
        return clinc150(&data.train);
    }
    let mut train = Rows::read(&data.train)?;
    if let Some(test) = &data.test {
        return Ok((train, Rows::read(test)?));
    }
    let count = train.texts.len();
    let held_out: BTreeSet<usize> = Stream::new(0, "hold-out")
        .choose(count / 5, count)
        .into_iter()
        .collect();
    let test = select(&train, |place| held_out.contains(&place));
    train = select(&train, |place| !held_out.contains(&place));
    Ok((train, test))
}

/// CLINC150 (Larson et al. 2019): `[text, intent]` pairs; the user of a text is its intent's domain.
fn clinc150(path: &Path) -> Result<(Rows, Rows), SimError> {
    let broken = |reason: &str| SimError::data(path, reason);
    let read = |path: &Path| -> Result<Value, SimError> {
        let text = std::fs::read_to_string(path).map_err(|error| SimError::file(path, error))?;
        serde_json::from_str(&text).map_err(|error| SimError::data(path, error.to_string()))
    };
    let pairs = read(path)?;
    let domains: BTreeMap<String, Vec<String>> =
        serde_json::from_value(read(&path.with_file_name("domains.json"))?)
            .map_err(|error| SimError::data(path, format!("its domains.json: {error}")))?;
    let domain_of: BTreeMap<&str, &str> = domains
        .iter()
        .flat_map(|(domain, intents)| intents.iter().map(|i| (i.as_str(), domain.as_str())))
        .collect();
    let part = |name: &str| -> Result<Rows, SimError> {
        let part: Vec<(String, String)> = pairs
            .get(name)
            .and_then(|part| serde_json::from_value(part.clone()).ok())
            .ok_or_else(|| broken("it has no pairs of text and intent under train and test"))?;
        let mut rows = Rows::default();
        let mut users = Vec::new();
        for (text, intent) in part {
            let domain = domain_of.get(intent.as_str());
            users.push((*domain.ok_or_else(|| broken("an intent is of no domain"))?).to_owned());
            rows.texts.push(text);
            rows.labels.push(intent);
        }
        rows.users = Some(users);
        Ok(rows)
    };
    Ok((part("train")?, part("test")?))
}

fn choose_labels(labels: &[String], count: Option<usize>) -> Vec<String> {
    let known: BTreeSet<&String> = labels.iter().collect();
    let mut known: Vec<String> = known.into_iter().cloned().collect();
    if let Some(count) = count {
        Stream::new(0, "labels").shuffle(&mut known);
        known.truncate(count);
        known.sort();
    }
    known
}

fn keep(rows: &mut Rows, labels: &[String]) {
    *rows = select(rows, |place| {
        labels.binary_search(&rows.labels[place]).is_ok()
    });
}

fn select(rows: &Rows, wanted: impl Fn(usize) -> bool) -> Rows {
    let places: Vec<usize> = (0..rows.texts.len()).filter(|&at| wanted(at)).collect();
    let of = |column: &[String]| places.iter().map(|&at| column[at].clone()).collect();
    Rows {
        texts: of(&rows.texts),
        labels: of(&rows.labels),
        users: rows.users.as_deref().map(of),
    }
}

/// The sizes of the encoder in `folder`, from its `config.json`.
pub(super) fn encoder_shape(folder: &Path) -> Result<EncoderShape, SimError> {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(|error| SimError::file(&path, error))?;
    let config: Value =
        serde_json::from_str(&text).map_err(|error| SimError::data(&path, error.to_string()))?;
    let size = |name: &str| {
        let size = config.get(name).and_then(Value::as_u64);
        size.and_then(|size| u32::try_from(size).ok())
            .ok_or_else(|| SimError::data(&path, format!("it has no {name}")))
    };
    let norm_eps = config.get("layer_norm_eps").and_then(Value::as_f64);
    Ok(EncoderShape {
        dim: size("hidden_size")?,
        layers: size("num_hidden_layers")?,
        heads: size("num_attention_heads")?,
        intermediate: size("intermediate_size")?,
        vocabulary: size("vocab_size")?,
        positions: size("max_position_embeddings")?,
        norm_eps: norm_eps.unwrap_or(1e-12) as f32,
    })
}

/// How a split is called in reports.
pub(super) fn split_name(split: Split) -> String {
    match split {
        Split::Iid => "iid".to_owned(),
        Split::Dirichlet { alpha } => format!("Dirichlet {alpha}"),
        Split::Labels => "by label".to_owned(),
        Split::Shards { per_client } => format!("{per_client} shards each"),
        Split::User => "natural users".to_owned(),
    }
}
