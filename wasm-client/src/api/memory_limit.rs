//! The most memory that the module of chat templates takes: a template is a stranger's program, and not
//! all that it makes is counted as it is made. Beyond the limit an allocation fails, which ends this
//! instance of the module and nothing else.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::alloc::System;

/// Bytes; a conversation takes a few times its own length.
const MOST: usize = 256 << 20;

#[global_allocator]
static LIMITED: Limited = Limited {
    taken: AtomicUsize::new(0),
};

/// The system's allocator, up to [`MOST`] bytes.
struct Limited {
    taken: AtomicUsize,
}

// SAFETY: whatever is handed out or taken back is the system allocator's own; null is an answer that
// every caller has to expect.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = self.taken.load(Ordering::Relaxed);
        if layout.size() > MOST - taken.min(MOST) {
            return null_mut();
        }
        self.taken.store(taken + layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        self.taken.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: it came from the system's allocator.
        unsafe { System.dealloc(place, layout) }
    }
}
