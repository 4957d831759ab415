//! Tests of the simulation itself. One program, because linking one with all optimization takes longer than running most of them.

mod planted;
mod seeds;
