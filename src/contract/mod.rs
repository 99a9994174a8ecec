//! Plans and reports, and the roles that write them.
