//! Within the racks: a server for each VM.

use std::collections::BTreeSet;

use super::graph::Buckets;
use crate::reference::size::Size;
use crate::reference::tree::Tree;

/// What is to be packed: VMs and servers by their indices.
#[derive(Debug)]
pub(super) struct Load<'a> {
    pub(super) tree: &'a Tree,
    /// The size of each VM.
    pub(super) sizes: &'a [Size],
    /// Which server hosts each VM to begin with.
    pub(super) hosts: &'a [u32],
    /// All that each server has room for.
    pub(super) rooms: &'a [Size],
    /// The rack of each server.
    pub(super) rack_of: &'a [u32],
}

/// VMs in their servers.
#[derive(Debug)]
pub(super) struct Packed {
    /// The server of each VM.
    pub(super) hosts: Vec<u32>,
    /// Whether each VM that talks to somebody is in the rack that was wanted.
    pub(super) is_as_wanted: bool,
}

/// A server for each VM. `racks` says in which rack, if it matters. VMs that are in that rack already stay on their
/// server if they can, others go where they leave the least memory over, and those that do not fit go to the nearest rack
/// that has room. `None` if a VM fits nowhere.
pub(super) fn pack(load: &Load<'_>, racks: &[Option<u32>]) -> Option<Packed> {
    let mut packing = Packing::new(load);
    let mut arriving = Vec::new();
    for (vm, rack) in (0..).zip(racks) {
        let host = load.hosts[vm as usize];
        match rack {
            Some(rack) if *rack == load.rack_of[host as usize] => packing.put(vm, host),
            Some(rack) => arriving.push((vm, *rack)),
            None => {}
        }
    }
    let too_many = packing.put_all(arriving, Packing::put_in);
    let again = packing.pack_anew(&too_many, racks);
    let is_as_wanted = again.is_empty();
    let homeless = packing.put_all(again, Packing::put_near);
    // VMs that talk to nobody last: where they are if possible, and anywhere else if not.
    let mut silent = Vec::new();
    for (vm, _) in (0..).zip(racks).filter(|(_, rack)| rack.is_none()) {
        let host = load.hosts[vm as usize];
        if packing.fits(vm, host) {
            packing.put(vm, host);
        } else {
            silent.push((vm, load.rack_of[host as usize]));
        }
    }
    let nowhere = packing.put_all(silent, Packing::put_near);
    (homeless.is_empty() && nowhere.is_empty()).then_some(Packed {
        hosts: packing.host,
        is_as_wanted,
    })
}

/// VMs with the rack that they should be in.
type Wanted = Vec<(u32, u32)>;

struct Packing<'a> {
    load: &'a Load<'a>,
    left: Vec<Size>,
    /// For each rack the servers with free slots: memory left, number.
    servers: Vec<BTreeSet<(u64, u32)>>,
    host: Vec<u32>,
}

impl<'a> Packing<'a> {
    fn new(load: &'a Load<'a>) -> Self {
        let mut servers = vec![BTreeSet::new(); load.tree.rack_count()];
        for (server, room) in (0..).zip(load.rooms) {
            if room.slots > 0 {
                servers[load.rack_of[server as usize] as usize].insert((room.memory, server));
            }
        }
        Self {
            load,
            left: load.rooms.to_vec(),
            servers,
            host: vec![u32::MAX; load.hosts.len()],
        }
    }

    fn fits(&self, vm: u32, server: u32) -> bool {
        let size = self.load.sizes[vm as usize];
        size.leaves_room(Size::default(), self.left[server as usize])
    }

    fn put(&mut self, vm: u32, server: u32) {
        let left = self.left[server as usize];
        self.host[vm as usize] = server;
        self.set_left(server, left.less(self.load.sizes[vm as usize]));
    }

    fn take_out(&mut self, vm: u32) {
        let server = std::mem::replace(&mut self.host[vm as usize], u32::MAX);
        let mut left = self.left[server as usize];
        left += self.load.sizes[vm as usize];
        self.set_left(server, left);
    }

    fn set_left(&mut self, server: u32, left: Size) {
        let before = std::mem::replace(&mut self.left[server as usize], left);
        let servers = &mut self.servers[self.load.rack_of[server as usize] as usize];
        servers.remove(&(before.memory, server));
        if left.slots > 0 {
            servers.insert((left.memory, server));
        }
    }

    /// Puts those with the most memory first, each with `put`, and returns those that it could not put.
    fn put_all(&mut self, mut vms: Wanted, put: impl Fn(&mut Self, u32, u32) -> bool) -> Wanted {
        vms.sort_by_key(|(vm, _)| (u64::MAX - self.load.sizes[*vm as usize].memory, *vm));
        vms.retain(|(vm, rack)| !put(self, *vm, *rack));
        vms
    }

    /// The server of the rack that has the least memory left beside the VM.
    fn put_in(&mut self, vm: u32, rack: u32) -> bool {
        let memory = self.load.sizes[vm as usize].memory;
        let fitting = self.servers[rack as usize].range((memory, 0)..).next();
        let Some((_, server)) = fitting.copied() else {
            return false;
        };
        self.put(vm, server);
        true
    }

    /// The nearest rack that has room.
    fn put_near(&mut self, vm: u32, rack: u32) -> bool {
        let tree = self.load.tree;
        let groups = tree.path(rack).iter().map(|group| tree.racks_of(*group));
        let mut groups = groups.chain([tree.racks()]);
        groups.any(|racks| {
            // The group below has been looked through; what was full there still is.
            let mut racks = racks.into_iter();
            racks.any(|rack| self.put_in(vm, rack))
        })
    }

    /// Empties the racks of those that did not fit and puts all their VMs anew, where that is better. Returns those
    /// that still do not fit.
    fn pack_anew(&mut self, too_many: &Wanted, racks: &[Option<u32>]) -> Wanted {
        if too_many.is_empty() {
            return Vec::new();
        }
        let rack_count = self.load.tree.rack_count();
        // One bucket more, for VMs that may be in any rack.
        let rack_of: Vec<u32> = (racks.iter())
            .map(|rack| rack.unwrap_or(rack_count as u32))
            .collect();
        let members = Buckets::new(&rack_of, rack_count + 1);
        let mut over: Vec<u32> = too_many.iter().map(|(_, rack)| *rack).collect();
        over.sort_unstable();
        over.dedup();
        let mut still = Vec::new();
        for rack in over {
            let wanted = |vm: &u32| (*vm, rack);
            let is_put = |vm: &&u32| self.host[**vm as usize] != u32::MAX;
            let put: Vec<u32> = members.of(rack).iter().filter(is_put).copied().collect();
            for vm in put {
                self.take_out(vm);
            }
            let all = members.of(rack).iter().map(wanted).collect();
            still.extend(self.put_all(all, Self::put_in));
        }
        still
    }
}
