//! The engine against real child processes of this machine's node and python.

mod harness;
mod node;
