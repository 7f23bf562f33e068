//! When a client is lost: for demonstrations and benches of tabs that close. A client that is lost
//! says nothing: its sockets are gone, half an upload stays half.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::entropy;

/// The points of a round at which a client can be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// Before SHARE is sent.
    BeforeShare,
    /// After SHARE is sent.
    AfterShare,
    /// When half of the upload is sent.
    MidUpload,
    /// When the upload is taken.
    AfterUpload,
}

/// How long a client lives in one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    point: Option<Point>,
    mean: Option<Duration>,
    began: Instant,
    ends: Option<Instant>,
}

impl Life {
    /// Ends at a point, or after an exponential time of this mean from JOIN on, or not at all.
    pub(super) fn new(point: Option<Point>, mean: Option<Duration>) -> Self {
        Self {
            point,
            mean,
            began: Instant::now(),
            ends: None,
        }
    }

    /// JOIN is sent.
    pub(super) fn begin(&mut self) {
        self.began = Instant::now();
        self.ends = self
            .mean
            .map(|mean| self.began + mean.mul_f64(-(1.0 - entropy::fraction()).ln()));
    }

    /// Milliseconds since JOIN.
    pub(super) fn milliseconds(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Whether it ends at this point.
    pub(super) fn ends_at(&self, point: Point) -> bool {
        self.point == Some(point)
    }

    /// Where it was planned to end.
    pub(super) const fn point(&self) -> Option<Point> {
        self.point
    }

    /// Whether its time is over.
    pub(super) fn is_over(&self) -> bool {
        self.ends.is_some_and(|ends| Instant::now() >= ends)
    }

    /// The shorter of `wait` and what is left.
    pub(super) fn at_most(&self, wait: Duration) -> Duration {
        let left = self
            .ends
            .map(|ends| ends.saturating_duration_since(Instant::now()));
        left.map_or(wait, |left| left.min(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_without_a_plan_does_not_end() {
        let mut life = Life::new(None, None);
        life.begin();
        assert!(!life.is_over());
        assert_eq!(life.at_most(Duration::from_secs(9)), Duration::from_secs(9));
    }

    #[test]
    fn lifetimes_have_their_mean() {
        let mean = Duration::from_secs(30);
        let drawn: f64 = (0..10_000)
            .map(|_| {
                let mut life = Life::new(None, Some(mean));
                life.begin();
                let ends = life.ends.expect("a planned end");
                (ends - life.began).as_secs_f64()
            })
            .sum();
        // The mean of 10,000 draws has a standard deviation of 1 %: six of them.
        assert!((drawn / 10_000.0 - 30.0).abs() < 1.8);
    }
}
