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

    /// Loads the rows that this thread owns and clears its sums.
    fn owned(self, text: &mut String) {
        let loads: &[&str] = match self.pass {
            Pass::Forward => &["q"],
            Pass::Query => &["q", "d_out"],
            Pass::Key => &["k", "v"],
        };
        let vectors = self.vectors();
        let (own, places) = if self.owns_queries() {
            let other = format!("let other_column = id.y / call.group * {vectors}u;\n");
            ("q", format!("let head = id.y;\n{other}"))
        } else {
            ("k", String::new())
        };
        let _ = writeln!(text, "{places}let own_column = id.y * {vectors}u;");
        for i in 0..self.rows {
            let _ = writeln!(text, "let row_{i} = min(block.x + {i}u, block.y - 1u);");
            let _ = writeln!(text, "let at_{i} = row_{i} * {own}_stride + own_column;");
            for d in 0..vectors {
                for name in loads {
                    let _ = writeln!(text, "let own_{name}_{i}_{d} = {name}[at_{i} + {d}u];");
                }
                let _ = writeln!(text, "var sum_{i}_{d} = vec4<f32>();");
                if self.pass == Pass::Key {
                    let _ = writeln!(text, "var sum_v_{i}_{d} = vec4<f32>();");
                }
            }
            match self.pass {
                Pass::Forward => {
                    let _ = writeln!(text, "var top_{i} = -1e30; var weight_{i} = 0.0;");
                }
                Pass::Query => self.delta(text, i),
                Pass::Key => {}
            }
        }
        // Causal: a query sees no later key, a key is seen by no earlier query.
        let bounds = if self.owns_queries() {
            "let from_row = block.z; let to_row = select(block.w, block.y, call.causal != 0u);"
        } else {
            "let from_row = select(block.z, block.x, call.causal != 0u); let to_row = block.w;"
        };
        let _ = writeln!(text, "{bounds}");
    }

    /// `Σ d_out·out` of an owned row, for this pass and for that of the keys.
    fn delta(self, text: &mut String, i: u32) {
        let parts: Vec<_> = (0..self.vectors())
            .map(|d| format!("dot(own_d_out_{i}_{d}, out[at_{i} + {d}u])"))
            .collect();
        let _ = writeln!(
            text,
            "let delta_{i} = {};
let place_{i} = row_{i} * call.heads + head;
let sums_{i} = statistics[place_{i}].x;
statistics[place_{i}].y = delta_{i};",
            parts.join(" + ")
        );
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
            let dot = self.dot(&format!("{own}_{i}"), &format!("{other}_{j}"));
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
        let largest = (0..self.streamed).fold(format!("top_{i}"), |largest, j| {
            format!("max({largest}, score_{i}_{j})")
        });
        let _ = writeln!(
            text,
            "let next_{i} = {largest};
let keep_{i} = exp(top_{i} - next_{i});
top_{i} = next_{i};"
        );
        for j in 0..self.streamed {
            let _ = writeln!(text, "let p_{i}_{j} = exp(score_{i}_{j} - next_{i});");
        }
        let weights: Vec<_> = (0..self.streamed).map(|j| format!("p_{i}_{j}")).collect();
        let _ = writeln!(
            text,
            "weight_{i} = weight_{i} * keep_{i} + ({});",
            weights.join(" + ")
        );
        for d in 0..self.vectors() {
            let terms = self.terms("p", "v", [i, d]);
            let _ = writeln!(text, "sum_{i}_{d} = sum_{i}_{d} * keep_{i} + {terms};");
        }
    }

    fn gradient(self, text: &mut String, i: u32) {
        let (own, other, streamed) = if self.owns_queries() {
            ("own_d_out", "v", "k")
        } else {
            ("own_v", "d_out", "q")
        };
        for j in 0..self.streamed {
            let side = if self.owns_queries() { i } else { j };
            let _ = writeln!(text, "let p_{i}_{j} = exp(score_{i}_{j} - sums_{side});");
            let dot = self.dot(&format!("{own}_{i}"), &format!("{other}_{j}"));
            let _ = writeln!(
                text,
                "let ds_{i}_{j} = p_{i}_{j} * ({dot} - delta_{side}) * call.scale;"
            );
        }
        for d in 0..self.vectors() {
            let of_scores = self.terms("ds", streamed, [i, d]);
            let _ = writeln!(text, "sum_{i}_{d} += {of_scores};");
            if self.pass == Pass::Key {
                let of_weights = self.terms("p", "d_out", [i, d]);
                let _ = writeln!(text, "sum_v_{i}_{d} += {of_weights};");
            }
        }
    }

    fn store(self, text: &mut String) {
        let output = match self.pass {
            Pass::Forward => "out",
            Pass::Query => "d_q",
            Pass::Key => "d_k",
        };
        for i in 0..self.rows {
            let _ = writeln!(text, "if (block.x + {i}u < block.y) {{");
            if self.pass == Pass::Forward {
                let _ = writeln!(text, "let share = 1.0 / weight_{i};");
                let _ = writeln!(
                    text,
                    "statistics[row_{i} * call.heads + head].x = top_{i} + log(weight_{i});"
                );
            }
            let factor = if self.pass == Pass::Forward {
                " * share"
            } else {
                ""
            };
            for d in 0..self.vectors() {
                let _ = writeln!(text, "{output}[at_{i} + {d}u] = sum_{i}_{d}{factor};");
                if self.pass == Pass::Key {
                    let _ = writeln!(text, "d_v[at_{i} + {d}u] = sum_v_{i}_{d};");
                }
            }
            text.push_str("}\n");
        }
    }

    fn dot(self, left: &str, right: &str) -> String {
        let parts: Vec<_> = (0..self.vectors())
            .map(|d| format!("dot({left}_{d}, {right}_{d})"))
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
