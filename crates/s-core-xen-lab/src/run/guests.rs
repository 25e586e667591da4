//! The programs in the VMs, told and asked from the switches' side.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use s_core_lab::traffic::{Endpoint, Network, PairTraffic, Reading};
use s_core_lab::{LabError, namespace, system};
use s_core_model::VmId;
use s_core_xen_guest::{ClientError, Counters, GuestClient, payload};

use crate::plan::Plan;

/// How long a guest has to answer while its host is busy and it may be on its way.
const ANSWER: Duration = Duration::from_secs(4);
/// How long a guest has to take a plan, in several attempts.
const TAKE: Duration = Duration::from_secs(120);

/// All guests of a testbed.
#[derive(Debug)]
pub(crate) struct Guests {
    fabric: String,
    vms: Vec<VmId>,
    /// What each said last.
    known: BTreeMap<VmId, Counters>,
}

impl Guests {
    /// Gives this machine an address on the VMs' network, at the core switch.
    pub(crate) fn reach(plan: &Plan) -> Result<Self, LabError> {
        let layout = plan.layout();
        let (address, core) = (plan.fabric_operator_address(), layout.core_switch());
        let fabric = layout.fabric_namespace();
        let line = format!("addr replace {address}/16 dev {core}");
        system::ip_batch(&fabric, &[line])?;
        Ok(Self {
            fabric,
            vms: layout.vms().map(|vm| layout.vm(vm)).collect(),
            known: BTreeMap::new(),
        })
    }

    /// Where this machine's probes come from.
    pub(crate) fn prober(&self, plan: &Plan) -> Endpoint {
        Endpoint {
            address: plan.fabric_operator_address(),
            network: Network::Namespace(self.fabric.clone()),
        }
    }

    /// Has every guest send by those of these pairs to which it belongs.
    pub(crate) fn send(&self, pairs: &[PairTraffic]) -> Result<(), LabError> {
        let pairs = pairs.to_vec();
        self.tell(move |guest| guest.plan(&pairs))
    }

    /// Has all guests send nothing.
    pub(crate) fn be_silent(&self) -> Result<(), LabError> {
        self.tell(|guest| guest.clear_plan())
    }

    /// What guests have sent to each other so far. One that does not answer, as while it stands still, has said what it said
    /// before; what was received from it since then is known from the others.
    pub(crate) fn read(&mut self) -> Result<Reading, LabError> {
        let answers = self.each(|guest| guest.with_deadline(ANSWER).counters())?;
        for (vm, answer) in answers {
            match answer {
                Ok(counters) => drop(self.known.insert(vm, counters)),
                Err(error) => tracing::debug!(%error, "a guest does not answer"),
            }
        }
        let payload = payload(self.known.values()).into_iter();
        let bytes = payload.map(|(pair, payload)| (pair, payload.sent.max(payload.received)));
        Ok(Reading::of_payload(Instant::now(), bytes))
    }

    fn tell(
        &self,
        what: impl Fn(&GuestClient) -> Result<(), ClientError> + Clone + Send + 'static,
    ) -> Result<(), LabError> {
        let until_told = move |guest: &GuestClient| {
            let by = Instant::now() + TAKE;
            loop {
                match what(guest) {
                    // It may be on its way from host to host.
                    Err(ClientError::Io { .. }) if Instant::now() < by => {}
                    done => return done,
                }
            }
        };
        for (_, told) in self.each(until_told)? {
            told.map_err(|error| LabError::Failed {
                command: "a plan of traffic".into(),
                message: error.to_string(),
            })?;
        }
        Ok(())
    }

    /// Does something with all guests at once, in the network of the switches.
    fn each<T: Send + 'static>(
        &self,
        what: impl Fn(&GuestClient) -> T + Clone + Send + 'static,
    ) -> Result<Vec<(VmId, T)>, LabError> {
        let mut asked = Vec::new();
        for vm in &self.vms {
            let (guest, what) = (GuestClient::new(*vm), what.clone());
            asked.push((
                *vm,
                namespace::spawn_in(&self.fabric, move || what(&guest))?,
            ));
        }
        let answered = asked.into_iter().map(|(vm, thread)| {
            let answer = thread.join().expect("asking a guest does not panic")?;
            Ok((vm, answer))
        });
        answered.collect()
    }
}
