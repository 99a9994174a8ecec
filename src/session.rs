//! Sessions with providers, which a restarted process resumes.
