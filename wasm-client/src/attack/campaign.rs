//! The whole measurement: data, updates, every attack, the report.

use std::collections::BTreeMap;
use std::time::Instant;

use choir_shared::sim::random::Stream;
use choir_shared::task::EncoderShape;

use super::adapter::{self, Client};
use super::cell::{Ground, Updates};
use super::matching::{self, Search, Target};
use super::network::{Network, Place};
use super::observation::{Contribution, Noise, full_gradient};
use super::report::{Cell, Report, Scores, Sum, View};
use super::retrieval::Library;
use super::span;
use super::texts::{self, Decoder, Prior, Text};
use super::weights::BaseWeights;
use super::{AttackError, Job};
use crate::native::base::Base;

/// Tokens of the longest text that takes part, as in the demo.
const LONGEST: usize = 48;
/// Steps on public texts that lead to the version under attack, so that B is not zero.
const VERSION_STEPS: usize = 20;
/// Local steps of AdamW whose update is attacked.
const LOCAL_STEPS: [u16; 2] = [1, 10];
/// After AdamW every coordinate is about as large as its neighbours, so that the span is blurred:
/// about this share of the mean eigenvalue lies outside of it.
const BLURRED: f64 = 0.3;
/// Blocks whose gradients are matched.
const MATCHED_BLOCKS: u32 = 2;
const MATCHING_RATE: f64 = 0.01;

/// Runs an attack.
///
/// # Errors
/// [`AttackError::Data`] where there are too few texts, and those of files, model and engine.
pub fn run(job: &Job) -> Result<Report, AttackError> {
    let start = Instant::now();
    let scene = Scene::read(job)?;
    let decoder = Decoder::read(&job.model_dir.join("tokenizer.json"))?;
    let prior = Prior::of(&scene.public, &decoder);
    let mut client = Client::new(&scene.base, adapter::task(&job.labels, job.seed))?;
    let texts = scene.library();
    let embeddings = client.embeddings(texts, |done| {
        eprintln!("public texts embedded: {done} of {}", texts.len());
    })?;
    let head = client.set_centroids(texts, &embeddings)?;
    let library = Library { texts, embeddings };
    let mut ground = Ground {
        base: &scene.weights,
        network: Network::new(&scene.weights, &head, 0)?,
        prior: &prior,
        decoder: &decoder,
        ends: ends(&scene.private[0]),
        texts: &scene.private,
        targets: job.sizes.targets,
        shadow_texts: scene.shadows(),
        seed: job.seed,
    };
    let mut trained = Network::new(&scene.weights, &head, scene.weights.shape().layers)?;
    let mut full = |texts, who| full(&mut trained, &scene.weights, texts, who);
    let updates = Updates {
        name: "every weight".to_owned(),
        clients: full(&scene.private, "clients")?,
        shadows: full(scene.shadows(), "simulated clients")?,
        library: &library,
        ridge: span::EXACT,
        whole_vocabulary: true,
    };
    let mut report = Report {
        full: view(&mut ground, &updates, job)?,
        embedding_rows: embedding_rows(&ground, &updates),
        floor: floor(&ground),
        noise_multiplier: job.sizes.noise_multiplier,
        covered: covered(&ground),
        sizes: job.sizes.clone(),
        seed: job.seed,
        ..Report::default()
    };
    drop(updates);
    if job.sizes.matching > 0 {
        report.matching = Some(matched(&ground, &head, job)?);
    }
    if job.sizes.lora {
        lora(&mut ground, &mut client, &scene, job, &mut report)?;
    }
    report.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}

/// Model and texts.
struct Scene {
    base: Base,
    weights: BaseWeights,
    public: Vec<Text>,
    private: Vec<Text>,
    shadow_count: usize,
    library_count: usize,
}

impl Scene {
    fn read(job: &Job) -> Result<Self, AttackError> {
        let shape = EncoderShape::ALL_MINI_LM_L6_V2;
        let sizes = &job.sizes;
        let base = Base::load(&job.model_dir, &shape)?;
        let weights = BaseWeights::read(&job.model_dir.join("model.safetensors"), shape)?;
        let read = |path, seed| texts::read(path, &job.labels, &base, LONGEST, seed);
        let public = read(&job.public, job.seed)?;
        let mut private = read(&job.private, job.seed.wrapping_add(1))?;
        let cohort = sizes.clients.iter().copied().max().unwrap_or(1);
        let pool = sizes.targets + sizes.others;
        let enough = [
            ("targets", sizes.targets, 1),
            ("clients", pool, cohort),
            ("simulated clients", sizes.shadows, cohort),
            ("texts of clients", private.len(), pool),
            ("public texts", public.len(), sizes.shadows + 1),
        ];
        for (what, found, needed) in enough {
            if found < needed {
                return Err(AttackError::Data(format!(
                    "{found} {what} are too few, this attack needs {needed}: \
                     lower the sizes or give more data"
                )));
            }
        }
        private.truncate(pool);
        Ok(Self {
            base,
            weights,
            shadow_count: sizes.shadows,
            library_count: sizes.library.min(public.len() - sizes.shadows),
            public,
            private,
        })
    }

    /// Texts of the attacker's simulated clients; none of them is in the library.
    fn shadows(&self) -> &[Text] {
        &self.public[..self.shadow_count]
    }

    fn library(&self) -> &[Text] {
        &self.public[self.shadow_count..][..self.library_count]
    }
}

/// Gradients of every weight.
fn full(
    network: &mut Network,
    base: &BaseWeights,
    texts: &[Text],
    who: &str,
) -> Result<Vec<Contribution>, AttackError> {
    let mut contributions = Vec::with_capacity(texts.len());
    for (done, text) in texts.iter().enumerate() {
        if done % 10 == 0 {
            eprintln!("gradients of {who}: {done} of {}", texts.len());
        }
        contributions.push(full_gradient(network, base, text)?);
    }
    Ok(contributions)
}

/// Every sum of one kind of update.
fn view(ground: &mut Ground<'_>, updates: &Updates<'_>, job: &Job) -> Result<View, AttackError> {
    let noise = Noise {
        clip: updates.median_norm(),
        multiplier: job.sizes.noise_multiplier,
    };
    let mut sums = BTreeMap::new();
    for &clients in &job.sizes.clients {
        let plain = ground.attack(updates, clients, None)?;
        let noise = ground.attack(updates, clients, Some(noise))?;
        sums.insert(clients, Sum { plain, noise });
    }
    Ok(View {
        coordinates: updates
            .clients
            .first()
            .map_or(0, |client| client.coordinates),
        clip: noise.clip,
        sums,
    })
}

/// Attacks what Choir's clients send.
fn lora(
    ground: &mut Ground<'_>,
    client: &mut Client,
    scene: &Scene,
    job: &Job,
    report: &mut Report,
) -> Result<(), AttackError> {
    eprintln!("adapter: {VERSION_STEPS} steps on public texts");
    client.train(scene.library(), VERSION_STEPS, job.seed)?;
    let texts = scene.library();
    let embeddings = client.embeddings(texts, |done| {
        eprintln!(
            "public texts embedded with the adapter: {done} of {}",
            texts.len()
        );
    })?;
    let library = Library { texts, embeddings };
    let mut each = |texts: &[Text], steps: Option<u16>| -> Result<Vec<_>, AttackError> {
        texts
            .iter()
            .map(|text| match steps {
                None => client.gradient(text),
                Some(steps) => client.update(text, steps),
            })
            .collect()
    };
    let gradients = Updates {
        name: "LoRA and head".to_owned(),
        clients: each(&scene.private, None)?,
        shadows: each(scene.shadows(), None)?,
        library: &library,
        ridge: span::EXACT,
        whole_vocabulary: true,
    };
    report.lora = Some(view(ground, &gradients, job)?);
    for steps in LOCAL_STEPS {
        eprintln!("LoRA and head: {steps} local steps of every client");
        let updates = Updates {
            name: format!("LoRA and head, {steps} steps of AdamW"),
            clients: each(&scene.private[..job.sizes.targets], Some(steps))?,
            shadows: each(scene.shadows(), Some(steps))?,
            library: &library,
            ridge: BLURRED,
            whole_vocabulary: false,
        };
        let cell: Cell = ground.attack(&updates, 1, None)?;
        report.lora_steps.insert(steps, cell);
    }
    Ok(())
}

/// Gradient matching on the first texts.
fn matched(ground: &Ground<'_>, head: &[f32], job: &Job) -> Result<Scores, AttackError> {
    let mut network = Network::new(ground.base, head, MATCHED_BLOCKS)?;
    let weights = network.weights().to_vec();
    let search = Search {
        steps: job.sizes.matching_steps,
        learning_rate: MATCHING_RATE,
    };
    let mut guesses = Vec::new();
    let count = job.sizes.matching.min(ground.targets);
    for (index, text) in ground.texts[..count].iter().enumerate() {
        let embeddings = ground.base.embeddings(&text.tokens);
        let gradient = network.gradient(&weights, &embeddings, text.label)?.weights;
        let target = Target {
            label: shown_label(&network, &gradient),
            gradient: &gradient,
            ends: ends(text),
            length: text.tokens.len(),
        };
        let mut stream = Stream::new(job.seed + index as u64, "matching");
        let (tokens, left) =
            matching::reconstruct(&mut network, ground.base, target, search, &mut stream)?;
        eprintln!(
            "gradient matching: text {} of {count}, distance {left:.3}",
            index + 1
        );
        guesses.push(ground.decoder.words(&tokens));
    }
    Ok(ground.scores(guesses))
}

/// First and last token, the same in every text.
fn ends(text: &Text) -> [u32; 2] {
    [text.tokens[0], text.tokens[text.tokens.len() - 1]]
}

/// The class of a single text: the only one whose bias the update raises (iDLG, Zhao et al. 2020).
fn shown_label(network: &Network, gradient: &[f32]) -> u32 {
    let bias = network
        .parts()
        .iter()
        .find(|part| part.place == Place::HeadBias);
    let bias = bias.map_or(&[][..], |part| &gradient[part.parameter.range.clone()]);
    let least = bias.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
    least.map_or(0, |(label, _)| label as u32)
}

fn embedding_rows(ground: &Ground<'_>, updates: &Updates<'_>) -> Scores {
    let clients = updates.clients[..ground.targets].iter();
    ground.scores(
        clients
            .map(|client| ground.decoder.words(&client.embedding_rows))
            .collect(),
    )
}

fn floor(ground: &Ground<'_>) -> Scores {
    let texts = ground.texts[..ground.targets].iter();
    ground.scores(
        texts
            .map(|text| ground.prior.frequent_words(text.tokens.len()))
            .collect(),
    )
}

fn covered(ground: &Ground<'_>) -> f64 {
    let tokens = ground.texts[..ground.targets]
        .iter()
        .flat_map(|text| &text.tokens[1..text.tokens.len() - 1]);
    let known = |token: &&u32| ground.prior.tokens.binary_search(token).is_ok();
    let (total, found) = (tokens.clone().count(), tokens.filter(known).count());
    found as f64 / total.max(1) as f64
}
