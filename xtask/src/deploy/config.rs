//! What `wrangler.jsonc` must say for the worker to run: each environment by itself, with what it
//! inherits from the top level and what it does not.

use super::{ENVIRONMENTS, origins};
use choir_shared::wire::limits::MIN_COHORT;
use serde_json::Value;
use std::collections::BTreeMap;

/// Bindings of Durable Objects and their classes.
const OBJECTS: [(&str, &str); 5] = [
    ("TASKS", "TaskObject"),
    ("ROUNDS", "RoundObject"),
    ("LANES", "LaneObject"),
    ("REPORTS", "ReportObject"),
    ("HELPERS", "HelperObject"),
];
/// The variable with a helper's least batch.
const MINIMUM: &str = "HELPER_MIN_BATCH";
/// What it is at least in production: the privacy floor of the default policy.
const FLOOR: u16 = 50;
/// The binding of the bucket.
const BUCKET: &str = "OBJECTS";
/// What wrangler takes from the top level where an environment does not name it itself.
const INHERITED: [&str; 7] = [
    "main",
    "no_bundle",
    "compatibility_date",
    "assets",
    "migrations",
    "observability",
    "send_metrics",
];
/// Parts of names whose values do not belong into a file.
const SECRET_NAMES: [&str; 5] = ["SECRET", "TOKEN", "PASSWORD", "PRIVATE", "CREDENTIAL"];
/// A value this long without a separator is taken for a secret.
const SECRET_LENGTH: usize = 24;
/// Words of buckets that are not production's.
const TRIAL_WORDS: [&str; 4] = ["dev", "staging", "test", "preview"];

/// What the configuration has to agree with.
pub(super) struct Facts {
    /// Classes that the worker exports.
    exported: Vec<String>,
    /// The runtime's behaviour that development and tests use.
    date: Option<String>,
}

impl Facts {
    /// From the worker's entry module and the development server's options.
    pub(super) fn read(shim: &str, development: &str) -> Self {
        let exported = shim.lines().filter_map(|line| {
            let rest = line
                .strip_prefix("export const ")
                .or_else(|| line.strip_prefix("export class "))?;
            Some(rest.split([' ', '=', '{']).next()?.to_owned())
        });
        let date = development.lines().find_map(|line| {
            let rest = line.strip_prefix("export const COMPATIBILITY_DATE = \"")?;
            Some(rest.split('"').next()?.to_owned())
        });
        Self {
            exported: exported.collect(),
            date,
        }
    }
}

/// Everything that is wrong.
pub(super) fn problems(config: &Value, facts: &Facts) -> Vec<String> {
    let mut problems = secrets("the file", config);
    let mut buckets: BTreeMap<String, &str> = BTreeMap::new();
    for name in ENVIRONMENTS {
        let Some(environment) = Environment::of(config, name) else {
            problems.push(format!("{name}: there is no such environment under `env`"));
            continue;
        };
        let mut found = environment.objects(facts);
        found.extend(environment.bucket(&mut buckets));
        found.extend(environment.settings(facts));
        found.extend(environment.origins());
        found.extend(environment.minimum());
        problems.extend(
            found
                .into_iter()
                .map(|problem| format!("{name}: {problem}")),
        );
    }
    problems
}

/// One environment as wrangler sees it.
struct Environment<'a> {
    name: &'static str,
    own: &'a Value,
    top: &'a Value,
}

impl<'a> Environment<'a> {
    fn of(config: &'a Value, name: &'static str) -> Option<Self> {
        let own = if name == ENVIRONMENTS[0] {
            config
        } else {
            config.get("env")?.get(name)?
        };
        Some(Self {
            name,
            own,
            top: config,
        })
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        let inherited = INHERITED.contains(&key).then(|| self.top.get(key));
        self.own.get(key).or_else(|| inherited.flatten())
    }

    fn list(&self, key: &str) -> &'a [Value] {
        self.get(key)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// Durable Objects: bound, exported, with SQLite.
    fn objects(&self, facts: &Facts) -> Vec<String> {
        let mut problems = Vec::new();
        let bindings = self
            .get("durable_objects")
            .and_then(|objects| objects.get("bindings"))
            .and_then(Value::as_array);
        let bindings = bindings.map_or(&[][..], Vec::as_slice);
        for (binding, class) in OBJECTS {
            let Some(bound) = bindings.iter().find(|one| text(one, "name") == binding) else {
                problems.push(format!(
                    "durable_objects.bindings lacks {binding} (class {class}); an environment \
                     does not inherit bindings"
                ));
                continue;
            };
            let named = text(bound, "class_name");
            if named != class {
                problems.push(format!(
                    "{binding} is bound to `{named}` instead of {class}"
                ));
            }
        }
        for bound in bindings {
            problems.extend(self.class(text(bound, "class_name"), facts));
        }
        problems
    }

    fn class(&self, class: &str, facts: &Facts) -> Option<String> {
        if !facts.exported.iter().any(|exported| exported == class) {
            return Some(format!(
                "the worker exports no class `{class}`: shim.mjs exports {}",
                facts.exported.join(", ")
            ));
        }
        let made_by = |key: &str| {
            self.list("migrations")
                .iter()
                .filter_map(|migration| migration.get(key)?.as_array())
                .flatten()
                .any(|made| made == class)
        };
        if made_by("new_sqlite_classes") {
            None
        } else if made_by("new_classes") {
            Some(format!(
                "migrations make {class} without SQLite: move it to new_sqlite_classes"
            ))
        } else {
            Some(format!(
                "no migration makes {class}: add it to new_sqlite_classes of a migration"
            ))
        }
    }

    fn bucket(&self, buckets: &mut BTreeMap<String, &'static str>) -> Vec<String> {
        let bound = self.list("r2_buckets");
        let Some(bucket) = bound.iter().find(|one| text(one, "binding") == BUCKET) else {
            return vec![format!(
                "r2_buckets lacks {BUCKET}; an environment does not inherit buckets"
            )];
        };
        let bucket = text(bucket, "bucket_name");
        let mut problems = Vec::new();
        if bucket.is_empty() {
            return vec![format!("the bucket {BUCKET} has no bucket_name")];
        }
        if let Some(other) = buckets.insert(bucket.to_owned(), self.name) {
            problems.push(format!(
                "the bucket {bucket} is {other}'s: each environment has its own"
            ));
        }
        let mut words = bucket.split(['-', '_', '.']);
        if self.is_production() && words.any(|word| TRIAL_WORDS.contains(&word)) {
            problems.push(format!("the bucket {bucket} is not one of production"));
        }
        problems
    }

    fn settings(&self, facts: &Facts) -> Vec<String> {
        let mut problems = Vec::new();
        let date = self.get("compatibility_date").and_then(Value::as_str);
        if date != facts.date.as_deref() || date.is_none() {
            problems.push(format!(
                "compatibility_date is {}, development and tests run with {}: what is deployed \
                 must be what was tested",
                date.unwrap_or("missing"),
                facts.date.as_deref().unwrap_or("none"),
            ));
        }
        let log = self
            .get("observability")
            .and_then(|value| value.pointer("/logs/invocation_logs"));
        if log != Some(&Value::Bool(false)) {
            problems.push(
                "observability.logs.invocation_logs is not false: who asked for what would be kept"
                    .to_owned(),
            );
        }
        if self.get("send_metrics") != Some(&Value::Bool(false)) {
            problems.push("send_metrics is not false".to_owned());
        }
        let assets = self.get("assets");
        if assets.is_none_or(|assets| text(assets, "directory") != SITE) {
            problems.push(format!(
                "assets.directory is not {SITE}: there would be no page"
            ));
        }
        if self.get("main").and_then(Value::as_str) != Some(WORKER) {
            problems.push(format!("main is not {WORKER}, which is what is built"));
        }
        if self.get("no_bundle") != Some(&Value::Bool(true)) {
            problems.push("no_bundle is not true: the worker is built already".to_owned());
        }
        problems
    }

    fn origins(&self) -> Vec<String> {
        let vars = self.own.get("vars");
        match vars.and_then(|vars| vars.get("ALLOWED_ORIGINS")) {
            Some(Value::String(list)) => origins::problems(list, self.name != ENVIRONMENTS[0])
                .into_iter()
                .map(|problem| format!("ALLOWED_ORIGINS: {problem}"))
                .collect(),
            _ => vec![
                "vars.ALLOWED_ORIGINS is missing or no text; an environment does not inherit vars"
                    .to_owned(),
            ],
        }
    }

    /// The least batch of a deployment that is a helper; where it is not named, the privacy floor.
    fn minimum(&self) -> Option<String> {
        let named = self.own.get("vars")?.get(MINIMUM)?;
        let number = named.as_str().and_then(|text| text.parse::<u16>().ok());
        let floor = if self.is_production() {
            FLOOR
        } else {
            MIN_COHORT
        };
        number
            .is_none_or(|number| number < floor)
            .then(|| format!("{MINIMUM} is {named}: a text with a number from {floor} up"))
    }

    fn is_production(&self) -> bool {
        self.name == "production"
    }
}

/// Names and values that look like secrets, anywhere below `value`.
fn secrets(place: &str, value: &Value) -> Vec<String> {
    let Value::Object(members) = value else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, member) in members {
        let capitals = name.to_uppercase();
        let by_name = SECRET_NAMES.iter().any(|word| capitals.contains(word));
        let by_value = place.ends_with("vars") && member.as_str().is_some_and(looks_secret);
        if by_name || by_value {
            found.push(format!(
                "{name} in {place} looks like a secret: take it out, change it, and set it with \
                 `wrangler secret put {name}`"
            ));
        }
        found.extend(secrets(name, member));
    }
    found
}

/// Long, without anything that separates words of an address or a list.
fn looks_secret(value: &str) -> bool {
    value.len() >= SECRET_LENGTH && !value.contains([' ', ',', ':', '/', '.'])
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

const SITE: &str = "../target/choir/site";
const WORKER: &str = "../target/choir/worker/shim.mjs";

#[cfg(test)]
mod tests;
