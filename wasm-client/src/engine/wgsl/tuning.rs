//! Which shape of kernel for which device and which sizes.

use super::super::quantised::{GROUP, Integers};
use super::product::Product;

/// Tile sizes. All results are the same; only speed differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Rows of a product's tile; scratch is rounded up to a multiple of it.
    pub(super) rows: u32,
    /// Most columns of a product's tile.
    pub(super) columns: u32,
    /// Threads of a product's workgroup, along columns and rows.
    pub(super) group: [u32; 2],
    /// Whether a product's sums are one array, which a loop stores.
    pub(super) stored_in_loop: bool,
    /// Rows of attention that one thread owns.
    pub(super) attention_rows: u32,
    /// Rows that it streams past them at a time.
    pub(super) attention_streamed: u32,
}

impl Tuning {
    /// For lanes in software: a vector's load costs as much as several products of vectors, and registers
    /// are memory anyway, so tiles are large. Still larger ones gain less than they take longer to
    /// compile. Nearly every width is a multiple of 16, so that one kernel serves.
    pub const SOFTWARE: Self = Self {
        rows: 24,
        columns: 16,
        group: [4, 1],
        stored_in_loop: true,
        attention_rows: 4,
        attention_streamed: 1,
    };
    /// For hardware: tiles that fit its registers, many threads.
    pub const HARDWARE: Self = Self {
        rows: 8,
        columns: 8,
        group: [8, 8],
        stored_in_loop: false,
        attention_rows: 1,
        attention_streamed: 4,
    };

    /// The register-blocked product for these sizes, if there is one.
    pub(super) fn product(
        self,
        k: u32,
        n: u32,
        transposed: bool,
        integers: Option<Integers>,
    ) -> Option<Product> {
        if !k.is_multiple_of(4) || !n.is_multiple_of(4) {
            return None;
        }
        // A tile meets one group of a quantised matrix at a time.
        let mut columns = self.columns.min(GROUP as u32);
        while !n.is_multiple_of(columns) {
            columns /= 2;
        }
        Some(Product {
            transposed,
            integers,
            rows: self.rows,
            columns,
            group: self.group,
            stored_in_loop: self.stored_in_loop,
            is_part: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_a_tile_divide_the_matrix() {
        for n in (4..2000).step_by(4) {
            let product = Tuning::SOFTWARE.product(8, n, false, None).unwrap();
            assert!(n.is_multiple_of(product.columns) && product.columns >= 4);
        }
        assert_eq!(Tuning::SOFTWARE.product(384, 77, false, None), None);
        assert_eq!(Tuning::SOFTWARE.product(77, 384, false, None), None);
    }
}
