//! 5.2.3: the token's share of the network.

use s_core_sim::report::{Axis, Block, Cell, Table, number};

use super::{figure, line};
use crate::measure::seconds;
use crate::thesis;
use crate::wire::{Counted, VMS_PER_SERVER, Wire};

pub(super) fn blocks(found: &Wire) -> Vec<Block> {
    let frames = &found.frames;
    let text = format!(
        "Lengths of messages, with what authenticates them and without the headers of UDP, TCP and IP: a token 127 bytes and 5 for each VM; its \
         acknowledgement, and the word that it was handed on, {} each; a location request {}, its response {}.",
        frames.acknowledgement, frames.location_request, frames.location_response
    );
    let mut blocks = vec![Block::Paragraph(text), tokens(found), rounds(found)];
    match &found.counted {
        Ok(counted) => blocks.push(Block::Table(
            "A round of real agents in a network namespace of their own, each hop to another server, by the counters of its loopback interface: the mean \
             of three rounds. With headers: of IP, UDP and TCP, and TCP's own segments."
                .into(),
            table(counted),
        )),
        Err(why) => blocks.push(Block::Paragraph(format!("Counting is left out: {why}."))),
    }
    blocks
}

fn tokens(found: &Wire) -> Block {
    let vms = |of: u32| f64::from(of);
    let lines = vec![
        line(
            "here",
            found
                .tokens
                .iter()
                .map(|(of, bytes)| (vms(*of), *bytes as f64)),
        ),
        line(
            "thesis",
            found
                .tokens
                .iter()
                .map(|(of, _)| (vms(*of), thesis::SLOT_BYTES * vms(*of))),
        ),
    ];
    let figure = figure(
        "token",
        "Length of the token",
        "From a few hundred VMs on both are the same.",
        [Axis::logarithmic("VMs"), Axis::logarithmic("bytes")],
        vec![("", lines)],
    );
    let caption = "Thesis 5.2.3: 5 bytes for each VM, 500 kB to 2.5 MB for 100,000 to 500,000. Here a header, a mark and a seal come on top; policies \
        that need a statistic (global, load-aware) have 9 bytes for each VM.";
    Block::Figure(caption.into(), figure)
}

fn rounds(found: &Wire) -> Block {
    let points = |place: usize| {
        let round = move |(vms, bytes): &(u32, [u64; 2])| (f64::from(*vms), bytes[place] as f64);
        found.rounds.iter().map(round)
    };
    let mut lines = vec![
        line("each hop to another server", points(0)),
        line(
            format!("{VMS_PER_SERVER} VMs in a row on each server"),
            points(1),
        ),
    ];
    for (name, peers) in [("counted", 0), ("counted, with decisions", 4)] {
        let counted = found.counted.iter().flatten();
        let points: Vec<_> = (counted.filter(|one| one.peers == peers))
            .map(|one| (f64::from(one.vms), one.sent))
            .collect();
        if !points.is_empty() {
            lines.push(line(name, points));
        }
    }
    let figure = figure(
        "round",
        "Bytes of a round",
        "Beyond a few hundred VMs a round's bytes grow with the square of their number.",
        [Axis::logarithmic("VMs"), Axis::logarithmic("bytes")],
        vec![("", lines)],
    );
    let caption = "The token is sent once for each hop between servers, so that a round grows with the square of the number of VMs; within a server \
        it is not sent. With decisions: 4 peers of each VM are asked for.";
    Block::Figure(caption.into(), figure)
}

fn table(counted: &[Counted]) -> Table {
    let columns = [
        "servers",
        "VMs",
        "peers",
        "handovers",
        "computed",
        "sent",
        "difference",
        "with headers",
        "round took",
    ];
    let mut table = Table::new(columns);
    for one in counted {
        let bytes = |value: f64| Cell::Number(value, number::count(value.round() as u64));
        let computed = one.computed as f64;
        table.push([
            Cell::count(one.servers.into()),
            Cell::count(one.vms.into()),
            Cell::count(one.peers.into()),
            Cell::count(one.handovers),
            bytes(computed),
            bytes(one.sent),
            Cell::percent((one.sent - computed) / computed),
            bytes(one.sent_with_headers),
            Cell::Number(one.duration, seconds(one.duration)),
        ]);
    }
    table
}
