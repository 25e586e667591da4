//! The switches between the hosts: Linux bridges in a namespace, as a tree with shaped links. Commands only.

use crate::layout::Layout;

/// How long a frame may wait for its turn on a shaped link. What waits longer is dropped.
const QUEUE: &str = "20ms";
/// The options of a switch: no loops, so no spanning tree, and no multicast groups.
const BRIDGE: &str = "type bridge stp_state 0 forward_delay 0 mcast_snooping 0";

/// Commands of `ip` in the fabric's namespace: all switches, the links between them and those to the hosts.
pub(super) fn links(layout: &Layout) -> Vec<String> {
    let mut lines = vec!["link set lo up".to_owned()];
    let links = layout.links();
    let switches = links
        .iter()
        .map(|link| layout.switch(link.level - 1, link.number));
    let core = layout.core_switch();
    for switch in switches.chain([core]) {
        lines.push(format!("link add {switch} up {BRIDGE}"));
    }
    for link in links {
        let ([lower, upper], [up, down]) = (layout.ends(link), layout.interfaces(link));
        lines.push(format!(
            "link add {up} up master {lower} type veth peer name {down}"
        ));
        lines.push(format!("link set {down} up master {upper}"));
    }
    for host in layout.hosts() {
        let (port, rack) = (layout.host_port(host), layout.switch(0, layout.rack(host)));
        let (uplink, namespace) = (layout.uplink(), layout.host_namespace(host));
        lines.push(format!(
            "link add {port} up master {rack} type veth peer name {uplink} netns {namespace}"
        ));
    }
    if layout.shape().management {
        lines.extend(management(layout));
    }
    lines
}

/// One switch that all control domains have a second interface on. It is not shaped.
fn management(layout: &Layout) -> Vec<String> {
    let switch = layout.management_switch();
    let mut lines = vec![format!("link add {switch} up {BRIDGE}")];
    for host in layout.hosts() {
        let (end, namespace) = (
            layout.management_switch_port(host),
            layout.host_namespace(host),
        );
        let port = layout.management_port();
        lines.push(format!(
            "link add {end} up master {switch} type veth peer name {port} netns {namespace}"
        ));
    }
    lines
}

/// Commands of `tc` in the fabric's namespace: both ends of every link, and the ends of the hosts' links that send to them.
pub(super) fn shaping(layout: &Layout) -> Vec<String> {
    let links = layout.links().into_iter().flat_map(|link| {
        let mbit = layout.link_mbit(link.level);
        layout
            .interfaces(link)
            .map(|interface| shape(&interface, mbit))
    });
    let host_mbit = f64::from(layout.shape().host_mbit);
    let hosts = layout
        .hosts()
        .map(|host| shape(&layout.host_port(host), host_mbit));
    links.chain(hosts).collect()
}

/// The command of `tc` that limits what an interface sends.
pub(super) fn shape(interface: &str, mbit: f64) -> String {
    let bits = mbit * 1e6;
    // What passes in two milliseconds, but no less than ten frames.
    let burst = (bits / 8.0 * 0.002).max(15_140.0);
    format!("qdisc add dev {interface} root tbf rate {bits:.0}bit burst {burst:.0} latency {QUEUE}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    fn layout(management: bool) -> Layout {
        let shape = Shape {
            hosts: 2,
            fan_out: vec![2],
            host_mbit: 100,
            management,
            ..Shape::default()
        };
        Layout::new("demo".parse().unwrap(), shape).unwrap()
    }

    #[test]
    fn a_tree_of_two_racks() {
        let bridge = "up type bridge stp_state 0 forward_delay 0 mcast_snooping 0";
        assert_eq!(
            links(&layout(false)),
            [
                "link set lo up",
                &format!("link add s0.1 {bridge}"),
                &format!("link add s0.2 {bridge}"),
                &format!("link add s1.1 {bridge}"),
                "link add l1.1u up master s0.1 type veth peer name l1.1d",
                "link set l1.1d up master s1.1",
                "link add l1.2u up master s0.2 type veth peer name l1.2d",
                "link set l1.2d up master s1.1",
                "link add h1 up master s0.1 type veth peer name up0 netns score-demo-h1",
                "link add h2 up master s0.2 type veth peer name up0 netns score-demo-h2",
            ]
        );
        assert_eq!(
            links(&layout(true))[10..],
            [
                &format!("link add mgmt {bridge}"),
                "link add m1 up master mgmt type veth peer name mgmt0 netns score-demo-h1",
                "link add m2 up master mgmt type veth peer name mgmt0 netns score-demo-h2",
            ]
        );
    }

    #[test]
    fn both_ends_of_a_link_are_shaped() {
        let half = "root tbf rate 50000000bit burst 15140 latency 20ms";
        let whole = "root tbf rate 100000000bit burst 25000 latency 20ms";
        assert_eq!(
            shaping(&layout(false)),
            [
                format!("qdisc add dev l1.1u {half}"),
                format!("qdisc add dev l1.1d {half}"),
                format!("qdisc add dev l1.2u {half}"),
                format!("qdisc add dev l1.2d {half}"),
                format!("qdisc add dev h1 {whole}"),
                format!("qdisc add dev h2 {whole}"),
            ]
        );
    }
}
