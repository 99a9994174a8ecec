//! A plan that fails, made shorter: as long as it fails without an act, that act is left out.

use std::time::{Duration, Instant};

use super::plan::Plan;

/// The shortest plan that was found within this time, of those that still fail.
pub(super) fn shrink(plan: &Plan, time: Duration, fails: impl Fn(&Plan) -> bool) -> Plan {
    let until = Instant::now() + time;
    let mut best = plan.clone();
    let mut chunk = best.len().div_ceil(2);
    while chunk > 0 && Instant::now() < until {
        let mut at = 0;
        let before = best.len();
        while at < best.len() && Instant::now() < until {
            let mut shorter = best.clone();
            shorter.acts.drain(at..(at + chunk).min(best.len()));
            if fails(&shorter) {
                best = shorter;
            } else {
                at += chunk;
            }
        }
        // Of single acts, another round is tried as long as the last one left one out.
        chunk = if chunk == 1 && best.len() < before { 1 } else { chunk / 2 };
    }
    for at in 0..best.len() {
        let mut calmer = best.clone();
        let trouble = calmer.acts.get_mut(at).and_then(|act| act.trouble.take());
        if trouble.is_some() && Instant::now() < until && fails(&calmer) {
            best = calmer;
        }
    }
    best
}
