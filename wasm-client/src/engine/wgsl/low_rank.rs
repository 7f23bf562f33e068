//! Products into low-rank parts: those of layers that read the same input, or whose gradients come
//! at the same time, in one dispatch.
//!
//! The result has few columns, so one such product alone keeps few threads busy. A part is a layer
//! of workgroups; each part has an input and an output of its own.

use core::fmt::Write as _;

use super::super::EngineError;
use super::super::kernels::{LowRankCall, LowRankWay};
use super::WgslKernels;
use super::commands::Dispatch;
use super::linear::Thin;
use super::memory::GpuBuffer;
use super::shader::Shader;
use super::split::Window;

/// Most parts of a dispatch: with the factors seven of the eight buffers that every device grants.
const MOST_PARTS: usize = 3;
/// Rows of one thread's tile.
const ROWS: u32 = 2;
/// Columns of one thread's tile.
const COLUMNS: u32 = 4;
/// Threads of one workgroup, all along rows, so that all lanes read the same factor.
const GROUP: u32 = 8;

/// The kernel for so many parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LowRank {
    /// By the first factor, or by the second one turned.
    pub(super) way: LowRankWay,
    /// 1 to [`MOST_PARTS`].
    pub(super) parts: u32,
}

impl LowRank {
    /// The shader's text; bindings `factors`, the inputs, the outputs. Of part `p`:
    /// `low[i, j] = scale · Σ_k x[i, k]·factors[at + k·rank + j]`, or `factors[at + j·columns + k]`
    /// backward.
    pub(super) fn source(self) -> String {
        let parts = self.parts;
        let mut text = String::from("struct Call { rows: u32,\n");
        for p in 0..parts {
            let _ = writeln!(
                text,
                "columns4_{p}: u32, rank{p}: u32, at{p}: u32, scale{p}: f32,"
            );
        }
        text.push_str(
            "}
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> factors: array<f32>;
",
        );
        for p in 0..parts {
            let (input, output) = (2 + p, 2 + parts + p);
            let _ = writeln!(
                text,
                "@group(0) @binding({input}) var<storage, read> x{p}: array<vec4<f32>>;
@group(0) @binding({output}) var<storage, read_write> low{p}: array<f32>;"
            );
        }
        let _ = writeln!(
            text,
            "@compute @workgroup_size({GROUP})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
let row = id.x * {ROWS}u;
let column = id.y * {COLUMNS}u;
if (row >= call.rows) {{ return; }}
switch (id.z) {{"
        );
        for p in 0..parts {
            let label = if p + 1 == parts {
                "default".to_owned()
            } else {
                format!("case {p}u")
            };
            let _ = writeln!(
                text,
                "{label}: {{\nif (column >= call.rank{p}) {{ return; }}"
            );
            self.part(&mut text, p);
            text.push_str("}\n");
        }
        text.push_str("}\n}\n");
        text
    }

    fn part(self, text: &mut String, p: u32) {
        let (column_stride, step) = match self.way {
            LowRankWay::Forward => ("1u".to_owned(), format!("call.rank{p}")),
            LowRankWay::Backward => (format!("4u * call.columns4_{p}"), "1u".to_owned()),
        };
        for i in 0..ROWS {
            let _ = writeln!(
                text,
                "let r{i} = min(row + {i}u, call.rows - 1u) * call.columns4_{p};"
            );
            for j in 0..COLUMNS {
                let _ = write!(text, "var c{i}_{j} = 0.0;");
            }
            text.push('\n');
        }
        for j in 0..COLUMNS {
            let _ = writeln!(
                text,
                "var f{j} = call.at{p} + min(column + {j}u, call.rank{p} - 1u) * {column_stride};"
            );
        }
        let _ = writeln!(
            text,
            "let step = {step};\nfor (var k = 0u; k < call.columns4_{p}; k++) {{"
        );
        for i in 0..ROWS {
            let _ = writeln!(text, "let a{i} = x{p}[r{i} + k];");
        }
        for j in 0..COLUMNS {
            let _ = writeln!(
                text,
                "{{ let t = vec4<f32>(factors[f{j}], factors[f{j} + step], factors[f{j} + 2u * step], factors[f{j} + 3u * step]);
f{j} += 4u * step;"
            );
            for i in 0..ROWS {
                let _ = write!(text, "c{i}_{j} += dot(a{i}, t);");
            }
            text.push_str("}\n");
        }
        text.push_str("}\n");
        for j in 0..COLUMNS {
            let _ = writeln!(text, "if (column + {j}u < call.rank{p}) {{");
            for i in 0..ROWS {
                let _ = writeln!(
                    text,
                    "if (row + {i}u < call.rows) {{ low{p}[(row + {i}u) * call.rank{p} + column + {j}u] = call.scale{p} * c{i}_{j}; }}"
                );
            }
            text.push_str("}\n");
        }
    }
}

impl WgslKernels {
    pub(super) fn low_rank_products(
        &mut self,
        way: LowRankWay,
        calls: &[LowRankCall<'_, GpuBuffer>],
        rows: usize,
    ) -> Result<(), EngineError> {
        let mut together = Vec::with_capacity(calls.len());
        for call in calls {
            let columns = call.checked(way, rows)?;
            if columns.is_multiple_of(4) && call.lora.a.shape[1] > 0 {
                together.push((call, columns));
            } else {
                self.odd_low_rank(way, call, [rows, columns])?;
            }
        }
        together
            .chunks(MOST_PARTS)
            .try_for_each(|parts| self.low_rank_parts(way, parts, rows))
    }

    /// Some products at once.
    fn low_rank_parts(
        &mut self,
        way: LowRankWay,
        parts: &[(&LowRankCall<'_, GpuBuffer>, usize)],
        rows: usize,
    ) -> Result<(), EngineError> {
        let mut words = vec![rows as u32];
        let mut most_columns = 0;
        for (call, columns) in parts {
            let lora = call.lora;
            let rank = lora.a.shape[1] as u32;
            let (factor, scale) = match way {
                LowRankWay::Forward => (&lora.a, 1.0),
                LowRankWay::Backward => (&lora.b, lora.scale),
            };
            self.adapter
                .flat
                .expect("low-rank factor", factor.range.end)?;
            let at = factor.range.start as u32;
            words.extend([(columns / 4) as u32, rank, at, scale.to_bits()]);
            most_columns = most_columns.max(rank);
        }
        let inputs = parts.iter().map(|(call, _)| call.x);
        let outputs = parts.iter().map(|(call, _)| call.low_rank);
        let buffers: Vec<_> = core::iter::once(&self.adapter.flat)
            .chain(inputs)
            .chain(outputs)
            .collect();
        let count = parts.len() as u32;
        let groups = [
            (rows as u32).div_ceil(ROWS * GROUP),
            most_columns.div_ceil(COLUMNS),
            count,
        ];
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::LowRank(LowRank { way, parts: count }),
                buffers: &buffers,
                words: &words,
                groups,
            },
        )
    }

    /// One whose rows are not whole vectors, by the kernel for any size.
    fn odd_low_rank(
        &mut self,
        way: LowRankWay,
        call: &LowRankCall<'_, GpuBuffer>,
        [rows, columns]: [usize; 2],
    ) -> Result<(), EngineError> {
        let flat = &self.adapter.flat.clone();
        let lora = call.lora;
        let (factor, transposed, scale) = match way {
            LowRankWay::Forward => (&lora.a, false, 1.0),
            LowRankWay::Backward => (&lora.b, true, lora.scale),
        };
        self.thin(&Thin {
            x: call.x,
            w: (flat, factor.range.start),
            bias: None,
            y: call.low_rank,
            sizes: [rows, columns, lora.a.shape[1]],
            window: Window::whole(columns, lora.a.shape[1]),
            transposed,
            add: false,
            scale,
        })
    }
}
