//! Prune: runs that are old enough to go, holds that keep them, and what nobody names any more.
