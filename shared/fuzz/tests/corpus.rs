//! Every target holds on its corpus and on its seeds, and both get as far as the target is about.

use choir_fuzz::{ALL, Target};
use std::fs;
use std::path::{Path, PathBuf};

fn corpus(target: &Target) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    files
}

#[test]
fn every_target_holds_on_its_corpus() {
    for target in ALL {
        let files = corpus(target);
        let mut reached = 0;
        for file in &files {
            let input = fs::read(file).expect("a readable file");
            println!("{}", file.display());
            reached += usize::from((target.run)(&input));
        }
        assert!(reached > 0, "{}: no input gets through", target.name);
        assert!(
            reached < files.len(),
            "{}: no input is stopped",
            target.name
        );
    }
}

#[test]
fn the_seeds_of_every_target_get_through() {
    for target in ALL {
        let seeds = (target.seeds)();
        let reached = seeds.iter().filter(|seed| (target.run)(seed)).count();
        assert!(reached > 0, "{}: no seed gets through", target.name);
        let longest = seeds.iter().map(Vec::len).max();
        assert!(longest <= Some(target.max_len), "{}", target.name);
    }
}

#[test]
fn no_target_minds_nothing_or_noise() {
    for target in ALL {
        for len in [0, 1, 2, 16, 97, target.max_len] {
            let noise: Vec<u8> = (0..len).map(|at| (at * 167 % 251) as u8).collect();
            (target.run)(&noise);
            (target.run)(&noise[..len / 2]);
        }
    }
}

#[test]
fn the_corpus_stays_small() {
    let size = |file: &PathBuf| fs::metadata(file).expect("a readable file").len();
    let total: u64 = ALL.iter().flat_map(corpus).map(|file| size(&file)).sum();
    assert!(total < 1_000_000, "{total} bytes");
}
