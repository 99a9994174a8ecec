//! Receipts: commands that are decided once.
