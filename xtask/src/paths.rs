//! Where everything lies: the sources, the outputs under `target/choir`, the cache of the model.

use crate::failure::{AtPath, Failure, Outcome};
use std::env;
use std::path::{Path, PathBuf};

/// Name of the base model's folder in the cache.
const MODEL: &str = "all-MiniLM-L6-v2";

/// Name of the built-in decoder.
const DECODER: &str = "choir-4m";

/// The folders of this checkout.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    /// The root of the checkout.
    pub(crate) root: PathBuf,
    /// The output of every command: `target/choir`.
    pub(crate) out: PathBuf,
    /// cargo's own target folder.
    pub(crate) target: PathBuf,
    cache: PathBuf,
}

impl Paths {
    /// Finds the checkout from cargo's environment, or upwards from the working directory.
    ///
    /// # Errors
    /// `Missing` outside a checkout.
    pub(crate) fn find() -> Outcome<Self> {
        let start = match env::var_os("CARGO_MANIFEST_DIR") {
            Some(manifest) => PathBuf::from(manifest),
            None => env::current_dir().at(Path::new("."))?,
        };
        let root = start
            .ancestors()
            .find(|folder| folder.join("xtask").is_dir() && folder.join("Cargo.lock").is_file())
            .ok_or_else(|| Failure::Missing {
                what: "a checkout of Choir".to_owned(),
                remedy: "Start this command from within one.".to_owned(),
            })?
            .to_owned();
        let target = root.join("target");
        let cache = match (env::var_os("CHOIR_CACHE"), env::var_os("HOME")) {
            (Some(cache), _) => PathBuf::from(cache),
            (None, Some(home)) => PathBuf::from(home).join(".cache/choir"),
            (None, None) => target.join("choir/cache"),
        };
        Ok(Self {
            out: target.join("choir"),
            root,
            target,
            cache,
        })
    }

    /// The base model's three files.
    pub(crate) fn model(&self) -> PathBuf {
        self.cache.join("models").join(MODEL)
    }

    /// The built-in decoder, in the Hugging Face layout.
    pub(crate) fn decoder(&self) -> PathBuf {
        self.root.join("web/models").join(DECODER)
    }

    /// Its name.
    pub(crate) fn decoder_name(&self) -> &'static str {
        DECODER
    }

    /// The wasm-bindgen output of one module.
    pub(crate) fn wasm(&self, module: &str) -> PathBuf {
        self.out.join("wasm").join(module)
    }

    /// The edge worker's modules.
    pub(crate) fn worker(&self) -> PathBuf {
        self.out.join("worker")
    }

    /// The static site; `observe` names the test build that can show a client's plain vector.
    pub(crate) fn site(&self, observe: bool) -> PathBuf {
        self.out.join(if observe { "site-observe" } else { "site" })
    }

    /// A program installed by npm, in the first of the project's packages that has it.
    pub(crate) fn npm_program(&self, name: &str) -> Option<PathBuf> {
        ["web", "e2e", "edge-aggregator"]
            .iter()
            .map(|package| self.root.join(package).join("node_modules/.bin").join(name))
            .find(|program| program.exists())
    }
}
