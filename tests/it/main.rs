//! Behaviour through the public API.

#[cfg(test)]
mod artifacts;
#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod transactions;
#[cfg(test)]
mod workspaces;
