//! Linear layers: which product kernel runs when, forward and backward.

use core::ops::Range;

use super::super::kernels::{LinearCall, LinearInputGradient, LoraGradient, WeightGradient};
use super::super::{EngineError, LinearLayer, Weight};
use super::WgslKernels;
use super::commands::Dispatch;
use super::memory::GpuBuffer;
use super::product::Product;
use super::reduce::Reduction;
use super::shader::Shader;
use super::small::{self, Small};
use super::split::Window;

/// `y (+)= scale · x·W + bias` by the kernel for any size.
pub(super) struct Thin<'a> {
    pub(super) x: &'a GpuBuffer,
    /// The weights, and where they begin.
    pub(super) w: (&'a GpuBuffer, usize),
    pub(super) bias: Option<(&'a GpuBuffer, usize)>,
    pub(super) y: &'a GpuBuffer,
    /// Rows, inner size, columns.
    pub(super) sizes: [usize; 3],
    pub(super) window: Window,
    pub(super) transposed: bool,
    pub(super) add: bool,
    pub(super) scale: f32,
}

/// The low-rank part of a product: `scale·low·F`, `F[r, j] = flat[at + r·strides[0] + j·strides[1]]`.
#[derive(Clone)]
pub(super) struct LowRank<'a> {
    /// `[rows, rank]`.
    low: &'a GpuBuffer,
    rank: usize,
    /// Where the factor lies in the flat adapter.
    factor: Range<usize>,
    strides: [usize; 2],
    scale: f32,
}

impl LowRank<'_> {
    /// What is left of it from the column `first` on.
    pub(super) fn after_columns(mut self, first: usize) -> Self {
        self.factor.start += first * self.strides[1];
        self
    }
}

/// Which product of a layer.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// `x·W + b`.
    Forward,
    /// `d_y·Wᵀ`, added to what is there or not.
    Backward { add: bool },
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
        let n = layer.shape[1];
        y.expect("y of a linear layer in whole tiles", self.padded(rows) * n)?;
        let Some((lora, low)) = low_rank else {
            return self.product(x, layer, y, rows, Way::Forward, None);
        };
        let low_rank = LowRank {
            low,
            rank: lora.a.shape[1],
            factor: lora.b.range.clone(),
            strides: [n, 1],
            scale: lora.scale,
        };
        self.product(x, layer, y, rows, Way::Forward, Some(low_rank))
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
        let low_rank = low_rank.map(|(lora, low)| LowRank {
            low,
            rank: lora.a.shape[1],
            factor: lora.a.range.clone(),
            strides: [1, lora.a.shape[1]],
            scale: 1.0,
        });
        self.product(d_y, layer, d_x, rows, Way::Backward { add }, low_rank)
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
        let d_a = Reduction {
            p: Some(d_low_rank),
            q: x,
            sizes: [rank, k],
            offset: lora.a.range.start,
            strides: [1, rank],
            scale: 1.0,
        };
        let d_b = Reduction {
            p: Some(low_rank),
            q: d_y,
            sizes: [rank, n],
            offset: lora.b.range.start,
            strides: [n, 1],
            scale: lora.scale,
        };
        self.reduce(rows, &d_a, Some(&d_b))
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
        let d_weight = weight.map(|weight| Reduction {
            p: Some(x),
            q: d_y,
            sizes: [k, n],
            offset: weight.range.start,
            strides: [n, 1],
            scale: 1.0,
        });
        let d_bias = bias.map(|bias| Reduction {
            p: None,
            q: d_y,
            sizes: [1, n],
            offset: bias.range.start,
            strides: [n, 1],
            scale: 1.0,
        });
        match (&d_weight, &d_bias) {
            (Some(first), second) => self.reduce(rows, first, second.as_ref()),
            (None, Some(only)) => self.reduce(rows, only, None),
            (None, None) => Ok(()),
        }
    }

    /// The product and its low-rank part, with weights in any number of buffers.
    fn product(
        &mut self,
        x: &GpuBuffer,
        layer: &LinearLayer<GpuBuffer>,
        y: &GpuBuffer,
        rows: usize,
        way: Way,
        low_rank: Option<LowRank<'_>>,
    ) -> Result<(), EngineError> {
        match &layer.weight {
            Weight::Frozen(w) if w.split.is_some() => {
                w.expect_matrix("weights of a linear layer", layer.shape)?;
                self.split_product([x, y], layer, &w.parts(), rows, way, low_rank)
            }
            _ => self.whole_product([x, y], layer, rows, way, low_rank, None),
        }
    }

    /// The product and its low-rank part: in one kernel where the sizes suit its tiles, else one
    /// after the other by the kernel for any size.
    pub(super) fn whole_product(
        &mut self,
        [x, y]: [&GpuBuffer; 2],
        layer: &LinearLayer<GpuBuffer>,
        rows: usize,
        way: Way,
        low_rank: Option<LowRank<'_>>,
        window: Option<Window>,
    ) -> Result<(), EngineError> {
        let [input, output] = layer.shape;
        let (k, n, transposed, add) = match way {
            Way::Forward => (input, output, false, false),
            Way::Backward { add } => (output, input, true, add),
        };
        let bias = layer.bias.as_ref().filter(|_| !transposed);
        let integers = match &layer.weight {
            Weight::Frozen(w) => w.integers(),
            Weight::Trained(_) => None,
        };
        let tiles = self
            .tuning
            .product(k as u32, n as u32, transposed, integers)
            .filter(|_| window.is_none_or(Window::is_in_vectors));
        if let (Some(tiles), Weight::Frozen(w), None | Some(Weight::Frozen(_))) =
            (tiles, &layer.weight, bias)
        {
            let frozen = match bias {
                Some(Weight::Frozen(bias)) => Some(bias),
                _ => None,
            };
            w.expect_matrix("weights of a linear layer", layer.shape)?;
            let buffers = [x, w, frozen.unwrap_or(w), y];
            let add = add || frozen.is_some();
            return self.tiled(tiles, buffers, [rows, k, n], add, low_rank, window);
        }
        let window = window.unwrap_or_else(|| Window::whole(k, n));
        let flat = &self.adapter.flat.clone();
        let thin = Thin {
            x,
            w: operand(&layer.weight, flat),
            bias: bias.map(|bias| operand(bias, flat)),
            y,
            sizes: [rows, k, n],
            window,
            transposed,
            add: add || window.adds,
            scale: 1.0,
        };
        self.thin(&thin)?;
        let Some(low_rank) = low_rank else {
            return Ok(());
        };
        self.thin(&Thin {
            x: low_rank.low,
            w: (flat, low_rank.factor.start),
            bias: None,
            sizes: [rows, low_rank.rank, n],
            window: Window {
                x: [low_rank.rank, 0],
                ..window
            },
            add: true,
            scale: low_rank.scale,
            ..thin
        })
    }

    /// The register-blocked product; `buffers` are x, weights, bias, y.
    fn tiled(
        &mut self,
        tiles: Product,
        [x, w, bias, y]: [&GpuBuffer; 4],
        [rows, k, n]: [usize; 3],
        add: bool,
        low_rank: Option<LowRank<'_>>,
        window: Option<Window>,
    ) -> Result<(), EngineError> {
        let tiles = Product {
            is_part: window.is_some(),
            ..if rows == 1 { tiles.of_one_row() } else { tiles }
        };
        let mut words = [0; 14];
        let sizes = [n / 4, k / 4, usize::from(add), rows];
        words[..4].copy_from_slice(&sizes.map(|word| word as u32));
        if let Some(window) = window {
            let [[x_columns, x_first], [y_columns, y_first]] = [window.x, window.y];
            x.expect("x of a product", rows * x_columns)?;
            y.expect("y of a product", rows * y_columns)?;
            let found = [x_columns, x_first, y_columns, y_first].map(|values| values as u32 / 4);
            words[9..13].copy_from_slice(&found);
            words[13] = u32::from(window.adds);
        }
        let mut low = x;
        if let Some(part) = low_rank {
            let tiled_rows = self.padded(rows);
            part.low
                .expect("x·A in whole tiles", tiled_rows * part.rank)?;
            let flat = &self.adapter.flat;
            flat.expect("low-rank factor", part.factor.end)?;
            low = part.low;
            let [rank_stride, column_stride] = part.strides;
            let found = [part.rank, part.factor.start, rank_stride, column_stride];
            words[4..8].copy_from_slice(&found.map(|word| word as u32));
            words[8] = part.scale.to_bits();
        }
        let mut buffers = vec![x, w, bias, low, &self.adapter.flat];
        buffers.extend(w.scales.as_ref().map(|scales| &scales.values));
        buffers.push(y);
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::Product(tiles),
                buffers: &buffers,
                words: &words,
                groups: tiles.groups(rows as u32, n as u32),
            },
        )
    }

    pub(super) fn thin(&mut self, thin: &Thin<'_>) -> Result<(), EngineError> {
        let [rows, k, n] = thin.sizes;
        let Window {
            x: [x_columns, x_first],
            y: [y_columns, y_first],
            ..
        } = thin.window;
        thin.x.expect("x of a product", rows * x_columns)?;
        let (w, w_at) = thin.w;
        let shape = if thin.transposed { [n, k] } else { [k, n] };
        match &w.scales {
            Some(_) => w.expect_matrix("weights of a product", shape)?,
            None => w.expect("weights of a product", w_at + k * n)?,
        }
        thin.y.expect("y of a product", rows * y_columns)?;
        let (bias, bias_offset) = thin.bias.unwrap_or((thin.x, 0));
        if thin.bias.is_some() {
            bias.expect("bias of a product", bias_offset + n)?;
        }
        let words = [
            rows as u32,
            n as u32,
            k as u32,
            w_at as u32,
            u32::from(thin.add),
            u32::from(thin.bias.is_some()),
            bias_offset as u32,
            thin.scale.to_bits(),
            x_columns as u32,
            x_first as u32,
            y_columns as u32,
            y_first as u32,
        ];
        let mut buffers = vec![thin.x, w, bias];
        buffers.extend(w.scales.as_ref().map(|scales| &scales.values));
        buffers.push(thin.y);
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::Small(Small {
                    transposed: thin.transposed,
                    integers: w.integers(),
                }),
                buffers: &buffers,
                words: &words,
                groups: small::groups(rows as u32, n as u32),
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
