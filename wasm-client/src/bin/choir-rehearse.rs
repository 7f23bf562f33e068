//! Holds one round with real clients, writes it down into a folder so that wasm modules can play
//! either side of it, plays both here, and prints what they cost as one line of JSON: CPU
//! milliseconds of this thread.
//!
//! ```text
//! choir-rehearse FOLDER '{"clients":100,"thousands":100,"dropped":10,"noise":false}' REPETITIONS whole|upload
//! ```
//!
//! The folder gets `scene`, `client`, `before`, `acks`, `opens` and `upload.0`, `upload.1`, ...

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs};

use choir_shared::ids::Digest;
use choir_shared::messages::Upload;
use choir_shared::wire;
use choir_wasm_client::rehearsal::{AggregatorPlay, Held, Scene, freeze, hold};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<Value, Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, scene, repetitions, extent] = arguments.as_slice() else {
        return Err("usage: choir-rehearse FOLDER SCENE REPETITIONS whole|upload".into());
    };
    let scene: Scene = serde_json::from_str(scene)?;
    let repetitions: usize = repetitions.parse()?;
    let whole = extent == "whole";
    let held = hold(scene, !whole)?;
    write(Path::new(folder), scene, &held)?;
    let mut play = Vec::new();
    let values = scene.values(held.client.client);
    for _ in 0..repetitions {
        play.push(timed(|| held.client.play(&values))?);
    }
    let mut frozen = [Vec::new(), Vec::new()];
    for (noise, times) in [false, true].into_iter().zip(&mut frozen) {
        let scene = Scene { noise, ..scene };
        for _ in 0..repetitions {
            times.push(timed(|| freeze(&scene, &values))?);
        }
    }
    let mut servers = Vec::new();
    let mut last = None;
    for _ in 0..repetitions {
        let (times, play) = serve(scene, &held, whole)?;
        servers.push(times);
        last = Some(play);
    }
    let [plain, noisy] = frozen;
    let [up, down] = held.bytes;
    Ok(json!({
        "engine": "native",
        "ring_bits": scene.task().ring().bits(),
        "bytes_up": up,
        "bytes_down": down,
        "packed_bytes": scene.task().ring().packed_len(usize::from(scene.thousands) * 1000 + 1),
        "uploads": held.uploads.len(),
        "masks": last.as_ref().map(|play| play.masks),
        "stored_bytes": last.as_ref().map(|play| play.stored),
        "sum": held.sum.map(|sum| sum.to_string()),
        "client_ms": play,
        "freeze_ms": plain,
        "freeze_noise_ms": noisy,
        "server": servers,
    }))
}

fn write(folder: &Path, scene: Scene, held: &Held) -> Result<(), Failure> {
    fs::create_dir_all(folder)?;
    let [before, acks, opens] = held.said.each_ref().map(wire::encode);
    for (name, bytes) in [
        ("scene", &wire::encode(&scene)),
        ("client", &held.client.to_bytes()),
        ("before", &before),
        ("acks", &acks),
        ("opens", &opens),
    ] {
        fs::write(folder.join(name), bytes)?;
    }
    for (place, upload) in held.uploads.iter().enumerate() {
        fs::write(folder.join(format!("upload.{place}")), upload)?;
    }
    Ok(())
}

/// Plays the aggregator; its milliseconds by phase.
fn serve(scene: Scene, held: &Held, whole: bool) -> Result<(Value, AggregatorPlay), Failure> {
    let mut play = AggregatorPlay::open(scene.setup())?;
    let [before, acks, opens] = &held.said;
    let hear = |play: &mut AggregatorPlay, said: &[_]| {
        timed(|| said.iter().try_for_each(|said| play.hear(said, |_, _| {})))
    };
    let before = hear(&mut play, before)?;
    let mut uploads = 0.0;
    for body in &held.uploads {
        // As the object does it, but for where SHA-256 runs.
        uploads += timed(|| {
            let upload: Upload<'_> = wire::decode(body, usize::MAX)?;
            play.take(body, Digest::of(upload.words), |_, _| {})
        })?;
    }
    let (mut confirm, mut open, mut expand) = (0.0, 0.0, 0.0);
    if whole {
        confirm = hear(&mut play, acks)?;
        open = hear(&mut play, opens)?;
        expand = timed(|| play.expand(|_, _| {}))?;
        if play.sum() != held.sum || play.sum().is_none() {
            return Err("the sum is another".into());
        }
    }
    let times = json!({
        "before": before, "uploads": uploads, "confirm": confirm, "open": open, "expand": expand,
    });
    Ok((times, play))
}

/// CPU milliseconds of this thread; of the wall clock where there is no /proc.
fn timed<E: Into<Failure>>(work: impl FnOnce() -> Result<(), E>) -> Result<f64, Failure> {
    let (cpu, wall) = (cpu_ns(), Instant::now());
    work().map_err(Into::into)?;
    Ok(match (cpu, cpu_ns()) {
        (Some(before), Some(after)) => (after - before) / 1e6,
        _ => wall.elapsed().as_secs_f64() * 1e3,
    })
}

fn cpu_ns() -> Option<f64> {
    // The kernel counts up to the last time that it looked at this thread.
    std::thread::yield_now();
    let stat = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split(' ').next()?.parse().ok()
}
