//! The worker of the proof: `proof-worker <prepare|operate|recover> <operation> <directory>`.

use std::process::ExitCode;

use runjournal_proof::{Acks, Outcome, Place, Violation, operations, trial};

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect::<Vec<_>>().as_slice()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(violation) => {
            eprintln!("{violation}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Outcome {
    let [act, operation, dir] = arguments else {
        return Err(Violation::new(
            "usage: proof-worker <prepare|operate|recover> <operation> <dir>",
        ));
    };
    let operation = operations::find(operation)
        .ok_or_else(|| Violation::new(format!("there is no operation {operation}")))?;
    let place = Place::new(dir.as_str());
    let mut acks = Acks::open(&place)?;
    match act.as_str() {
        "prepare" => {
            operation.base.prepare(&place, &mut acks)?;
            (operation.prepare)(&place, &mut acks)
        }
        "operate" => (operation.operate)(&place, &mut acks),
        "recover" => {
            place.begin();
            trial::recover(operation, &place.clone().once_more(), &mut acks)?;
            place.end();
            Ok(())
        }
        _ => Err(Violation::new(format!("{act} is none of prepare, operate, recover"))),
    }
}
