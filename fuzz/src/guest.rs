//! What the guests of a testbed are sent, and what they answer.

use s_core_xen_guest::http::{Request, RequestError, Response};
use s_core_xen_guest::{Command, Counters};

use crate::memory::bounded;

/// The longest answer that is read.
const MOST_ANSWER: usize = 1 << 20;
/// How far a number that was written may be from the one that is read: JSON may lose its last bit.
const PRECISION: f64 = 1e-12;

/// Reads a request, and the command that it stands for.
pub fn guest_request(data: &[u8]) {
    let request = match bounded(data.len(), || Request::read(&mut { data })) {
        Ok(request) => request,
        Err(RequestError::Refused(refusal)) => return one_line(&refusal.reason),
        Err(RequestError::Io(_)) => return,
    };
    let mut written = Vec::new();
    request
        .write(&mut written)
        .expect("a vector takes everything");
    let again = Request::read(&mut &written[..]).expect("a request that was read is one");
    assert_eq!(again, request, "read(write(x)) = x");
    match bounded(data.len(), || Command::read(&request)) {
        Ok(command) => {
            let again = Command::read(&command.request());
            assert_close(&again.expect("a command that was read is one"), &command);
        }
        Err(refusal) => one_line(&refusal.reason),
    }
}

/// Reads an answer, and the counters in it.
pub fn guest_answer(data: &[u8]) {
    let answer = bounded(data.len(), || Response::read(&mut { data }, MOST_ANSWER));
    let Ok(Response { body, .. }) = answer else {
        return;
    };
    assert!(body.len() <= data.len());
    match bounded(data.len(), || Counters::read(&body)) {
        Ok(counters) => {
            let again =
                Counters::read(&counters.write()).expect("counters that were read are counters");
            let [rate, wanted] = [&again, &counters].map(|one| one.dirty.mb_per_second);
            assert!(is_close(rate, wanted), "{rate}, not {wanted}");
            let mut again = again;
            again.dirty.mb_per_second = wanted;
            assert_eq!(again, counters, "read(write(x)) = x");
        }
        Err(problem) => one_line(&problem),
    }
}

fn one_line(text: &str) {
    assert!(!text.contains('\n'), "{text:?}");
}

fn is_close(found: f64, wanted: f64) -> bool {
    (found - wanted).abs() <= PRECISION * wanted.abs().max(1.0)
}

/// Whether two commands are the same but for the last bits of numbers.
fn assert_close(found: &Command, wanted: &Command) {
    let close = match (found, wanted) {
        (Command::SetPlan(found), Command::SetPlan(wanted)) => {
            let same = found.iter().zip(wanted).all(|(found, wanted)| {
                [found.a, found.b] == [wanted.a, wanted.b]
                    && is_close(
                        found.rate.bytes_per_second(),
                        wanted.rate.bytes_per_second(),
                    )
                    && is_close(found.share_of_a, wanted.share_of_a)
                    && is_close(found.mix.short(), wanted.mix.short())
                    && is_close(found.mix.udp(), wanted.mix.udp())
            });
            same && found.len() == wanted.len()
        }
        (Command::SetDirty(found), Command::SetDirty(wanted)) => {
            is_close(found.mb_per_second, wanted.mb_per_second)
                && found.working_set_mib == wanted.working_set_mib
        }
        _ => found == wanted,
    };
    assert!(close, "{found:?}, not {wanted:?}");
}
