//! The threads that train for all clients of a process. Each holds the frozen weights once and takes
//! one client's lesson at a time, on a core of its own: forty-five clients on two cores load the
//! model twice.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use choir_shared::ids::Digest;
use choir_shared::task::{Payload, TaskConfig};

use super::error::ClientError;
use super::updates::{Share, Update};
use super::writing::Writer;
use crate::engine::cpu::CpuKernels;
use crate::native::base::{Base, CpuEngine};
use crate::native::data::{Rows, Table};
use crate::native::{NativeError, run};
use crate::train::Trainer;
use crate::train::batch::Examples;

/// What one client trains on.
pub(super) struct Lesson {
    pub(super) task: TaskConfig,
    /// The adapter to start from.
    pub(super) start: Vec<f32>,
    /// The classifier of a task that trains none.
    pub(super) frozen_head: Option<Vec<f32>>,
    pub(super) share: Share,
    /// Of the order of the examples.
    pub(super) seed: u64,
}

struct Job {
    lesson: Lesson,
    answer: Sender<Result<Update, ClientError>>,
}

/// Hands lessons to the threads that train.
#[derive(Clone)]
pub(super) struct Desk {
    jobs: Sender<Job>,
}

impl Desk {
    /// Starts so many threads on the model in `folder`; they end with the last clone of the desk.
    pub(super) fn open(folder: &Path, threads: usize) -> Self {
        let (jobs, received) = channel::<Job>();
        let received = Arc::new(Mutex::new(received));
        for _ in 0..threads.max(1) {
            let (received, folder) = (Arc::clone(&received), folder.to_owned());
            thread::spawn(move || Seat::at(folder).serve(&received));
        }
        Self { jobs }
    }

    /// Waits for a thread and trains.
    pub(super) fn train(&self, lesson: Lesson) -> Result<Update, ClientError> {
        let (answer, answered) = channel();
        self.jobs
            .send(Job { lesson, answer })
            .map_err(|_| ClientError::Desk)?;
        answered.recv().map_err(|_| ClientError::Desk)?
    }
}

/// One thread's models.
struct Seat {
    folder: PathBuf,
    base: Option<(Digest, Base)>,
    writer: Option<Writer>,
}

impl Seat {
    fn at(folder: PathBuf) -> Self {
        Self {
            folder,
            base: None,
            writer: None,
        }
    }
}

impl Seat {
    fn serve(mut self, jobs: &Mutex<Receiver<Job>>) {
        // This thread is the whole pool of what it does: the other cores belong to the others.
        let alone = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .use_current_thread()
            .build();
        if alone.is_err() {
            return;
        }
        loop {
            let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Job { lesson, answer }) = next else {
                return;
            };
            // Nobody hears where the client is gone.
            drop(answer.send(self.train(&lesson)));
        }
    }

    fn train(&mut self, lesson: &Lesson) -> Result<Update, ClientError> {
        let is_language = matches!(lesson.task.payload, Payload::Language(_));
        match &lesson.share {
            Share::Text(passages) if is_language => {
                self.writer(&lesson.task)?.train(lesson, passages)
            }
            Share::Labelled(rows) if !is_language => self.classify(lesson, rows),
            Share::Text(_) => Err(ClientError::Source {
                task: "of a classifier",
                expected: "a `share`, a table of labelled texts",
            }),
            Share::Labelled(_) => Err(ClientError::Source {
                task: "of a decoder",
                expected: "a `text`, plain with blank lines between passages",
            }),
        }
    }

    fn classify(&mut self, lesson: &Lesson, rows: &Rows) -> Result<Update, ClientError> {
        let task = &lesson.task;
        let base = self.base(task)?;
        let table = Table::of(rows.clone(), &task.labels);
        let (ids, _) = base.tokenize(&table.texts, usize::from(task.max_length))?;
        let examples = Examples::pack(ids.iter().map(Vec::as_slice), table.labels)
            .map_err(NativeError::from)?;
        let count = examples.len() as u32;
        if task.payload == Payload::Centroids {
            return Ok(Update {
                values: run::centroids(task, base, &examples, |_| {})?,
                examples: count,
                steps: 0,
                loss: None,
            });
        }
        let engine = CpuEngine::new(CpuKernels::new());
        let mut trainer = Trainer::with_encoder(engine, task.clone(), base.encoder())?;
        if let Some(head) = &lesson.frozen_head {
            trainer.set_frozen_head(head)?;
        }
        trainer.set_adapter(&lesson.start)?;
        trainer.set_examples(examples, lesson.seed);
        let steps = u32::from(task.training.local_steps);
        let mut loss = None;
        for _ in 0..steps {
            loss = Some(pollster::block_on(trainer.step())?.loss);
        }
        let after = pollster::block_on(trainer.adapter())?;
        let moved = after.iter().zip(&lesson.start);
        Ok(Update {
            values: moved.map(|(after, before)| after - before).collect(),
            examples: count,
            steps,
            loss,
        })
    }

    /// The decoder of the task, if its files are in the cache.
    fn writer(&mut self, task: &TaskConfig) -> Result<&mut Writer, ClientError> {
        let writer = match self.writer.take().filter(|writer| writer.is_of(task)) {
            Some(writer) => writer,
            None => Writer::open(&self.folder, task)?,
        };
        Ok(self.writer.insert(writer))
    }

    /// The model that the task names, if it is the one in the cache.
    fn base(&mut self, task: &TaskConfig) -> Result<&Base, ClientError> {
        let base = match self.base.take() {
            Some((digest, base)) if digest == task.base.weights => (digest, base),
            _ => {
                let weights = self.folder.join("model.safetensors");
                let bytes = std::fs::read(&weights).map_err(|error| NativeError::File {
                    path: weights,
                    error,
                })?;
                if Digest::of(&bytes) != task.base.weights {
                    return Err(ClientError::BaseModel);
                }
                drop(bytes);
                (
                    task.base.weights,
                    Base::load(&self.folder, &task.base.shape)?,
                )
            }
        };
        Ok(&self.base.insert(base).1)
    }
}
