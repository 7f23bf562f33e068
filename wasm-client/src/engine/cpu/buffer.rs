//! Memory of the CPU kernels: frozen tensors, and a pool of scratch.

use core::cell::{Cell, Ref, RefCell, RefMut};
use std::rc::Rc;

use crate::engine::checks::Room;
use crate::engine::quantised::QuantisedMatrix;

/// Bytes held. They only grow: scratch goes back to the pool, frozen tensors stay.
#[derive(Clone, Default)]
pub(super) struct Meter(Rc<Cell<u64>>);

impl Meter {
    pub(super) fn add(&self, bytes: usize) {
        self.0.set(self.0.get() + bytes as u64);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.get()
    }
}

/// f32 storage, or a quantised matrix, which has no f32 values; cheap to clone.
#[derive(Clone)]
pub struct CpuBuffer {
    values: Rc<RefCell<Vec<f32>>>,
    quantised: Option<Rc<QuantisedMatrix>>,
}

impl CpuBuffer {
    pub(super) fn new(values: Vec<f32>, meter: &Meter) -> Self {
        meter.add(size_of_val(&values[..]));
        Self {
            values: Rc::new(RefCell::new(values)),
            quantised: None,
        }
    }

    pub(super) fn quantised(matrix: QuantisedMatrix, meter: &Meter) -> Self {
        meter.add(matrix.len_bytes());
        Self {
            values: Rc::default(),
            quantised: Some(Rc::new(matrix)),
        }
    }

    pub(super) fn values(&self) -> Ref<'_, Vec<f32>> {
        self.values.borrow()
    }

    pub(super) fn values_mut(&self) -> RefMut<'_, Vec<f32>> {
        self.values.borrow_mut()
    }

    /// The quantised matrix, if it is one.
    pub(super) fn matrix(&self) -> Option<&QuantisedMatrix> {
        self.quantised.as_deref()
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.values, &other.values)
    }
}

impl Room for CpuBuffer {
    fn room(&self) -> usize {
        self.values().len()
    }

    fn values(&self) -> usize {
        let [rows, columns] = self
            .matrix()
            .map_or_else(|| [1, self.room()], QuantisedMatrix::shape);
        rows * columns
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
        CpuBuffer::new(vec![0.0; size], meter)
    }

    pub(super) fn give_back(&mut self, buffer: CpuBuffer) {
        self.free.push(buffer);
    }
}
