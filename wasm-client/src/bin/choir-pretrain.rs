//! Makes the built-in decoder: `choir-pretrain --documents DIR --plays FILE --out DIR`, and any other
//! of the settings as an option (`--steps 100`). The report goes to standard output as JSON, progress
//! to standard error.

use std::process::ExitCode;

use choir_wasm_client::pretrain::{Settings, run};

fn main() -> ExitCode {
    let made = settings(std::env::args().skip(1)).and_then(|settings| {
        run::run(&settings, &|line| eprintln!("{line}")).map_err(|error| error.to_string())
    });
    match made
        .and_then(|report| serde_json::to_string_pretty(&report).map_err(|error| error.to_string()))
    {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Settings from options, by their names.
fn settings(mut arguments: impl Iterator<Item = String>) -> Result<Settings, String> {
    let mut fields = serde_json::Map::new();
    while let Some(option) = arguments.next() {
        let name = option.strip_prefix("--").map(|name| name.replace('-', "_"));
        let name = name.ok_or_else(|| format!("{option} is no option"))?;
        let value = arguments
            .next()
            .ok_or_else(|| format!("{option} needs a value"))?;
        let read = serde_json::from_str(&value);
        fields.insert(name, read.unwrap_or_else(|_| value.into()));
    }
    let settings: Settings =
        serde_json::from_value(fields.into()).map_err(|error| error.to_string())?;
    match [&settings.documents, &settings.out].map(|path| path.as_os_str().is_empty()) {
        [false, false] => Ok(settings),
        _ => Err("name the documents with --documents and the model's folder with --out".into()),
    }
}
