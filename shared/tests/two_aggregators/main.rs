//! Mode B: the sum is exact, the helper refuses what it must, and neither aggregator can use a
//! report for anything but the one sum that its client meant.

mod bytes;
mod client;
mod helper;
mod leader;
mod stage;
mod sum;
