//! Memory of the CPU kernels: frozen tensors with their packed copies, and a pool of scratch.

use core::cell::{Cell, OnceCell, Ref, RefCell, RefMut};
use std::rc::Rc;

use rten_gemm::PackedBMatrix;

use super::product::{Products, matrix};
use crate::engine::EngineError;

/// Bytes held, now and at the highest.
#[derive(Clone, Default)]
pub(super) struct Meter(Rc<Cell<(u64, u64)>>);

impl Meter {
    fn add(&self, values: usize) {
        let (now, peak) = self.0.get();
        let now = now + 4 * values as u64;
        self.0.set((now, peak.max(now)));
    }

    fn subtract(&self, values: usize) {
        let (now, peak) = self.0.get();
        self.0.set((now - 4 * values as u64, peak));
    }

    pub(super) fn peak(&self) -> u64 {
        self.0.get().1
    }
}

/// f32 storage; cheap to clone.
#[derive(Clone)]
pub struct CpuBuffer(Rc<Inner>);

struct Inner {
    values: RefCell<Vec<f32>>,
    /// `[rows, columns]` of a frozen matrix; of scratch it says nothing.
    shape: [usize; 2],
    /// Read row by row, so that the plain values must stay.
    is_table: Cell<bool>,
    packed: OnceCell<PackedBMatrix<f32>>,
    packed_transposed: OnceCell<PackedBMatrix<f32>>,
    meter: Meter,
}

impl CpuBuffer {
    pub(super) fn new(values: Vec<f32>, shape: [usize; 2], meter: &Meter) -> Self {
        meter.add(values.len());
        Self(Rc::new(Inner {
            values: RefCell::new(values),
            shape,
            is_table: Cell::new(false),
            packed: OnceCell::new(),
            packed_transposed: OnceCell::new(),
            meter: meter.clone(),
        }))
    }

    pub(super) fn values(&self) -> Ref<'_, Vec<f32>> {
        self.0.values.borrow()
    }

    pub(super) fn values_mut(&self) -> RefMut<'_, Vec<f32>> {
        self.0.values.borrow_mut()
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// The values of a table that is read row by row.
    pub(super) fn table(&self) -> Ref<'_, Vec<f32>> {
        self.0.is_table.set(true);
        self.values()
    }

    /// The matrix as the right-hand side of a product, packed at its first use.
    pub(super) fn packed(&self, products: &Products) -> Result<&PackedBMatrix<f32>, EngineError> {
        let [rows, columns] = self.0.shape;
        self.pack(products, &self.0.packed, [rows, columns], [columns, 1])
    }

    /// Its transpose, likewise.
    pub(super) fn packed_transposed(
        &self,
        products: &Products,
    ) -> Result<&PackedBMatrix<f32>, EngineError> {
        let [rows, columns] = self.0.shape;
        self.pack(
            products,
            &self.0.packed_transposed,
            [columns, rows],
            [1, columns],
        )
    }

    fn pack<'a>(
        &self,
        products: &Products,
        cell: &'a OnceCell<PackedBMatrix<f32>>,
        shape: [usize; 2],
        strides: [usize; 2],
    ) -> Result<&'a PackedBMatrix<f32>, EngineError> {
        if let Some(packed) = cell.get() {
            return Ok(packed);
        }
        let packed = products.pack(matrix(&self.values(), shape, strides)?);
        let packed = cell.get_or_init(|| packed);
        self.0.meter.add(packed.rows() * packed.cols());
        self.forget_plain_values();
        Ok(packed)
    }

    /// Two packed copies are all that products need.
    fn forget_plain_values(&self) {
        let both = self.0.packed.get().is_some() && self.0.packed_transposed.get().is_some();
        if both && !self.0.is_table.get() {
            self.0.meter.subtract(self.0.values.take().len());
        }
    }
}

/// Scratch that is used again. The smallest free buffer that fits is taken.
#[derive(Default)]
pub(super) struct Pool {
    free: Vec<CpuBuffer>,
}

impl Pool {
    /// A buffer of at least `len` values, not cleared.
    pub(super) fn take(&mut self, len: usize, meter: &Meter) -> CpuBuffer {
        // A much larger buffer is left for those who need it.
        let fits = |size: usize| size >= len && size <= 4 * len + 4096;
        let best = self
            .free
            .iter()
            .enumerate()
            .map(|(index, buffer)| (buffer.values().len(), index))
            .filter(|&(size, _)| fits(size))
            .min();
        if let Some((_, index)) = best {
            return self.free.swap_remove(index);
        }
        // An eighth more than asked for, so that a slightly longer batch still fits.
        let size = (len + len / 8).next_multiple_of(64);
        CpuBuffer::new(vec![0.0; size], [1, size], meter)
    }

    pub(super) fn give_back(&mut self, buffer: CpuBuffer) {
        self.free.push(buffer);
    }
}
