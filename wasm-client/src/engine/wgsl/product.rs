//! WGSL text of the register-blocked matrix products.
//!
//! One thread owns a tile of `rows × columns` results in registers and walks along the inner
//! dimension four steps at a time, summing the four products in one expression. There is no
//! workgroup memory and no barrier: on devices that run lanes in software both cost more than they
//! save. Inner and outer sizes arrive in the uniform, so two pipelines serve every layer.
//!
//! The low-rank part of a layer with LoRA is added to the same tile before it is stored, as so many
//! more steps of the inner dimension as the rank has; without LoRA the rank is zero.

use core::fmt::Write as _;

use super::super::quantised::Integers;
use super::quantised::{GROUP_BLOCKS, block_type, unpacked_columns};

/// A product `y = x·W (+ b) + scale·low·B` or `y (+)= x·Wᵀ + scale·low·Aᵀ`; `W` is `[k, n]`, or
/// `[n, k]` where transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Product {
    /// Reads `W` along its rows.
    pub(super) transposed: bool,
    /// The numbers that `W` is kept in; none for f32.
    pub(super) integers: Option<Integers>,
    /// Rows of one thread's tile.
    pub(super) rows: u32,
    /// Columns of one thread's tile, a multiple of four that divides `n`.
    pub(super) columns: u32,
    /// Threads of one workgroup, along columns and rows.
    pub(super) group: [u32; 2],
    /// Whether the sums are one array, which a loop stores.
    pub(super) stored_in_loop: bool,
    /// Whether `W` is a part of a larger matrix: `x` is wider then, or `y`, and a forward product may
    /// add to what is there.
    pub(super) is_part: bool,
}

impl Product {
    /// The same for a matrix of one row, as a text that goes on has: a larger tile would compute rows
    /// that there are not. The order of each sum is the same.
    pub(super) fn of_one_row(self) -> Self {
        let [across, down] = self.group;
        Self {
            rows: 1,
            group: [across * down, 1],
            ..self
        }
    }

    /// Workgroups for `rows × n` results.
    pub(super) fn groups(self, rows: u32, n: u32) -> [u32; 3] {
        let [across, down] = self.group;
        [
            n.div_ceil(self.columns * across),
            rows.div_ceil(self.rows * down),
            1,
        ]
    }

    /// The shader's text; bindings `x`, `w`, `bias`, `low`, `factors`, `scales` if `W` has them, `y`.
    pub(super) fn source(self) -> String {
        let mut text = String::with_capacity(64 * (self.rows * self.columns) as usize);
        self.head(&mut text);
        match (self.integers, self.transposed) {
            (None, false) => self.walk(&mut text, "4u * call.n4", Self::load_blocks),
            (None, true) => self.walk(&mut text, "1u", Self::load_along_rows),
            (Some(integers), false) => self.walk_numbers(&mut text, integers),
            (Some(integers), true) => self.walk_numbers_along_rows(&mut text, integers),
        }
        self.add_low_rank(&mut text);
        self.store(&mut text);
        text.push_str("}\n");
        text
    }

    /// All steps of the inner dimension, four at a time.
    fn walk(self, text: &mut String, stride: &str, load: fn(Self, &mut String)) {
        text.push_str("for (var k = 0u; k < call.k4; k++) {\n");
        load(self, text);
        self.accumulate(text, "");
        let _ = writeln!(text, "x_at += 1u; w_at += {stride};\n}}");
    }

    /// The tile's columns are of one group: its scales, one per step, go to `x`.
    fn walk_numbers(self, text: &mut String, integers: Integers) {
        let vectors = self.columns / 4;
        let _ = writeln!(
            text,
            "let s_at = id.x * {vectors}u / {GROUP_BLOCKS}u * call.k4;
for (var k = 0u; k < call.k4; k++) {{"
        );
        for j in 0..vectors {
            let _ = writeln!(text, "let q{j} = w[w_at + {j}u];");
            for (c, column) in unpacked_columns(integers, &format!("q{j}"))
                .iter()
                .enumerate()
            {
                let _ = writeln!(text, "let t{} = {column};", 4 * j as usize + c);
            }
        }
        text.push_str("let s = scales[s_at + k];\n");
        self.accumulate(text, " * s");
        text.push_str("x_at += 1u; w_at += call.n4;\n}\n");
    }

    /// The inner dimension runs along the groups: the scales of the tile's columns, which are rows
    /// of `W`, are read once per group.
    fn walk_numbers_along_rows(self, text: &mut String, integers: Integers) {
        let vectors = self.columns / 4;
        let _ = writeln!(
            text,
            "var k = 0u;
for (var s_at = id.x * {vectors}u; k < call.k4; s_at += call.n4) {{"
        );
        for j in 0..vectors {
            let _ = writeln!(text, "let s{j} = scales[s_at + {j}u];");
        }
        let _ = writeln!(
            text,
            "let end = min(k + {GROUP_BLOCKS}u, call.k4);\nfor (; k < end; k++) {{"
        );
        for j in 0..vectors {
            let _ = writeln!(text, "let q{j} = w[w_at + k_{j}];");
            for (c, column) in unpacked_columns(integers, &format!("q{j}"))
                .iter()
                .enumerate()
            {
                let _ = writeln!(text, "let u{j}_{c} = {column} * s{j};");
            }
            for (r, lane) in "xyzw".chars().enumerate() {
                let _ = writeln!(
                    text,
                    "let t{} = vec4<f32>(u{j}_0.{lane}, u{j}_1.{lane}, u{j}_2.{lane}, u{j}_3.{lane});",
                    4 * j as usize + r
                );
            }
        }
        self.accumulate(text, "");
        text.push_str("x_at += 1u; w_at += 1u;\n}\n}\n");
    }

    fn head(self, text: &mut String) {
        let Self {
            rows,
            columns,
            group: [across, down],
            transposed,
            integers,
            is_part,
            ..
        } = self;
        let vectors = columns / 4;
        let first = match (transposed, integers) {
            (false, _) => format!("{vectors}u"),
            (true, None) => format!("{columns}u * call.k4"),
            (true, Some(_)) => format!("{vectors}u * call.k4"),
        };
        let weights = integers.map_or("vec4<f32>", block_type);
        let (scales, last) = match integers {
            None => ("", 6),
            Some(_) => (
                "@group(0) @binding(6) var<storage, read> scales: array<vec4<f32>>;\n",
                7,
            ),
        };
        let (window, x4, y4) = if is_part {
            let more = ", x4: u32, x_first4: u32, y4: u32, y_first4: u32, adds: u32";
            (more, "call.x4", "call.y4")
        } else {
            ("", "call.k4", "call.n4")
        };
        let _ = write!(
            text,
            "struct Call {{ n4: u32, k4: u32, add: u32, rows: u32,
  rank: u32, factor_at: u32, rank_stride: u32, column_stride: u32, scale: f32{window} }}
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<{weights}>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> low: array<f32>;
@group(0) @binding(5) var<storage, read> factors: array<f32>;
{scales}@group(0) @binding({last}) var<storage, read_write> y: array<vec4<f32>>;
@compute @workgroup_size({across}, {down})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
if (id.x * {vectors}u >= call.n4 || id.y * {rows}u >= call.rows) {{ return; }}
var x_at = id.y * {rows}u * {x4};
var w_at = id.x * {first};
let y_at = id.y * {rows}u * {y4} + id.x * {vectors}u;
"
        );
        for i in 0..if is_part { rows } else { 0 } {
            let _ = writeln!(
                text,
                "let x_{i} = call.x_first4 + {i}u * call.x4;
let y_{i} = call.y_first4 + {i}u * call.y4;"
            );
        }
        for i in 0..rows.max(columns) {
            let _ = writeln!(text, "let k_{i} = {i}u * call.k4;");
        }
        for i in 0..rows.max(4) {
            let _ = writeln!(text, "let n_{i} = {i}u * call.n4;");
        }
        if self.stored_in_loop {
            let _ = writeln!(text, "var c: array<f32, {}>;", rows * columns);
            return;
        }
        for i in 0..rows {
            for j in 0..columns {
                let _ = write!(text, "var c{i}_{j} = 0.0;");
            }
            text.push('\n');
        }
    }

    /// Text of one sum.
    fn sum(self, i: u32, j: u32) -> String {
        if self.stored_in_loop {
            format!("c[{}]", i * self.columns + j)
        } else {
            format!("c{i}_{j}")
        }
    }

    /// Four steps of each column of `[n, k]` are one vector.
    fn load_along_rows(self, text: &mut String) {
        for j in 0..self.columns {
            let _ = writeln!(text, "let t{j} = w[w_at + k_{j}];");
        }
    }

    /// Four rows of `[k, n]`, turned into one vector of four steps per column.
    fn load_blocks(self, text: &mut String) {
        for j in 0..self.columns / 4 {
            for step in 0..4 {
                let _ = writeln!(text, "let b{step}_{j} = w[w_at + n_{step} + {j}u];");
            }
            for (part, lane) in "xyzw".chars().enumerate() {
                let _ = writeln!(
                    text,
                    "let t{} = vec4<f32>(b0_{j}.{lane}, b1_{j}.{lane}, b2_{j}.{lane}, b3_{j}.{lane});",
                    4 * j as usize + part
                );
            }
        }
    }

    /// Four steps of every row by those of every column; `factor` is what each row is scaled by.
    fn accumulate(self, text: &mut String, factor: &str) {
        let row = if self.is_part { "x" } else { "k" };
        for i in 0..self.rows {
            let _ = writeln!(text, "let a{i} = x[x_at + {row}_{i}]{factor};");
            for j in 0..self.columns {
                let sum = self.sum(i, j);
                let _ = write!(text, "{sum} += dot(a{i}, t{j});");
            }
            text.push('\n');
        }
    }

    /// One step per rank. The factor lies anywhere in the flat adapter, so it is read by the value.
    fn add_low_rank(self, text: &mut String) {
        let Self { rows, columns, .. } = self;
        let _ = writeln!(
            text,
            "let low_at = id.y * {rows}u * call.rank;
var factor_at = call.factor_at + id.x * {columns}u * call.column_stride;
for (var r = 0u; r < call.rank; r++) {{"
        );
        for j in 0..columns {
            let _ = writeln!(
                text,
                "let f{j} = call.scale * factors[factor_at + {j}u * call.column_stride];"
            );
        }
        for i in 0..rows {
            let _ = writeln!(text, "let l{i} = low[low_at + {i}u * call.rank + r];");
            for j in 0..columns {
                let sum = self.sum(i, j);
                let _ = write!(text, "{sum} += l{i} * f{j};");
            }
            text.push('\n');
        }
        text.push_str("factor_at += call.rank_stride;\n}\n");
    }

    /// Forward adds the bias, transposed adds what is there; a sum that is not wanted is selected
    /// away, which is cheaper to compile than a branch.
    fn store(self, text: &mut String) {
        let vectors = self.columns / 4;
        for j in 0..if self.transposed { 0 } else { vectors } {
            let _ = writeln!(
                text,
                "let bias_{j} = select(vec4<f32>(), bias[id.x * {vectors}u + {j}u], call.add != 0u);"
            );
        }
        if self.stored_in_loop {
            self.store_in_loop(text);
            return;
        }
        let row = if self.is_part { "y" } else { "n" };
        for i in 0..self.rows {
            for j in 0..vectors {
                let sums = [0, 1, 2, 3].map(|lane| self.sum(i, 4 * j + lane));
                let _ = writeln!(text, "{{ let at = y_at + {row}_{i} + {j}u;");
                self.store_vector(text, j, &sums.join(", "));
            }
        }
    }

    /// The same for all rows in one text.
    fn store_in_loop(self, text: &mut String) {
        let Self { rows, columns, .. } = self;
        let row = if self.is_part {
            "call.y_first4 + i * call.y4"
        } else {
            "i * call.n4"
        };
        let _ = writeln!(
            text,
            "for (var i = 0u; i < {rows}u; i++) {{
let row_at = y_at + {row};
let c_at = i * {columns}u;"
        );
        for j in 0..columns / 4 {
            let sums = [0, 1, 2, 3].map(|lane| format!("c[c_at + {}u]", 4 * j + lane));
            let _ = writeln!(text, "{{ let at = row_at + {j}u;");
            self.store_vector(text, j, &sums.join(", "));
        }
        text.push_str("}\n");
    }

    /// One vector, at `at`.
    fn store_vector(self, text: &mut String, j: u32, sums: &str) {
        let addend = if self.transposed {
            "select(vec4<f32>(), y[at], call.add != 0u)".to_owned()
        } else if self.is_part {
            format!("bias_{j} + select(vec4<f32>(), y[at], call.adds != 0u)")
        } else {
            format!("bias_{j}")
        };
        let _ = writeln!(text, "y[at] = vec4<f32>({sums}) + {addend}; }}");
    }
}
