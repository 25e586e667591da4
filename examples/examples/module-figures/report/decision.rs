//! The time of a decision.

use s_core_sim::report::{Axis, Block, Cell, Table};

use super::{figure, line};
use crate::decision::Decided;
use crate::measure::{Spread, seconds, spread_of_seconds};
use crate::thesis;

pub(super) fn blocks(found: &[Decided]) -> Vec<Block> {
    let text = "From holding the token to the decision made, by real agents over real sockets on loopback addresses and emulated switches: the \
        holder's rates are read, all its peers' servers are asked where they are, at once, and Eq. 3.1 and 3.2 are computed for each \
        candidate. The first time, nothing is known and every server is asked for every peer; later the server where the peer was last is asked.";
    let caption = "Thesis 5.2.2 (0.32, 2.97 and 30.54 s). Bare: CPU time without any network, to read the rates from the flow table and to \
        evaluate the costs.";
    vec![
        Block::Paragraph(text.into()),
        Block::Figure(caption.into(), chart(found)),
        Block::Table(
            "Decisions: median (least to greatest), and CPU time of a bare decision.".into(),
            table(found),
        ),
    ]
}

fn chart(found: &[Decided]) -> s_core_sim::report::Figure {
    let points = |time: fn(&Decided) -> f64| {
        found
            .iter()
            .map(move |one| (f64::from(one.peers), time(one)))
    };
    let lines = vec![
        line("first", points(|one| one.first.median)),
        line("later", points(|one| one.later.median)),
        line("bare", points(|one| one.bare.rates + one.bare.evaluation)),
        line("thesis", thesis::DECISION_SECONDS),
    ];
    figure(
        "decision",
        "Time of a decision",
        "Times grow with the number of peers, far below the thesis's.",
        [Axis::logarithmic("peers"), Axis::logarithmic("seconds")],
        vec![("", lines)],
    )
}

fn table(found: &[Decided]) -> Table {
    let columns = [
        "peers",
        "first",
        "later",
        "decisions",
        "bare: rates",
        "bare: costs",
        "thesis",
    ];
    let mut table = Table::new(columns);
    for one in found {
        let theirs = thesis::DECISION_SECONDS.iter();
        let theirs = theirs
            .copied()
            .find(|(peers, _)| *peers == f64::from(one.peers));
        let time = |value| Cell::Number(value, seconds(value));
        table.push([
            Cell::count(one.peers.into()),
            spread(one.first),
            spread(one.later),
            Cell::count((one.first.count + one.later.count) as u64),
            time(one.bare.rates),
            time(one.bare.evaluation),
            theirs.map_or(Cell::Missing, |(_, value)| time(value)),
        ]);
    }
    table
}

fn spread(of: Spread) -> Cell {
    Cell::Number(of.median, spread_of_seconds(of))
}
