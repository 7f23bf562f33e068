//! `cargo xtask pretrain`: makes the built-in decoder natively on burn. Its corpus is the
//! documentation of projects under permissive licences, from their source packages on PyPI, each
//! pinned by its digest, and the plays of tinyshakespeare less what is held out of them.

use crate::build::{Profile, Tool};
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::stamp::sha256_of;
use crate::{eval, program, usage};
use lexopt::{Arg, Parser};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

/// What the command line says of it.
pub(crate) const HELP: &str = "\
  pretrain [--out DIR] [--json FILE]
                             makes the built-in decoder anew, from documentation on PyPI and the plays
                             in CHOIR_SHARED (hours of CPU; it is in the tree already)
    --steps N --batch N      and any other setting of wasm-client/src/pretrain/settings.rs
    --clients N --local-steps N
                             the same by clients that keep their texts, under an outer optimizer
    --small                  a model of some 100,000 weights, in minutes
";

const TOOL: Tool = Tool {
    title: "pre-training",
    feature: "pretrain",
    name: "choir-pretrain",
    profile: Profile::Shared,
};

/// A source package with documentation in reStructuredText.
struct Source {
    /// Its address below [`PACKAGES`].
    address: &'static str,
    sha256: &'static str,
    /// Which of its files are documentation.
    documents: &'static str,
}

const PACKAGES: &str = "https://files.pythonhosted.org/packages";

/// BSD-3-Clause: Django, scikit-learn, Flask, NetworkX, NumPy, SciPy; MIT: SQLAlchemy, pytest, Twisted.
const SOURCES: [Source; 9] = [
    Source {
        address: "05/a2/933dbbb3dd9990494960f6e64aca2af4c0745b63b7113f59a822df92329e/django-5.2.8.tar.gz",
        sha256: "23254866a5bb9a2cfa6004e8b809ec6246eba4b58a7589bc2772f1bcc8456c7f",
        documents: "*/docs/*.txt",
    },
    Source {
        address: "f0/f2/840d7b9496825333f532d2e3976b8eadbf52034178aac53630d09fe6e1ef/sqlalchemy-2.0.44.tar.gz",
        sha256: "0ae7454e1ab1d780aee69fd2aae7d6b8670a581d8847f2d1e0f7ddfbf47e5a22",
        documents: "*/doc/build/*.rst",
    },
    Source {
        address: "a3/5c/00a0e072241553e1a7496d638deababa67c5058571567b92a7eaa258397c/pytest-8.4.2.tar.gz",
        sha256: "86c0d0b93306b961d58d62a4db4879f27fe25513d4b969df351abdddb3c30e01",
        documents: "*/doc/en/*.rst",
    },
    Source {
        address: "98/c2/a7855e41c9d285dfe86dc50b250978105dce513d6e459ea66a6aeb0e1e0c/scikit_learn-1.7.2.tar.gz",
        sha256: "20e9e49ecd130598f1ca38a1d85090e1a600147b9c02fa6f15d69cb53d968fda",
        documents: "*/doc/*.rst",
    },
    Source {
        address: "13/0f/82716ed849bf7ea4984c21385597c949944f0f9b428b5710f79d0afc084d/twisted-25.5.0.tar.gz",
        sha256: "1deb272358cb6be1e3e8fc6f9c8b36f78eb0fa7c2233d2dbe11ec6fee04ea316",
        documents: "*/docs/*.rst",
    },
    Source {
        address: "dc/6d/cfe3c0fcc5e477df242b98bfe186a4c34357b4847e87ecaef04507332dab/flask-3.1.2.tar.gz",
        sha256: "bf656c15c80190ed628ad08cdfd3aaa35beb087855e2f494910aa3774cc4fd87",
        documents: "*/docs/*.rst",
    },
    Source {
        address: "6c/4f/ccdb8ad3a38e583f214547fd2f7ff1fc160c43a75af88e6aec213404b96a/networkx-3.5.tar.gz",
        sha256: "d4c6f9cf81f52d69230866796b82afbccdec3db7ae4fbd1b65ea750feed50037",
        documents: "*/doc/*.rst",
    },
    Source {
        address: "b5/f4/098d2270d52b41f1bd7db9fc288aaa0400cb48c2a3e2af6fa365d9720947/numpy-2.3.4.tar.gz",
        sha256: "a7d018bfedb375a8d979ac758b120ba846a7fe764911a64465fd87b8729f4a6a",
        documents: "*/doc/source/*.rst",
    },
    Source {
        address: "0a/ca/d8ace4f98322d01abcd52d381134344bf7b431eba7ed8b42bdea5a3c2ac9/scipy-1.16.3.tar.gz",
        sha256: "01e87659402762f43bd2fee13370553a17ada367d42e7487800bf2916535aecb",
        documents: "*/doc/source/*.rst",
    },
];

/// Settings of the small size.
const SMALL: [&str; 20] = [
    "--dim",
    "64",
    "--layers",
    "2",
    "--heads",
    "4",
    "--kv-heads",
    "2",
    "--intermediate",
    "160",
    "--pieces",
    "512",
    "--context",
    "128",
    "--batch",
    "8",
    "--steps",
    "400",
    "--learning-rate",
    "0.004",
];

/// The command line.
#[derive(Debug, Default)]
pub(crate) struct Pretraining {
    out: Option<PathBuf>,
    json: Option<PathBuf>,
    /// What the program understands itself; what comes later counts.
    passed: Vec<OsString>,
}

impl Pretraining {
    /// Reads it.
    ///
    /// # Errors
    /// `Usage` for what is no option.
    pub(crate) fn read(arguments: &mut Parser) -> Outcome<Self> {
        let mut pretraining = Self::default();
        while let Some(argument) = arguments.next().map_err(usage)? {
            match argument {
                Arg::Long("small") => {
                    pretraining.passed.splice(0..0, SMALL.map(OsString::from));
                }
                Arg::Long("out") => {
                    pretraining.out = Some(arguments.value().map_err(usage)?.into())
                }
                Arg::Long("json") => {
                    pretraining.json = Some(arguments.value().map_err(usage)?.into());
                }
                Arg::Long(name) => {
                    let name = format!("--{name}");
                    let value = arguments.value().map_err(usage)?;
                    pretraining.passed.extend([name.into(), value]);
                }
                other => return Err(usage(other.unexpected())),
            }
        }
        Ok(pretraining)
    }

    /// Gets the corpus, builds the program, runs it to its end.
    ///
    /// # Errors
    /// `Missing` without the shared data, `Program` where a download fails, `Check` where training
    /// does.
    pub(crate) fn run(self, paths: &Paths) -> Outcome<()> {
        let plays = eval::shared()?.join("data/tinyshakespeare/input.txt");
        let documents = corpus(paths)?;
        let program = TOOL.build(paths)?;
        let out = self.out.unwrap_or_else(|| paths.out.join("pretrain/model"));
        let mut training = Command::new(program);
        training
            .arg("--documents")
            .arg(documents)
            .arg("--plays")
            .arg(plays)
            .arg("--out")
            .arg(&out)
            .args(&self.passed);
        if let Some(file) = &self.json {
            training.stdout(File::create(file).at(file)?);
        }
        let status = training
            .status()
            .map_err(|error| program::cannot_start(TOOL.name, &error))?;
        if !status.success() {
            return Err(Failure::Check(format!("training ended with {status}")));
        }
        eprintln!("  the model is in {}", out.display());
        Ok(())
    }
}

/// The documentation, unpacked; yields its folder.
fn corpus(paths: &Paths) -> Outcome<PathBuf> {
    let folder = paths.out.join("pretrain/corpus");
    let documents = folder.join("documents");
    fs::create_dir_all(&documents).at(&documents)?;
    for source in &SOURCES {
        let name = source.address.rsplit('/').next().unwrap_or_default();
        let step = Step::start(name);
        let archive = folder.join(name);
        let unpacked = documents.join(name.trim_end_matches(".tar.gz")).is_dir();
        if unpacked && archive.is_file() && sha256_of(&archive)? == source.sha256 {
            step.done("there");
            continue;
        }
        let mut download = Command::new("curl");
        download
            .args([
                "--fail",
                "--silent",
                "--show-error",
                "--location",
                "--output",
            ])
            .arg(&archive)
            .arg(format!("{PACKAGES}/{}", source.address));
        program::run(&step, &mut download)?;
        if sha256_of(&archive)? != source.sha256 {
            let text = format!("{name} has another digest than it should");
            return Err(Failure::Check(text));
        }
        let mut unpack = Command::new("tar");
        unpack
            .arg("--extract")
            .arg("--file")
            .arg(&archive)
            .arg("--directory")
            .arg(&documents)
            .args(["--wildcards", source.documents]);
        program::run(&step, &mut unpack)?;
        step.done("unpacked");
    }
    Ok(documents)
}
