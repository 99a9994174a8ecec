//! Backups: copies elsewhere, and what is put back from them.
