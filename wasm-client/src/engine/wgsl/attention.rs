//! WGSL text of attention and its gradients.
//!
//! One thread owns a block of `rows` rows of one head in registers and streams the other rows of
//! the same sequence past them, some at a time. Forward is the online softmax of Dao et al. 2022
//! (FlashAttention, algorithm 1); the gradients recompute the probabilities from the kept log of
//! the sum of exponentials. The block table says which rows a thread owns and which it streams.
//! Heads of queries share those of keys and values in groups (Ainslie et al. 2023): who owns keys
//! streams the queries of every head of the group.

use core::fmt::Write as _;

/// Threads of one workgroup, all along blocks.
pub(super) const GROUP: u32 = 8;

/// Which of the three passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pass {
    /// Output and log of the sum of exponentials; owns queries.
    Forward,
    /// `Σ d_out·out` and gradient of the queries; owns queries.
    Query,
    /// Gradients of the keys and values; owns keys. Comes after the queries'.
    Key,
}

/// One pass for one head size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Attention {
    /// Which pass.
    pub(super) pass: Pass,
    /// Columns of one head, a multiple of four.
    pub(super) head_dim: u32,
    /// Rows that one thread owns.
    pub(super) rows: u32,
    /// Rows that it streams past them in one iteration.
    pub(super) streamed: u32,
}

impl Attention {
    /// The shader's text.
    pub(super) fn source(self) -> String {
        let mut text = format!(
            "struct Call {{ heads: u32, causal: u32, blocks: u32, scale: f32, group: u32 }}
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> blocks: array<vec4<u32>>;
{}@compute @workgroup_size({GROUP})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
if (id.x >= call.blocks) {{ return; }}
let block = blocks[id.x];
let q_stride = call.heads * {vectors}u;
let k_stride = call.heads / call.group * {vectors}u;
",
            self.bindings(),
            vectors = self.vectors(),
        );
        self.owned(&mut text);
        self.stream(&mut text);
        self.store(&mut text);
        text.push_str("}\n");
        text
    }

    fn vectors(self) -> u32 {
        self.head_dim / 4
    }

    fn owns_queries(self) -> bool {
        matches!(self.pass, Pass::Forward | Pass::Query)
    }

    fn bindings(self) -> String {
        let (read, written): (&[&str], &[&str]) = match self.pass {
            Pass::Forward => (&["q", "k", "v"], &["out"]),
            Pass::Query => (&["q", "k", "v", "d_out", "out"], &["d_q"]),
            Pass::Key => (&["q", "k", "v", "d_out"], &["d_k", "d_v"]),
        };
        let mut text = String::new();
        let mut at = 2;
        let mut bind = |name: &str, access: &str, kind: &str| {
            let _ = writeln!(
                text,
                "@group(0) @binding({at}) var<storage, {access}> {name}: array<{kind}>;"
            );
            at += 1;
        };
        read.iter().for_each(|name| bind(name, "read", "vec4<f32>"));
        if !self.owns_queries() {
            bind("statistics", "read", "vec2<f32>");
        }
        written
            .iter()
            .for_each(|name| bind(name, "read_write", "vec4<f32>"));
        if self.owns_queries() {
            bind("statistics", "read_write", "vec2<f32>");
        }
        text
    }

    /// Loads the rows that this thread owns; its sums are zero.
    fn owned(self, text: &mut String) {
        let (loads, sums, scalars): (&[&str], &[&str], &[&str]) = match self.pass {
            Pass::Forward => (&["q"], &["sum"], &["top", "weight"]),
            Pass::Query => (&["q", "d_out"], &["sum"], &["sums", "delta"]),
            Pass::Key => (&["k", "v"], &["sum", "sum_v"], &[]),
        };
        let Self { rows, .. } = self;
        let vectors = self.vectors();
        for name in loads {
            let _ = writeln!(
                text,
                "var own_{name}: array<vec4<f32>, {}>;",
                rows * vectors
            );
        }
        for name in sums {
            let _ = writeln!(text, "var {name}: array<vec4<f32>, {}>;", rows * vectors);
        }
        for name in scalars {
            let _ = writeln!(text, "var {name}: array<f32, {rows}>;");
        }
        let places = if self.owns_queries() {
            format!("let head = id.y;\nlet other_column = id.y / call.group * {vectors}u;\n")
        } else {
            String::new()
        };
        let _ = writeln!(text, "{places}let own_column = id.y * {vectors}u;");
        self.load_rows(text, loads);
        for i in 0..rows {
            let _ = writeln!(text, "let row_{i} = min(block.x + {i}u, block.y - 1u);");
        }
        // Causal: a query sees no later key, a key is seen by no earlier query.
        let bounds = if self.owns_queries() {
            "let from_row = block.z; let to_row = select(block.w, block.y, call.causal != 0u);"
        } else {
            "let from_row = select(block.z, block.x, call.causal != 0u); let to_row = block.w;"
        };
        let _ = writeln!(text, "{bounds}");
    }

    /// The rows past the end of the block are the last one again.
    fn load_rows(self, text: &mut String, loads: &[&str]) {
        let mut load: String = loads
            .iter()
            .map(|name| format!("own_{name}[own_at + d] = {name}[at + d];\n"))
            .collect();
        // Σ d_out·out of a row is for the pass of the keys too.
        let (before, after) = match self.pass {
            Pass::Forward => ("top[i] = -1e30;", ""),
            Pass::Query => (
                "var product = 0.0;",
                "let place = row * call.heads + head;
delta[i] = product;
sums[i] = statistics[place].x;
statistics[place].y = product;",
            ),
            Pass::Key => ("", ""),
        };
        if self.pass == Pass::Query {
            load.push_str("product += dot(own_d_out[own_at + d], out[at + d]);");
        }
        let load = self.each_vector(&load);
        let row = format!(
            "let row = min(block.x + i, block.y - 1u);
{}{before}
{load}{after}",
            self.places()
        );
        text.push_str(&self.each_row(&row));
    }

    /// Where row `row`, the `i`-th that is owned, begins.
    fn places(self) -> String {
        let stride = if self.owns_queries() { "q" } else { "k" };
        let vectors = self.vectors();
        format!("let at = row * {stride}_stride + own_column;\nlet own_at = i * {vectors}u;\n")
    }

    /// `body` for each owned row `i`. Several rows have one text, in a loop: lanes in software keep an
    /// array in memory anyway, and every load and store more takes long to compile. On hardware a
    /// thread owns one row, and its arrays have constant indices, so that they are registers.
    fn each_row(self, body: &str) -> String {
        match self.rows {
            1 => format!("{{\nconst i = 0u;\n{body}\n}}\n"),
            rows => format!("for (var i = 0u; i < {rows}u; i++) {{\n{body}\n}}\n"),
        }
    }

    /// `body` for each vector `d` of a row, likewise.
    fn each_vector(self, body: &str) -> String {
        let vectors = self.vectors();
        match self.rows {
            1 => (0..vectors)
                .map(|d| format!("{{\nconst d = {d}u;\n{body}\n}}\n"))
                .collect(),
            _ => format!("for (var d = 0u; d < {vectors}u; d++) {{\n{body}\n}}\n"),
        }
    }

    fn stream(self, text: &mut String) {
        let (loads, other): (&[&str], _) = if self.owns_queries() {
            (&["k", "v"], "k")
        } else {
            (&["q", "d_out"], "q")
        };
        if !self.owns_queries() {
            let vectors = self.vectors();
            let _ = writeln!(
                text,
                "let first = id.y * call.group;
for (var head = first; head < first + call.group; head++) {{
let other_column = head * {vectors}u;"
            );
        }
        let _ = writeln!(
            text,
            "for (var s = from_row; s < to_row; s += {}u) {{",
            self.streamed
        );
        for j in 0..self.streamed {
            let _ = writeln!(text, "let other_{j} = min(s + {j}u, to_row - 1u);");
            let _ = writeln!(
                text,
                "let from_{j} = other_{j} * {other}_stride + other_column;"
            );
            for d in 0..self.vectors() {
                for name in loads {
                    let _ = writeln!(text, "let {name}_{j}_{d} = {name}[from_{j} + {d}u];");
                }
            }
            if !self.owns_queries() {
                let _ = writeln!(
                    text,
                    "let kept_{j} = statistics[other_{j} * call.heads + head];
let sums_{j} = kept_{j}.x; let delta_{j} = kept_{j}.y;"
                );
            }
        }
        for i in 0..self.rows {
            self.scores(text, i);
            match self.pass {
                Pass::Forward => self.softmax(text, i),
                Pass::Query | Pass::Key => self.gradient(text, i),
            }
        }
        text.push_str("}\n");
        if !self.owns_queries() {
            text.push_str("}\n");
        }
    }

    /// `score_{i}_{j}` for one owned row, far below every real score where it is not seen.
    fn scores(self, text: &mut String, i: u32) {
        let (own, other) = if self.owns_queries() {
            ("own_q", "k")
        } else {
            ("own_k", "q")
        };
        for j in 0..self.streamed {
            let dot = self.dot((own, i), (other, j));
            let seen = if self.owns_queries() {
                format!("(call.causal == 0u || s + {j}u <= row_{i})")
            } else {
                format!("(call.causal == 0u || s + {j}u >= row_{i})")
            };
            let _ = writeln!(
                text,
                "let score_{i}_{j} = select(-1e30, call.scale * ({dot}), s + {j}u < to_row && {seen});"
            );
        }
    }

    fn softmax(self, text: &mut String, i: u32) {
        let largest = (0..self.streamed).fold(format!("top[{i}]"), |largest, j| {
            format!("max({largest}, score_{i}_{j})")
        });
        let _ = writeln!(
            text,
            "let next_{i} = {largest};
let keep_{i} = exp(top[{i}] - next_{i});
top[{i}] = next_{i};"
        );
        for j in 0..self.streamed {
            let _ = writeln!(text, "let p_{i}_{j} = exp(score_{i}_{j} - next_{i});");
        }
        let weights: Vec<_> = (0..self.streamed).map(|j| format!("p_{i}_{j}")).collect();
        let _ = writeln!(
            text,
            "weight[{i}] = weight[{i}] * keep_{i} + ({});",
            weights.join(" + ")
        );
        for d in 0..self.vectors() {
            let terms = self.terms("p", "v", [i, d]);
            let at = i * self.vectors() + d;
            let _ = writeln!(text, "sum[{at}] = sum[{at}] * keep_{i} + {terms};");
        }
    }

    fn gradient(self, text: &mut String, i: u32) {
        let (own, other, streamed) = if self.owns_queries() {
            ("own_d_out", "v", "k")
        } else {
            ("own_v", "d_out", "q")
        };
        for j in 0..self.streamed {
            let side = if self.owns_queries() {
                format!("[{i}]")
            } else {
                format!("_{j}")
            };
            let _ = writeln!(text, "let p_{i}_{j} = exp(score_{i}_{j} - sums{side});");
            let dot = self.dot((own, i), (other, j));
            let _ = writeln!(
                text,
                "let ds_{i}_{j} = p_{i}_{j} * ({dot} - delta{side}) * call.scale;"
            );
        }
        for d in 0..self.vectors() {
            let at = i * self.vectors() + d;
            let of_scores = self.terms("ds", streamed, [i, d]);
            let _ = writeln!(text, "sum[{at}] += {of_scores};");
            if self.pass == Pass::Key {
                let of_weights = self.terms("p", "d_out", [i, d]);
                let _ = writeln!(text, "sum_v[{at}] += {of_weights};");
            }
        }
    }

    fn store(self, text: &mut String) {
        let (before, store) = match self.pass {
            Pass::Forward => (
                "statistics[row * call.heads + head].x = top[i] + log(weight[i]);
let share = 1.0 / weight[i];",
                "out[at + d] = sum[own_at + d] * share;",
            ),
            Pass::Query => ("", "d_q[at + d] = sum[own_at + d];"),
            Pass::Key => (
                "",
                "d_k[at + d] = sum[own_at + d];\nd_v[at + d] = sum_v[own_at + d];",
            ),
        };
        let row = format!(
            "let row = block.x + i;
if (row < block.y) {{
{}{before}
{}}}",
            self.places(),
            self.each_vector(store)
        );
        text.push_str(&self.each_row(&row));
    }

    /// A row that is owned by one that is streamed.
    fn dot(self, (own, i): (&str, u32), (other, j): (&str, u32)) -> String {
        let parts: Vec<_> = (0..self.vectors())
            .map(|d| format!("dot({own}[{}], {other}_{j}_{d})", i * self.vectors() + d))
            .collect();
        parts.join(" + ")
    }

    /// `coefficient_{i}_0 * rows_0_{d} + ...` over the streamed rows.
    fn terms(self, coefficient: &str, rows: &str, [i, d]: [u32; 2]) -> String {
        let parts: Vec<_> = (0..self.streamed)
            .map(|j| format!("{coefficient}_{i}_{j} * {rows}_{j}_{d}"))
            .collect();
        parts.join(" + ")
    }
}
