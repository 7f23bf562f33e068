//! Jobs shared out to threads. Each thread has a model and a core of its own and starts every job
//! afresh, so that numbers do not depend on how many threads there are.

use std::sync::{Mutex, PoisonError};

use super::learner::Learner;
use super::settings::Settings;
use crate::evals::EvalError;
use crate::model::decoder::DecoderAdapter;

/// Does the jobs with learners of this adapter; results are in the jobs' order.
///
/// # Errors
/// That of a job, or [`EvalError::Worker`].
pub fn work<J: Send, R: Send>(
    settings: &Settings,
    adapter: &DecoderAdapter,
    jobs: Vec<J>,
    work: impl Fn(&mut Learner, J) -> Result<R, EvalError> + Sync,
) -> Result<Vec<R>, EvalError> {
    let threads = settings.workers.min(jobs.len()).max(1);
    let queue = Mutex::new(jobs.into_iter().enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let on_one_core = || -> Result<Vec<(usize, R)>, EvalError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pool = pool.map_err(|_| EvalError::Worker)?;
        pool.install(|| {
            let mut learner = Learner::new(settings, adapter)?;
            let jobs = core::iter::from_fn(next);
            jobs.map(|(at, job)| Ok((at, work(&mut learner, job)?)))
                .collect()
        })
    };
    let mut results = std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(on_one_core)).collect();
        let mut results = Vec::new();
        for thread in started {
            results.extend(thread.join().map_err(|_| EvalError::Worker)??);
        }
        Ok::<_, EvalError>(results)
    })?;
    results.sort_unstable_by_key(|&(at, _)| at);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
