//! Behaviour through the public API.

#[cfg(test)]
mod artifacts;
#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod forged;
#[cfg(test)]
mod independent;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod random_damage;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod transactions;
#[cfg(test)]
mod workspaces;
