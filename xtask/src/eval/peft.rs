//! Adapters both ways between here and PEFT, on the miniatures of every decoder: what PEFT made is
//! read here, what is trained here is read by PEFT, and the logits are compared in Python.

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MINIATURES: &str = "wasm-client/tests/miniatures";
const DECODERS: [&str; 6] = ["llama", "llama_tied", "mistral", "qwen2", "qwen3", "gpt2"];
/// Kinds of adapter, and the folder of PEFT's beside a model that has one.
const KINDS: [(&str, &str); 4] = [
    ("lora", "adapter"),
    ("soft-prompt", "prompt_adapter"),
    ("prefix", "prefix_adapter"),
    ("p-tuning", "p_tuning_adapter"),
];
/// Steps of training before an adapter is handed over.
const STEPS: usize = 5;

/// Compares all of them, with the Python that has transformers and PEFT.
pub(super) fn run(paths: &Paths, python: &Path) -> Outcome<Value> {
    let compared = Comparison {
        paths,
        python,
        out: paths.out.join("eval-peft"),
    };
    let folder = paths.root.join(MINIATURES);
    let mut rows = Vec::new();
    for name in DECODERS {
        let model = folder.join(name);
        for (kind, adapter) in KINDS {
            let theirs = model.join(adapter);
            if theirs.is_dir() {
                rows.push(compared.theirs_here(name, &model, &theirs, kind)?);
            }
            if kind != "p-tuning" {
                rows.push(compared.ours_there(name, &model, kind)?);
            }
        }
    }
    Ok(json!({ "tolerance": 1e-3, "adapters": rows }))
}

/// What one adapter is compared with.
struct Comparison<'a> {
    paths: &'a Paths,
    python: &'a Path,
    out: PathBuf,
}

impl Comparison<'_> {
    fn theirs_here(&self, name: &str, model: &Path, theirs: &Path, kind: &str) -> Outcome<Value> {
        let report = self.evaluate(model, &["--adapter".into(), theirs.into()])?;
        self.in_python(
            &format!("{name}, {kind}, theirs here"),
            model,
            theirs,
            &report,
        )
    }

    fn ours_there(&self, name: &str, model: &Path, kind: &str) -> Outcome<Value> {
        let exported = self.out.join(format!("{name}-{kind}"));
        let options: [OsString; 6] = [
            "--steps".into(),
            STEPS.to_string().into(),
            "--train".into(),
            kind.into(),
            "--export".into(),
            exported.clone().into(),
        ];
        let report = self.evaluate(model, &options)?;
        self.in_python(
            &format!("{name}, {kind}, ours there"),
            model,
            &exported,
            &report,
        )
    }

    fn evaluate(&self, model: &Path, options: &[OsString]) -> Outcome<Value> {
        let mut arguments = vec!["checkpoint".into(), "--model".into(), model.into()];
        arguments.extend(["--sequences".into(), model.join("reference.json").into()]);
        arguments.extend_from_slice(options);
        super::natively(self.paths, None, &arguments)
    }

    fn in_python(
        &self,
        title: &str,
        model: &Path,
        adapter: &Path,
        report: &Value,
    ) -> Outcome<Value> {
        fs::create_dir_all(&self.out).at(&self.out)?;
        let logits = self.out.join("logits.json");
        fs::write(&logits, report.to_string()).at(&logits)?;
        let step = Step::start(format!("{title}, in Python"));
        let mut check = Command::new(self.python);
        let script = self.paths.root.join(MINIATURES).join("peft_check.py");
        check.arg(script).arg("--model").arg(model);
        check.arg("--adapter").arg(adapter);
        check.arg("--logits").arg(&logits);
        let said = program::run(&step, &mut check)?;
        let said = said.lines().last().unwrap_or_default().to_owned();
        step.done(&said);
        Ok(json!({ "adapter": title, "says": said }))
    }
}

/// # Errors
/// `Usage` where no Python was named.
pub(super) fn python(named: Option<PathBuf>, paths: &Paths) -> Outcome<PathBuf> {
    named.ok_or_else(|| {
        let list = paths.root.join(MINIATURES).join("requirements.txt");
        Failure::Usage(format!(
            "--python names a Python with the packages of {}",
            list.display()
        ))
    })
}
