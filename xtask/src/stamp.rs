//! Skipping what is up to date: a stamp is the digest of all inputs of a step that went well.

use crate::failure::{AtPath, Outcome};
use crate::paths::Paths;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// The inputs of one step, digested.
pub(crate) struct Stamp {
    file: PathBuf,
    digest: Sha256,
}

impl Stamp {
    /// A stamp by that name with no inputs yet.
    pub(crate) fn new(paths: &Paths, name: &str) -> Self {
        Self {
            file: paths.out.join("stamps").join(name),
            digest: Sha256::new(),
        }
    }

    /// Adds a word, such as a version or an option.
    pub(crate) fn word(mut self, word: &str) -> Self {
        self.digest.update((word.len() as u64).to_le_bytes());
        self.digest.update(word);
        self
    }

    /// Adds a file or everything below a folder; what is not there counts as absent.
    ///
    /// # Errors
    /// `File` where something cannot be read.
    pub(crate) fn input(mut self, path: &Path) -> Outcome<Self> {
        for file in files_below(path)? {
            self = self.word(&file.to_string_lossy());
            let content = fs::read(&file).at(&file)?;
            self.digest.update((content.len() as u64).to_le_bytes());
            self.digest.update(content);
        }
        Ok(self)
    }

    /// True where the same inputs went through before and `output` is still there.
    pub(crate) fn is_fresh(&self, output: &Path) -> bool {
        output.exists() && fs::read_to_string(&self.file).is_ok_and(|known| known == self.hex())
    }

    /// Remembers these inputs.
    ///
    /// # Errors
    /// `File` where the stamp cannot be written.
    pub(crate) fn store(&self) -> Outcome<()> {
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder).at(folder)?;
        }
        fs::write(&self.file, self.hex()).at(&self.file)
    }

    fn hex(&self) -> String {
        hex(&self.digest.clone().finalize())
    }
}

/// All files below `path` in a fixed order, without outputs and installed packages.
///
/// # Errors
/// `File` where a folder cannot be read.
pub(crate) fn files_below(path: &Path) -> Outcome<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(if path.exists() {
            vec![path.to_owned()]
        } else {
            Vec::new()
        });
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).at(path)? {
        let entry = entry.at(path)?;
        if !OUTPUTS.iter().any(|output| entry.file_name() == *output) {
            entries.push(entry.path());
        }
    }
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        files.extend(files_below(&entry)?);
    }
    Ok(files)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// `File` where it cannot be read.
pub(crate) fn sha256_of(path: &Path) -> Outcome<String> {
    Ok(hex(&Sha256::digest(fs::read(path).at(path)?)))
}

const OUTPUTS: [&str; 5] = ["node_modules", "target", "dist", ".git", "out"];
