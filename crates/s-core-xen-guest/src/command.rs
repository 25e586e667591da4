//! What a guest can be told and asked.

use s_core_lab::traffic::PairTraffic;

use crate::dirty::Dirtying;
use crate::http::{Method, Refusal, Request, Status};
use crate::plan;

/// The most octets that `GET /bytes/N` gives.
pub const MOST_BYTES: u64 = 1 << 30;

const COUNTERS: &str = "/counters";
const PLAN: &str = "/plan";
const DIRTY: &str = "/dirty";
const BYTES: &str = "/bytes/";

/// What a guest can be told and asked; the table of the [crate] has it as requests.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Give a page that says who you are.
    Page,
    /// Give your counters.
    Counters,
    /// Send by these pairs; those to which you do not belong are others'.
    SetPlan(Vec<PairTraffic>),
    /// Send nothing.
    ClearPlan,
    /// Give this many octets.
    Bytes(u64),
    /// Write memory.
    SetDirty(Dirtying),
    /// Write none, and give it back.
    StopDirty,
}

impl Command {
    /// The command that a request stands for.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is no such command, or it is asked for what is out of its bounds.
    pub fn read(request: &Request) -> Result<Self, Refusal> {
        let Request { method, path, body } = request;
        if let Some(count) = path.strip_prefix(BYTES) {
            return match method {
                Method::Get => bytes(count),
                _ => Err(not_allowed("GET")),
            };
        }
        match (path.as_str(), method) {
            ("/", Method::Get) => Ok(Self::Page),
            (COUNTERS, Method::Get) => Ok(Self::Counters),
            (PLAN, Method::Put) => plan::read(body).map(Self::SetPlan).map_err(Refusal::bad),
            (PLAN, Method::Delete) => Ok(Self::ClearPlan),
            (DIRTY, Method::Put) => Dirtying::read(body)
                .map(Self::SetDirty)
                .map_err(Refusal::bad),
            (DIRTY, Method::Delete) => Ok(Self::StopDirty),
            ("/" | COUNTERS, _) => Err(not_allowed("GET")),
            (PLAN | DIRTY, _) => Err(not_allowed("PUT and DELETE")),
            _ => {
                let reason = "there are /, /counters, /plan, /dirty and /bytes/N";
                Err(Refusal::new(Status::NotFound, reason))
            }
        }
    }

    /// The request that stands for the command.
    pub fn request(&self) -> Request {
        let with = |path, body| Request {
            body,
            ..Request::new(Method::Put, path)
        };
        match self {
            Self::Page => Request::new(Method::Get, "/"),
            Self::Counters => Request::new(Method::Get, COUNTERS),
            Self::SetPlan(pairs) => with(PLAN, plan::write(pairs)),
            Self::ClearPlan => Request::new(Method::Delete, PLAN),
            Self::Bytes(count) => Request::new(Method::Get, format!("{BYTES}{count}")),
            Self::SetDirty(dirtying) => with(DIRTY, dirtying.write()),
            Self::StopDirty => Request::new(Method::Delete, DIRTY),
        }
    }
}

fn not_allowed(possible: &str) -> Refusal {
    Refusal::new(Status::MethodNotAllowed, format!("here is only {possible}"))
}

fn bytes(count: &str) -> Result<Command, Refusal> {
    let digits = count.bytes().all(|byte| byte.is_ascii_digit());
    let count = count.parse().ok().filter(|_| digits);
    let count = count.filter(|count| *count <= MOST_BYTES);
    count.map(Command::Bytes).ok_or_else(|| {
        let reason = format!("a number from 0 to {MOST_BYTES} is wanted behind {BYTES}");
        Refusal::bad(reason)
    })
}

#[cfg(test)]
mod tests {
    use s_core_lab::traffic::Mix;
    use s_core_model::{Rate, VmId};

    use super::*;

    #[test]
    fn commands_are_requests() {
        let pair = PairTraffic::new(VmId::new(1), VmId::new(2), Rate::ZERO, Mix::UDP);
        let dirtying = Dirtying {
            mb_per_second: 1.5,
            working_set_mib: 4,
        };
        for command in [
            Command::Page,
            Command::Counters,
            Command::SetPlan(vec![]),
            Command::SetPlan(vec![pair; 2]),
            Command::ClearPlan,
            Command::Bytes(MOST_BYTES),
            Command::SetDirty(dirtying),
            Command::StopDirty,
        ] {
            assert_eq!(Command::read(&command.request()), Ok(command));
        }
    }

    #[test]
    fn others_are_refused() {
        let check = |method, path: &str, body: &str, status| {
            let request = Request {
                body: body.into(),
                ..Request::new(method, path)
            };
            let refused = Command::read(&request).unwrap_err();
            assert_eq!(refused.status, status, "{method} {path}: {refused}");
        };
        check(Method::Get, "/nothing", "", Status::NotFound);
        check(Method::Get, "/bytes", "", Status::NotFound);
        check(Method::Get, "/counters/", "", Status::NotFound);
        check(Method::Get, "//", "", Status::NotFound);
        check(Method::Put, "/", "", Status::MethodNotAllowed);
        check(Method::Delete, "/counters", "", Status::MethodNotAllowed);
        check(Method::Get, "/plan", "", Status::MethodNotAllowed);
        check(Method::Get, "/dirty", "", Status::MethodNotAllowed);
        check(Method::Put, "/bytes/1", "", Status::MethodNotAllowed);
        for count in ["", "x", "-1", "+1", "1073741825", "99999999999999999999"] {
            check(
                Method::Get,
                &format!("/bytes/{count}"),
                "",
                Status::BadRequest,
            );
        }
        check(Method::Put, "/plan", "", Status::BadRequest);
        check(Method::Put, "/dirty", "{}", Status::BadRequest);
    }
}
