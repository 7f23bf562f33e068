//! Adapters both ways between here and PEFT, on the miniatures of every decoder: what PEFT made is
//! read here, what is trained here is read by PEFT, and the logits are compared in Python.

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

const MINIATURES: &str = "wasm-client/tests/miniatures";
const DECODERS: [&str; 6] = ["llama", "llama_tied", "mistral", "qwen2", "qwen3", "gpt2"];
/// Steps of training before an adapter is handed over.
const STEPS: usize = 5;

/// Compares all of them, with the Python that has transformers and PEFT.
pub(super) fn run(paths: &Paths, python: &Path) -> Outcome<Value> {
    let folder = paths.root.join(MINIATURES);
    let out = paths.out.join("eval-peft");
    let mut rows = Vec::new();
    for name in DECODERS {
        let model = folder.join(name);
        for (way, adapter) in [
            ("theirs here", Some(model.join("adapter"))),
            ("ours there", None),
        ] {
            let exported = out.join(name);
            let mut arguments = vec!["checkpoint".into(), "--model".into(), model.clone().into()];
            arguments.extend(["--sequences".into(), model.join("reference.json").into()]);
            match &adapter {
                Some(adapter) => arguments.extend(["--adapter".into(), adapter.into()]),
                None => {
                    arguments.extend(["--steps".into(), STEPS.to_string().into()]);
                    arguments.extend(["--export".into(), exported.clone().into()]);
                }
            }
            let report = super::natively(paths, None, &arguments)?;
            fs::create_dir_all(&out).at(&out)?;
            let logits = out.join(format!("{name}.json"));
            fs::write(&logits, report.to_string()).at(&logits)?;
            let step = Step::start(format!("{name}, {way}, in Python"));
            let mut check = Command::new(python);
            check.arg(folder.join("peft_check.py"));
            check.arg("--model").arg(&model).arg("--adapter");
            check.arg(adapter.as_deref().unwrap_or(&exported));
            check.arg("--logits").arg(&logits);
            let said = program::run(&step, &mut check)?;
            let said = said.lines().last().unwrap_or_default().to_owned();
            step.done(&said);
            rows.push(json!({ "model": name, "way": way, "says": said }));
        }
    }
    Ok(json!({ "tolerance": 1e-3, "adapters": rows }))
}

/// # Errors
/// `Usage` where no Python was named.
pub(super) fn python(
    named: Option<std::path::PathBuf>,
    paths: &Paths,
) -> Outcome<std::path::PathBuf> {
    named.ok_or_else(|| {
        let list = paths.root.join(MINIATURES).join("requirements.txt");
        Failure::Usage(format!(
            "--python names a Python with the packages of {}",
            list.display()
        ))
    })
}
