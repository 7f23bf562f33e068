//! What the numbers should be, and whether they are.

use super::super::workload::{DECODER, Workload};
use super::Found;
use serde_json::{Value, json};

/// A bound on a number, for some workloads.
pub(super) struct Target {
    name: &'static str,
    bound: Bound,
    found: Vec<(&'static Workload, Option<f64>)>,
}

/// At least this much, or at most.
pub(super) enum Bound {
    Least(f64),
    Most(f64),
}

use Bound::{Least, Most};

/// Every target, against these numbers.
pub(super) fn of(numbers: &[(&'static str, Found)]) -> Vec<Target> {
    let all = &Workload::ALL[..];
    let target = |name, bound, workloads: &[&Workload]| Target {
        name,
        bound,
        found: found(numbers, name, workloads),
    };
    vec![
        target("floor_ratio", Least(0.6), all),
        target("ratio_tfjs_webgl", Least(1.25), all),
        target("ratio_jaxjs_webgpu", Least(2.2), all),
        target("ratio_tfjs_webgpu", Least(9.0), all),
        target("ratio_cpu_jaxjs", Least(2.0), all),
        target("ratio_cpu_ort", Least(1.0), all),
        target("dispatches_per_step", Most(140.0), &[&DECODER]),
        target("peak_over_best_rival", Most(0.5), all),
    ]
}

fn found(
    numbers: &[(&'static str, Found)],
    name: &str,
    workloads: &[&Workload],
) -> Vec<(&'static Workload, Option<f64>)> {
    let of_name = numbers.iter().filter(|(number, _)| *number == name);
    of_name
        .flat_map(|(_, found)| found)
        .filter(|(workload, _)| workloads.contains(workload))
        .map(|(workload, number)| (*workload, number.as_ref().ok().copied()))
        .collect()
}

impl Target {
    /// Broken by one number, unknown while one is missing.
    pub(super) fn met(&self) -> Option<bool> {
        let numbers = || self.found.iter().map(|(_, number)| *number);
        if numbers().flatten().any(|number| !self.bound.holds(number)) {
            return Some(false);
        }
        numbers().all(|number| number.is_some()).then_some(true)
    }

    pub(super) fn json(&self) -> Value {
        let (is, bound) = match self.bound {
            Least(bound) => ("at_least", bound),
            Most(bound) => ("at_most", bound),
        };
        let names: Vec<&str> = self.found.iter().map(|(of, _)| of.name).collect();
        let found: Vec<Option<f64>> = self.found.iter().map(|(_, number)| *number).collect();
        json!({
            "name": self.name,
            "workloads": names,
            "is": is,
            "bound": bound,
            "found": found,
            "met": self.met(),
        })
    }

    pub(super) fn line(&self) -> String {
        let (is, bound) = match self.bound {
            Least(bound) => ("at least", bound),
            Most(bound) => ("at most", bound),
        };
        let number = |(of, number): &(&Workload, Option<f64>)| {
            let number =
                number.map_or_else(|| "not measured".to_owned(), |found| format!("{found:.2}"));
            format!("{} {number}", of.name)
        };
        let found: Vec<String> = self.found.iter().map(number).collect();
        let met = match self.met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "open",
        };
        format!("{} {is} {bound}: {} ({met})", self.name, found.join(", "))
    }
}

impl Bound {
    fn holds(&self, number: f64) -> bool {
        match self {
            Least(least) => number >= *least,
            Most(most) => number <= *most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(bound: Bound, found: [Option<f64>; 2]) -> Option<bool> {
        let target = Target {
            name: "number",
            bound,
            found: Workload::ALL.into_iter().zip(found).collect(),
        };
        target.met()
    }

    #[test]
    fn a_target_is_broken_by_one_number_and_unknown_while_one_is_missing() {
        assert_eq!(met(Least(1.0), [Some(1.0), Some(2.0)]), Some(true));
        assert_eq!(met(Least(1.0), [Some(0.5), None]), Some(false));
        assert_eq!(met(Least(1.0), [Some(2.0), None]), None);
        assert_eq!(met(Most(1.0), [Some(0.5), Some(2.0)]), Some(false));
        assert_eq!(met(Least(1.0), [Some(2.0), Some(f64::NAN)]), Some(false));
    }
}
