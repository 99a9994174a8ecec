//! Behaviour through the public API.

#[cfg(test)]
mod artifacts;
#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod steps;
