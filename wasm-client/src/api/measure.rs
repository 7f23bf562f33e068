//! How fast this module's engine is here: a short chain of products of the model's own shapes.

use wasm_bindgen::prelude::wasm_bindgen;

use super::clock::milliseconds;
use super::device::open_engine;
use super::error::ApiError;
use crate::engine::{Batch, EmbeddingTables, Engine, EngineError, LinearLayer, Weight};

const ROWS: usize = 256;
const DIM: usize = 384;
const INTERMEDIATE: usize = 1536;
/// Pairs of products that are timed, `[256, 384]·[384, 1536]` and back: 1.2 GFLOP in all.
const PAIRS: usize = 2;

/// GFLOP/s of the engine on its device; the first, untimed pass compiles and warms up.
#[wasm_bindgen(js_name = measureProduct)]
pub async fn measure_product() -> Result<f64, ApiError> {
    let mut engine = open_engine().await?;
    let chain = Chain::new(&mut engine)?;
    chain.run(&mut engine, 1).await?;
    let start = milliseconds();
    chain.run(&mut engine, PAIRS).await?;
    let elapsed = (milliseconds() - start).max(0.1);
    let operations = (2 * 2 * PAIRS * ROWS * DIM * INTERMEDIATE) as f64;
    Ok(operations / elapsed / 1e6)
}

struct Chain<T> {
    tables: EmbeddingTables<T>,
    up: LinearLayer<T>,
    down: LinearLayer<T>,
}

impl<T: Clone> Chain<T> {
    fn new<E: Engine<Tensor = T>>(engine: &mut E) -> Result<Self, EngineError> {
        let mut frozen = |rows: usize, columns: usize| {
            engine.frozen(&vec![0.01; rows * columns], [rows, columns])
        };
        let tables = EmbeddingTables {
            word: frozen(1, DIM)?,
            position: frozen(ROWS, DIM)?,
            token_type: Some(frozen(1, DIM)?),
        };
        let mut layer = |shape: [usize; 2]| {
            let weight = Weight::Frozen(frozen(shape[0], shape[1])?);
            Ok::<_, EngineError>(LinearLayer {
                weight,
                bias: None,
                trained_bias: None,
                lora: None,
                shape,
            })
        };
        let up = layer([DIM, INTERMEDIATE])?;
        let down = layer([INTERMEDIATE, DIM])?;
        Ok(Self { tables, up, down })
    }

    async fn run<E: Engine<Tensor = T>>(
        &self,
        engine: &mut E,
        pairs: usize,
    ) -> Result<(), EngineError> {
        let batch = Batch {
            tokens: vec![0; ROWS],
            token_starts: vec![0, ROWS as u32],
            labels: Vec::new(),
            num_virtual_tokens: 0,
            past: 0,
        };
        engine.begin(&batch, false)?;
        let mut x = engine.embedding(&self.tables, None, DIM)?;
        for _ in 0..pairs {
            let inner = engine.linear(&x, &self.up)?;
            x = engine.linear(&inner, &self.down)?;
        }
        let pooled = engine.mean_pool(&x)?;
        engine.read(&pooled).await?;
        Ok(())
    }
}
