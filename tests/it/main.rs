//! Behaviour through the public API.

#[cfg(test)]
mod artifacts;
#[cfg(test)]
mod steps;
