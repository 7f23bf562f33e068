//! The shipped configuration is sound, and each way to break it is named.

use super::super::jsonc;
use super::{Facts, problems};
use serde_json::{Value, json};

const SHIPPED: &str = include_str!("../../../../edge-aggregator/wrangler.jsonc");
const SHIM: &str = include_str!("../../../../edge-aggregator/shim.mjs");
const DEVELOPMENT: &str = include_str!("../../../../edge-aggregator/dev/miniflare.mjs");

fn shipped() -> Value {
    jsonc::parse(SHIPPED).unwrap_or_default()
}

fn facts() -> Facts {
    Facts::read(SHIM, DEVELOPMENT)
}

/// What is wrong once the value at `pointer` is another, or gone.
fn broken(pointer: &str, value: Option<Value>) -> Vec<String> {
    let mut config = shipped();
    let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
    let parent = config.pointer_mut(parent);
    match (parent, value) {
        (Some(Value::Object(members)), Some(value)) => {
            members.insert(key.to_owned(), value);
        }
        (Some(Value::Object(members)), None) => assert!(members.remove(key).is_some(), "{pointer}"),
        (Some(Value::Array(items)), None) => {
            items.remove(key.parse::<usize>().unwrap_or(usize::MAX));
        }
        (other, _) => panic!("nothing at {pointer}: {other:?}"),
    }
    problems(&config, &facts())
}

fn assert_named(found: &[String], environment: &str, words: &str) {
    let named = |problem: &String| problem.starts_with(environment) && problem.contains(words);
    assert!(found.iter().any(named), "{environment}: {words}: {found:?}");
}

#[test]
fn the_shipped_configuration_is_sound() {
    assert_eq!(problems(&shipped(), &facts()), Vec::<String>::new());
}

#[test]
fn the_facts_are_found_where_they_are_written() {
    let facts = facts();
    let classes = [
        "TaskObject",
        "RoundObject",
        "LaneObject",
        "ReportObject",
        "HelperObject",
    ];
    assert_eq!(facts.exported, classes);
    assert_eq!(facts.date.as_deref().map(str::len), Some(10));
}

#[test]
fn a_missing_environment_is_named() {
    assert_named(
        &broken("/env/staging", None),
        "staging",
        "no such environment",
    );
    assert_named(&broken("/env", None), "production", "no such environment");
}

#[test]
fn a_missing_binding_is_named_with_its_environment() {
    let found = broken("/env/production/durable_objects/bindings/1", None);
    assert_named(&found, "production", "lacks ROUNDS (class RoundObject)");
    assert_eq!(found.len(), 1, "{found:?}");
    let found = broken("/env/staging/durable_objects", None);
    assert_named(&found, "staging", "lacks TASKS");
    assert_named(
        &broken("/env/staging/r2_buckets", None),
        "staging",
        "lacks OBJECTS",
    );
    assert_named(
        &broken("/env/staging/vars", None),
        "staging",
        "does not inherit vars",
    );
}

#[test]
fn a_missing_migration_is_named_for_each_environment() {
    let found = broken("/migrations", None);
    for environment in ["dev", "staging", "production"] {
        assert_named(&found, environment, "no migration makes TaskObject");
    }
    let without = json!([{ "tag": "v1", "new_sqlite_classes": ["TaskObject", "LaneObject"] }]);
    let found = broken("/env/production/migrations", Some(without));
    assert_named(&found, "production", "no migration makes RoundObject");
    let plain =
        json!([{ "tag": "v1", "new_classes": ["TaskObject", "RoundObject", "LaneObject"] }]);
    assert_named(&broken("/migrations", Some(plain)), "dev", "without SQLite");
}

#[test]
fn a_class_that_the_worker_does_not_export_is_named() {
    let bindings = json!([
        { "name": "TASKS", "class_name": "TaskObject" },
        { "name": "ROUNDS", "class_name": "Rounds" },
        { "name": "LANES", "class_name": "LaneObject" },
        { "name": "REPORTS", "class_name": "ReportObject" },
        { "name": "HELPERS", "class_name": "HelperObject" }
    ]);
    let found = broken("/env/production/durable_objects/bindings", Some(bindings));
    assert_named(&found, "production", "exports no class `Rounds`");
}

#[test]
fn a_helpers_minimum_below_the_floor_is_named() {
    let with = |environment: &str, minimum: Value| {
        let vars = json!({ "ALLOWED_ORIGINS": "", "HELPER_MIN_BATCH": minimum });
        broken(&format!("{environment}/vars"), Some(vars))
    };
    assert_eq!(with("/env/production", json!("50")), Vec::<String>::new());
    assert_eq!(with("", json!("3")), Vec::<String>::new());
    for bad in [json!("49"), json!(50), json!("")] {
        let found = with("/env/production", bad);
        assert_named(&found, "production", "a number from 50 up");
    }
    assert_named(&with("/env/staging", json!("2")), "staging", "from 3 up");
}

#[test]
fn production_with_another_environments_bucket_is_named() {
    let dev = json!([{ "binding": "OBJECTS", "bucket_name": "choir-objects-dev" }]);
    let found = broken("/env/production/r2_buckets", Some(dev));
    assert_named(&found, "production", "choir-objects-dev is dev's");
    assert_named(&found, "production", "not one of production");
    let test = json!([{ "binding": "OBJECTS", "bucket_name": "other-test" }]);
    let found = broken("/env/production/r2_buckets", Some(test));
    assert_named(&found, "production", "not one of production");
}

#[test]
fn another_compatibility_date_than_developments_is_named() {
    let found = broken("/compatibility_date", Some(json!("2026-05-01")));
    assert_named(&found, "production", "compatibility_date is 2026-05-01");
    let found = broken("/env/staging/compatibility_date", Some(json!("2025-01-01")));
    assert_named(&found, "staging", "2025-01-01");
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn origins_are_checked_in_every_environment() {
    let list = |origins: &str| Some(json!({ "ALLOWED_ORIGINS": origins }));
    for (origins, words) in [
        ("https://a.example/", "slash"),
        ("https://*.a.example", "wildcard"),
        ("http://a.example", "not https"),
    ] {
        let found = broken("/env/production/vars", list(origins));
        assert_named(&found, "production", words);
    }
    assert_eq!(
        broken("/vars", list("http://127.0.0.1:8000")),
        Vec::<String>::new()
    );
}

#[test]
fn a_secret_in_the_file_is_named_and_not_shown() {
    let value = "c2VjcmV0LXNlY3JldC1zZWNyZXQ";
    for vars in [
        json!({ "ALLOWED_ORIGINS": "", "OPERATOR_SECRET": "x" }),
        json!({ "ALLOWED_ORIGINS": "", "METRICS_TOKEN": value }),
        json!({ "ALLOWED_ORIGINS": "", "HARMLESS": value }),
    ] {
        let found = broken("/env/production/vars", Some(vars));
        assert!(found.iter().any(|one| one.contains("looks like a secret")));
        assert!(found.iter().all(|one| !one.contains(value)), "{found:?}");
    }
}

#[test]
fn a_log_of_requests_is_named() {
    let logs = json!({ "enabled": true });
    let found = broken("/observability", Some(logs.clone()));
    assert_named(&found, "production", "invocation_logs");
    assert_named(
        &broken("/env/staging/observability", Some(logs)),
        "staging",
        "invocation_logs",
    );
}
