//! WGSL text of the products that are too thin or too odd for the register-blocked ones: low-rank
//! factors, the classifier head, any size at all.
//!
//! One thread owns `ROWS × COLUMNS` results; sizes, offsets and flags arrive in the uniform, edges
//! are guarded. Neighbouring threads own neighbouring rows, so that all lanes read the same weight.

use core::fmt::Write as _;

use super::super::quantised::Integers;
use super::quantised::weight_function;

/// Rows of one thread's tile.
pub(super) const ROWS: u32 = 4;
/// Columns of one thread's tile.
pub(super) const COLUMNS: u32 = 4;
/// Threads of one workgroup, all along rows.
const GROUP: u32 = 8;

/// Workgroups for `rows × columns` results.
pub(super) fn groups(rows: u32, columns: u32) -> [u32; 3] {
    [rows.div_ceil(ROWS * GROUP), columns.div_ceil(COLUMNS), 1]
}

/// A product of any size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Small {
    /// Reads `W` along its rows.
    pub(super) transposed: bool,
    /// The numbers that `W` is kept in; none for f32.
    pub(super) integers: Option<Integers>,
}

/// The shader's text; bindings `x`, `w`, `bias`, `scales` if `W` has them, `y`.
///
/// `y[i, j] (+)= scale · Σ_k x[i, k]·W + bias[j]` with `W = w[offset + k·n + j]`, or
/// `w[offset + j·k_len + k]` where transposed. A quantised matrix begins at offset 0. `x` and `y`
/// may be wider than the product: it reads the columns from `x_first` on and writes those from
/// `y_first` on.
pub(super) fn source(small: Small) -> String {
    let Small {
        transposed,
        integers,
    } = small;
    let (words, scales, last) = match integers {
        None => ("f32", "", 4),
        Some(_) => (
            "u32",
            "@group(0) @binding(4) var<storage, read> scales: array<f32>;\n",
            5,
        ),
    };
    let weight = match integers {
        None => String::new(),
        Some(integers) if transposed => weight_function(integers, "call.n", "call.k"),
        Some(integers) => weight_function(integers, "call.k", "call.n"),
    };
    let mut text = format!(
        "struct Call {{ rows: u32, n: u32, k: u32, w_offset: u32,
  add: u32, bias: u32, bias_offset: u32, scale: f32,
  x_columns: u32, x_first: u32, y_columns: u32, y_first: u32 }}
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<{words}>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
{scales}@group(0) @binding({last}) var<storage, read_write> y: array<f32>;
{weight}@compute @workgroup_size({GROUP})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
let row = id.x * {ROWS}u;
let column = id.y * {COLUMNS}u;
if (row >= call.rows || column >= call.n) {{ return; }}
"
    );
    for i in 0..ROWS {
        let _ = writeln!(
            text,
            "var x{i} = call.x_first + min(row + {i}u, call.rows - 1u) * call.x_columns;"
        );
        for j in 0..COLUMNS {
            let _ = write!(text, "var c{i}_{j} = 0.0;");
        }
        text.push('\n');
    }
    let (column_stride, step_stride) = if transposed {
        ("call.k", "1u")
    } else {
        ("1u", "call.n")
    };
    for j in 0..COLUMNS {
        let column = format!("min(column + {j}u, call.n - 1u)");
        let _ = match integers {
            None => writeln!(
                text,
                "var w{j} = call.w_offset + {column} * {column_stride};"
            ),
            Some(_) => writeln!(text, "let w{j} = {column};"),
        };
    }
    let _ = writeln!(text, "let step = {step_stride};\nvar k = 0u;");
    text.push_str("for (; k + 4u <= call.k; k += 4u) {\n");
    steps(&mut text, small, 4);
    text.push_str("}\nfor (; k < call.k; k += 1u) {\n");
    steps(&mut text, small, 1);
    text.push_str("}\n");
    store(&mut text);
    text.push_str("}\n");
    text
}

fn steps(text: &mut String, small: Small, count: u32) {
    for j in 0..COLUMNS {
        for q in 0..count {
            let value = match (small.integers, small.transposed) {
                (None, _) => format!("w[w{j} + {q}u * step]"),
                (Some(_), false) => format!("weight(k + {q}u, w{j})"),
                (Some(_), true) => format!("weight(w{j}, k + {q}u)"),
            };
            let _ = write!(text, "let t{j}_{q} = {value};");
        }
        if small.integers.is_none() {
            let _ = writeln!(text, "w{j} += {count}u * step;");
        }
    }
    for i in 0..ROWS {
        for q in 0..count {
            let _ = write!(text, "let a{i}_{q} = x[x{i} + {q}u];");
        }
        let _ = writeln!(text, "x{i} += {count}u;");
        for j in 0..COLUMNS {
            let terms: Vec<_> = (0..count).map(|q| format!("a{i}_{q} * t{j}_{q}")).collect();
            let _ = write!(text, "c{i}_{j} += {};", terms.join(" + "));
        }
        text.push('\n');
    }
}

fn store(text: &mut String) {
    for j in 0..COLUMNS {
        let _ = writeln!(
            text,
            "if (column + {j}u < call.n) {{
  var e = 0.0;
  if (call.bias != 0u) {{ e = bias[call.bias_offset + column + {j}u]; }}"
        );
        for i in 0..ROWS {
            let _ = writeln!(
                text,
                "  if (row + {i}u < call.rows) {{
    let at = (row + {i}u) * call.y_columns + call.y_first + column + {j}u;
    var value = call.scale * c{i}_{j} + e;
    if (call.add != 0u) {{ value += y[at]; }}
    y[at] = value;
  }}"
            );
        }
        text.push_str("}\n");
    }
}
