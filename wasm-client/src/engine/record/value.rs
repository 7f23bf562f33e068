//! Handles of a recording engine. A buffer goes back to the kernels' pool when its last handle is
//! gone: the model's own handles, those that the tape keeps for the gradients, and nothing else.

use core::cell::RefCell;
use std::rc::Rc;

use super::remake::Origin;
use crate::engine::{LinearLayer, Weight};

/// Buffers whose last handle is gone, on their way to the kernels' pool.
pub(super) type Returned<B> = Rc<RefCell<Vec<B>>>;

/// A tensor `[rows, columns]` on the device.
#[derive(Clone)]
pub struct Value<B: Clone>(Rc<Inner<B>>);

struct Inner<B: Clone> {
    buffer: B,
    shape: [usize; 2],
    /// The entry of the tape that made it, if its gradient is wanted.
    node: Option<usize>,
    /// How to make it again, if its gradient's users are to do that.
    origin: Option<Rc<Origin<B>>>,
    /// Where the buffer goes afterwards; nowhere if it is frozen.
    returned: Option<Returned<B>>,
}

impl<B: Clone> Value<B> {
    /// A tensor that stays.
    pub(super) fn frozen(buffer: B, shape: [usize; 2]) -> Self {
        Self(Rc::new(Inner {
            buffer,
            shape,
            node: None,
            origin: None,
            returned: None,
        }))
    }

    /// Scratch of this step.
    pub(super) fn scratch(
        buffer: B,
        shape: [usize; 2],
        node: Option<usize>,
        returned: &Returned<B>,
    ) -> Self {
        Self(Rc::new(Inner {
            buffer,
            shape,
            node,
            origin: None,
            returned: Some(returned.clone()),
        }))
    }

    /// The same tensor, which can be made again. There must be no other handle yet.
    pub(super) fn with_origin(mut self, origin: Option<Rc<Origin<B>>>) -> Self {
        if let Some(inner) = Rc::get_mut(&mut self.0) {
            inner.origin = origin;
        }
        self
    }

    /// How to make it again.
    pub(super) fn origin(&self) -> Option<&Rc<Origin<B>>> {
        self.0.origin.as_ref()
    }

    /// Where it lies on the device.
    pub fn buffer(&self) -> &B {
        &self.0.buffer
    }

    /// `[rows, columns]`.
    pub fn shape(&self) -> [usize; 2] {
        self.0.shape
    }

    /// The entry of the tape that made it, if its gradient is wanted.
    pub(super) fn node(&self) -> Option<usize> {
        self.0.node
    }

    /// The same storage, overwritten by another entry of the tape; only if the handle is unique.
    pub(super) fn remade(mut self, node: Option<usize>) -> Self {
        if let Some(inner) = Rc::get_mut(&mut self.0) {
            inner.node = node;
        }
        self
    }

    /// True if it stays from step to step, and must not be overwritten.
    pub(super) fn is_frozen(&self) -> bool {
        self.0.returned.is_none()
    }

    /// True if there is no other handle, so that it may be overwritten.
    pub(super) fn is_unique(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }
}

impl<B: Clone> Drop for Inner<B> {
    fn drop(&mut self) {
        if let Some(returned) = &self.returned {
            returned.borrow_mut().push(self.buffer.clone());
        }
    }
}

/// The layer with the device's buffers in place of the handles.
pub(super) fn buffers_of<B: Clone>(layer: &LinearLayer<Value<B>>) -> LinearLayer<B> {
    let buffer_of = |weight: &Weight<Value<B>>| match weight {
        Weight::Frozen(value) => Weight::Frozen(value.buffer().clone()),
        Weight::Trained(parameter) => Weight::Trained(parameter.clone()),
    };
    LinearLayer {
        weight: buffer_of(&layer.weight),
        bias: layer.bias.as_ref().map(buffer_of),
        trained_bias: layer.trained_bias.clone(),
        lora: layer.lora.clone(),
        shape: layer.shape,
    }
}
