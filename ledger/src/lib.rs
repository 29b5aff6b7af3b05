//! x
#![warn(missing_docs)]
pub mod apply;
pub mod block;
mod finality;
pub mod merkle;
pub mod receipt_file;
pub mod seal;
pub mod state;
pub mod tariff;
