//! Linear layers: which product kernel runs when, forward and backward.

use super::super::kernels::{LinearCall, LinearInputGradient, LoraGradient, WeightGradient};
use super::super::{EngineError, LinearLayer, Weight};
use super::commands::Dispatch;
use super::memory::GpuBuffer;
use super::shader::Shader;
use super::{WgslKernels, small};

/// `y (+)= scale · x·W + bias` by the kernel for any size.
struct Thin<'a> {
    x: &'a GpuBuffer,
    /// The weights, and where they begin.
    w: (&'a GpuBuffer, usize),
    bias: Option<(&'a GpuBuffer, usize)>,
    y: &'a GpuBuffer,
    /// Rows, inner size, columns.
    sizes: [usize; 3],
    transposed: bool,
    add: bool,
    scale: f32,
}

/// `out[offset + j·strides[0] + n·strides[1]] = scale · Σ_rows p[row, j]·q[row, n]`.
struct Reduction<'a> {
    /// `None` stands for a column of ones.
    p: Option<&'a GpuBuffer>,
    q: &'a GpuBuffer,
    /// Rows, columns of `p`, columns of `q`.
    sizes: [usize; 3],
    offset: usize,
    strides: [usize; 2],
    scale: f32,
}

impl WgslKernels {
    pub(super) fn linear_forward(
        &mut self,
        call: &LinearCall<'_, GpuBuffer>,
    ) -> Result<(), EngineError> {
        let low_rank = call.checked()?;
        let LinearCall {
            x, layer, y, rows, ..
        } = *call;
        let [k, n] = layer.shape;
        y.expect("y of a linear layer in whole tiles", self.padded(rows) * n)?;
        self.product(x, layer, y, rows, false, false)?;
        let Some((lora, low)) = low_rank else {
            return Ok(());
        };
        let rank = lora.a.shape[1];
        let flat = &self.adapter.flat.clone();
        let thin = Thin {
            x,
            w: (flat, lora.a.range.start),
            bias: None,
            y: low,
            sizes: [rows, k, rank],
            transposed: false,
            add: false,
            scale: 1.0,
        };
        self.thin(&thin)?;
        self.thin(&Thin {
            x: low,
            w: (flat, lora.b.range.start),
            y,
            sizes: [rows, rank, n],
            add: true,
            scale: lora.scale,
            ..thin
        })
    }

    pub(super) fn linear_backward(
        &mut self,
        call: &LinearInputGradient<'_, GpuBuffer>,
    ) -> Result<(), EngineError> {
        let low_rank = call.checked()?;
        let LinearInputGradient {
            d_y,
            layer,
            d_x,
            add,
            rows,
            ..
        } = *call;
        let k = layer.shape[0];
        d_x.expect(
            "d_x of a linear layer in whole tiles",
            self.padded(rows) * k,
        )?;
        self.product(d_y, layer, d_x, rows, true, add)?;
        let Some((lora, d_low)) = low_rank else {
            return Ok(());
        };
        let flat = &self.adapter.flat.clone();
        self.thin(&Thin {
            x: d_low,
            w: (flat, lora.a.range.start),
            bias: None,
            y: d_x,
            sizes: [rows, lora.a.shape[1], k],
            transposed: true,
            add: true,
            scale: 1.0,
        })
    }

    pub(super) fn low_rank_gradient(
        &mut self,
        call: &LoraGradient<'_, GpuBuffer>,
    ) -> Result<(), EngineError> {
        call.check()?;
        let LoraGradient {
            x,
            d_y,
            lora,
            low_rank,
            d_low_rank,
            rows,
        } = *call;
        let ([k, rank], n) = (lora.a.shape, lora.b.shape[1]);
        let flat = &self.adapter.flat.clone();
        self.thin(&Thin {
            x: d_y,
            w: (flat, lora.b.range.start),
            bias: None,
            y: d_low_rank,
            sizes: [rows, n, rank],
            transposed: true,
            add: false,
            scale: lora.scale,
        })?;
        self.reduce(&Reduction {
            p: Some(d_low_rank),
            q: x,
            sizes: [rows, rank, k],
            offset: lora.a.range.start,
            strides: [1, rank],
            scale: 1.0,
        })?;
        self.reduce(&Reduction {
            p: Some(low_rank),
            q: d_y,
            sizes: [rows, rank, n],
            offset: lora.b.range.start,
            strides: [n, 1],
            scale: lora.scale,
        })
    }

    pub(super) fn trained_gradient(
        &mut self,
        call: &WeightGradient<'_, GpuBuffer>,
    ) -> Result<(), EngineError> {
        call.check()?;
        let WeightGradient {
            x,
            d_y,
            weight,
            bias,
            shape: [k, n],
            rows,
        } = *call;
        if let Some(weight) = weight {
            self.reduce(&Reduction {
                p: Some(x),
                q: d_y,
                sizes: [rows, k, n],
                offset: weight.range.start,
                strides: [n, 1],
                scale: 1.0,
            })?;
        }
        let Some(bias) = bias else { return Ok(()) };
        self.reduce(&Reduction {
            p: None,
            q: d_y,
            sizes: [rows, 1, n],
            offset: bias.range.start,
            strides: [n, 1],
            scale: 1.0,
        })
    }

    /// `y = x·W + b`, or `y (+)= x·Wᵀ` where transposed.
    fn product(
        &mut self,
        x: &GpuBuffer,
        layer: &LinearLayer<GpuBuffer>,
        y: &GpuBuffer,
        rows: usize,
        transposed: bool,
        add: bool,
    ) -> Result<(), EngineError> {
        let [input, output] = layer.shape;
        let (k, n) = if transposed {
            (output, input)
        } else {
            (input, output)
        };
        let bias = layer.bias.as_ref().filter(|_| !transposed);
        let product = self.tuning.product(k as u32, n as u32, transposed);
        let flat = self.adapter.flat.clone();
        if let (Some(product), Weight::Frozen(w), None | Some(Weight::Frozen(_))) =
            (product, &layer.weight, bias)
        {
            w.expect("weights of a linear layer", k * n)?;
            let frozen = match bias {
                Some(Weight::Frozen(bias)) => Some(bias),
                _ => None,
            };
            let add = add || frozen.is_some();
            let words = [n / 4, k / 4, usize::from(add), rows];
            return self.commands.dispatch(
                &self.device,
                &Dispatch {
                    shader: Shader::Product(product),
                    buffers: &[x, w, frozen.unwrap_or(w), y],
                    words: &words.map(|word| word as u32),
                    groups: product.groups(rows as u32, n as u32),
                },
            );
        }
        let w = operand(&layer.weight, &flat);
        let bias = bias.map(|bias| operand(bias, &flat));
        self.thin(&Thin {
            x,
            w,
            bias,
            y,
            sizes: [rows, k, n],
            transposed,
            add,
            scale: 1.0,
        })
    }

    fn thin(&mut self, thin: &Thin<'_>) -> Result<(), EngineError> {
        let [rows, k, n] = thin.sizes;
        thin.x.expect("x of a product", rows * k)?;
        thin.w.0.expect("weights of a product", thin.w.1 + k * n)?;
        thin.y.expect("y of a product", rows * n)?;
        let (bias, bias_offset) = thin.bias.unwrap_or(thin.w);
        bias.expect("bias of a product", bias_offset + n)?;
        let words = [
            rows as u32,
            n as u32,
            k as u32,
            thin.w.1 as u32,
            u32::from(thin.add),
            u32::from(thin.bias.is_some()),
            bias_offset as u32,
            thin.scale.to_bits(),
        ];
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::Small(thin.transposed),
                buffers: &[thin.x, thin.w.0, bias, thin.y],
                words: &words,
                groups: small::groups(rows as u32, n as u32),
            },
        )
    }

    fn reduce(&mut self, reduction: &Reduction<'_>) -> Result<(), EngineError> {
        let [rows, j_len, n_len] = reduction.sizes;
        let p = reduction.p.unwrap_or(reduction.q);
        reduction.q.expect("columns of a reduction", rows * n_len)?;
        p.expect(
            "rows of a reduction",
            if reduction.p.is_some() {
                rows * j_len
            } else {
                0
            },
        )?;
        self.adapter
            .gradient
            .expect("gradient", reduction.offset + j_len * n_len)?;
        let words = [
            rows as u32,
            j_len as u32,
            n_len as u32,
            reduction.offset as u32,
            reduction.strides[0] as u32,
            reduction.strides[1] as u32,
            u32::from(reduction.p.is_none()),
            reduction.scale.to_bits(),
        ];
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::ReduceRows,
                buffers: &[p, reduction.q, &self.adapter.gradient],
                words: &words,
                groups: [n_len.div_ceil(16) as u32, j_len.div_ceil(8) as u32, 1],
            },
        )
    }
}

/// Where a weight lies: its own buffer, or its range of the flat adapter.
fn operand<'a>(weight: &'a Weight<GpuBuffer>, flat: &'a GpuBuffer) -> (&'a GpuBuffer, usize) {
    match weight {
        Weight::Frozen(buffer) => (buffer, 0),
        Weight::Trained(parameter) => (flat, parameter.range.start),
    }
}
