//! Jobs shared out to threads. Each thread has a core of its own, so that numbers do not depend on
//! how many threads there are.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};

use super::EvalError;

/// Does the jobs on all cores of this machine; results are in the jobs' order.
///
/// # Errors
/// That of a job, or [`EvalError::Worker`].
pub fn work<J: Send, R: Send>(
    jobs: Vec<J>,
    work: impl Fn(J) -> Result<R, EvalError> + Sync,
) -> Result<Vec<R>, EvalError> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(jobs.len()).max(1);
    let queue = Mutex::new(jobs.into_iter().enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let on_one_core = || -> Result<Vec<(usize, R)>, EvalError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pool = pool.map_err(|_| EvalError::Worker)?;
        pool.install(|| {
            let jobs = core::iter::from_fn(next);
            jobs.map(|(place, job)| Ok((place, work(job)?))).collect()
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
    results.sort_unstable_by_key(|&(place, _)| place);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_jobs_order_and_an_error_is_that_of_the_job() {
        let squares = work((0..20).collect(), |job: u32| Ok(job * job)).unwrap();
        assert_eq!(squares, (0..20).map(|job| job * job).collect::<Vec<_>>());
        let failed = work(vec![1, 2], |_| Err::<(), _>(EvalError::Worker));
        assert!(matches!(failed, Err(EvalError::Worker)));
    }
}
