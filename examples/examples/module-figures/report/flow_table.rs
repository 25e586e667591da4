//! Figs. 5.6 and 5.7.

use s_core_sim::report::{Axis, Block, Cell, Table, number};

use super::{figure, line};
use crate::flow_table::{FlowSet, FlowTables, Measured};
use crate::measure::seconds;
use crate::thesis;

pub(super) fn blocks(found: &FlowTables) -> Vec<Block> {
    vec![
        Block::Paragraph(
            "The flow table is filled with flows of type 1, each with a source address of its own, and of type 2, a thousand to a \
             source address, as in the thesis. A flow's reverse would be stored in the same entry."
                .into(),
        ),
        memory(found),
        times(found),
        Block::Table(
            "Memory of the table and CPU time for all flows together: the median.".into(),
            table(found),
        ),
        Block::Paragraph(
            "For a server with 16 VMs the thesis expects 155 and 117 bytes a flow, which is less than the 400 to 1,600 that it measured."
                .into(),
        ),
        Block::Table(
            "Memory of the table of a server with 16 VMs.".into(),
            server_table(found),
        ),
    ]
}

fn memory(found: &FlowTables) -> Block {
    let ours = FlowSet::ALL.map(|set| {
        let points = of(found, set).map(|one| (f64::from(one.flows), one.bytes as f64));
        line(set.name(), points)
    });
    let theirs = (FlowSet::ALL.iter().zip(thesis::TABLE_BYTES))
        .map(|(set, points)| line(format!("thesis, {}", set.name()), points));
    let lines = ours.into_iter().chain(theirs).collect();
    let figure = figure(
        "flow-table-memory",
        "Memory of the flow table",
        "Memory grows in proportion to the number of flows, below the thesis's.",
        [Axis::logarithmic("flows"), Axis::logarithmic("bytes")],
        vec![("", lines)],
    );
    let caption = "Thesis Fig. 5.6. Here: bytes that the allocator gave for the table, room for growth included, which comes in doublings. Thesis: \
        vmSize of the Python process.";
    Block::Figure(caption.into(), figure)
}

fn times(found: &FlowTables) -> Block {
    let panel = |set: FlowSet| {
        let points = |time: fn(&Measured) -> f64| {
            of(found, set).map(move |one| (f64::from(one.flows), time(one)))
        };
        let lines = vec![
            line("add", points(|one| one.add.median)),
            line("look up", points(|one| one.look_up.median)),
            line("delete", points(|one| one.delete.median)),
            line("thesis: add", thesis::ADD_SECONDS),
        ];
        (set.name(), lines)
    };
    let figure = figure(
        "flow-table-times",
        "Time of flow table operations",
        "Times grow in proportion to the number of flows, far below the thesis's.",
        [
            Axis::logarithmic("flows"),
            Axis::logarithmic("CPU seconds for all flows"),
        ],
        FlowSet::ALL.map(panel).into(),
    );
    let caption = "Thesis Fig. 5.7: to add so many flows to an empty table, to look each of them up, to delete all, a source address at a \
        time. The thesis's text gives times for adding and does not say of which type; they are drawn in both.";
    Block::Figure(caption.into(), figure)
}

fn table(found: &FlowTables) -> Table {
    let columns = [
        "flows",
        "set",
        "memory",
        "bytes per flow",
        "add",
        "look up",
        "delete",
        "add, per flow",
    ];
    let mut table = Table::new(columns);
    let is_decade = |one: &&Measured| one.flows >= 100 && one.flows.to_string().starts_with('1');
    for one in found.measured.iter().filter(is_decade) {
        let flows = f64::from(one.flows);
        let time = |value: f64| Cell::Number(value, seconds(value));
        table.push([
            Cell::count(one.flows.into()),
            Cell::text(one.set.name()),
            bytes(one.bytes as f64),
            Cell::Number(
                one.bytes as f64 / flows,
                format!("{:.0}", one.bytes as f64 / flows),
            ),
            time(one.add.median),
            time(one.look_up.median),
            time(one.delete.median),
            time(one.add.median / flows),
        ]);
    }
    table
}

fn server_table(found: &FlowTables) -> Table {
    let mut table = Table::new(["flows of each VM", "here", "thesis (5.2.2)"]);
    let rows = [10, 100].into_iter().zip(found.server_bytes);
    for ((flows, ours), theirs) in rows.zip(thesis::SERVER_BYTES) {
        table.push([Cell::count(flows), bytes(ours as f64), bytes(theirs)]);
    }
    table
}

fn bytes(value: f64) -> Cell {
    Cell::Number(value, format!("{}B", number::rounded(value)))
}

fn of(found: &FlowTables, set: FlowSet) -> impl Iterator<Item = &Measured> {
    found.measured.iter().filter(move |one| one.set == set)
}
