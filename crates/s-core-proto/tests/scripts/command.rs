//! Commands of a script.

use std::time::Duration;

use s_core_model::{ServerId, VmId};
use s_core_proto::Outcome;

use crate::words;
use crate::world::World;

/// Does what a line says; the log.
pub fn run(world: &mut World, line: &str) -> Result<String, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["servers", count, "room", room] => world.build(number(count)?, number(room)?),
        ["rest", time] => world.rest = Some(span(time)?),
        ["vms", at, ref vms @ ..] => {
            let at = server(world, at)?;
            let vms = vms.iter().map(|name| vm(name)).collect::<Result<_, _>>()?;
            world.start_vms(at, vms);
        }
        ["traffic", a, b, rate] => world.traffic(vm(a)?, vm(b)?, number(rate)?),
        ["mint", at] => world.mint(server(world, at)?),
        ["deliver"] => world.deliver_all(),
        ["deliver", kind] => world.deliver(kind)?,
        ["drop"] => world.lose(None)?,
        ["drop", kind] => world.lose(Some(kind))?,
        ["advance", time] => world.advance(span(time)?, false),
        ["run", time] => world.advance(span(time)?, true),
        ["run", time, "quietly"] => {
            world.quiet = true;
            world.advance(span(time)?, true);
            world.quiet = false;
        }
        ["comes", name] => world.end_migration(vm(name)?, true, Outcome::Moved)?,
        ["comes", name, "unknown"] => world.end_migration(vm(name)?, true, Outcome::Unknown)?,
        ["fails", name] => world.end_migration(vm(name)?, false, Outcome::StayedHere)?,
        ["fails", name, "unknown"] => world.end_migration(vm(name)?, false, Outcome::Unknown)?,
        ["crash", at] => world.crash(server(world, at)?),
        ["restart", at] => world.restart(server(world, at)?),
        ["partition", ref side @ ..] => {
            let side: Result<_, _> = side.iter().map(|at| server(world, at)).collect();
            world.cut_off = side?;
        }
        ["heal"] => world.cut_off.clear(),
        ["show"] => words::show(world),
        _ => return Err(format!("no such command: {line}")),
    }
    Ok(std::mem::take(&mut world.log))
}

fn number(word: &str) -> Result<u32, String> {
    word.parse().map_err(|_| format!("no number: {word}"))
}

fn server(world: &World, word: &str) -> Result<ServerId, String> {
    let server: ServerId = word.parse().map_err(|_| format!("no server: {word}"))?;
    let known = world.servers.contains_key(&server);
    known
        .then_some(server)
        .ok_or_else(|| format!("not one of the servers: {word}"))
}

fn vm(word: &str) -> Result<VmId, String> {
    let digits = word.strip_prefix("vm");
    let id = digits.and_then(|digits| digits.parse().ok());
    id.map(VmId::new).ok_or_else(|| format!("no VM: {word}"))
}

fn span(word: &str) -> Result<Duration, String> {
    let wrong = || format!("no time, such as 200ms or 5s: {word}");
    if let Some(millis) = word.strip_suffix("ms") {
        return millis
            .parse()
            .map(Duration::from_millis)
            .map_err(|_| wrong());
    }
    let seconds = word.strip_suffix('s').ok_or_else(wrong)?;
    seconds
        .parse()
        .map(Duration::from_secs)
        .map_err(|_| wrong())
}
