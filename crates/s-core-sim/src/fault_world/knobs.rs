//! What a run is like: sizes, times, and how often what goes wrong.

use std::time::Duration;

use s_core_model::{LinkWeights, MigrationCost};
use s_core_proto::{TargetChoice, Timing};
use s_core_token::Epoch;
use s_core_token::{Mark, PolicyKind};

use super::Size;
use super::draw::Draw;

/// Every knob of a run. Chances are per mille.
#[derive(Clone, Debug)]
pub(super) struct Knobs {
    pub(super) servers: usize,
    pub(super) vms: usize,
    pub(super) births: usize,
    pub(super) policy: PolicyKind,
    pub(super) choice: TargetChoice,
    pub(super) migration_cost: MigrationCost,
    pub(super) weights: LinkWeights,
    pub(super) timing: Timing,
    pub(super) attempts: u8,
    pub(super) quiet_rounds: u16,
    /// The mark that every server has seen before the run.
    pub(super) start: Mark,
    /// How long the faults last.
    pub(super) safety: Duration,
    /// Requests for a VM's server reach that server only, as where they are intercepted (4.2.3).
    pub(super) interception: bool,
    pub(super) replay_window: bool,
    pub(super) list_every: Duration,
    pub(super) weather: Weather,
    pub(super) trouble: Trouble,
}

/// What happens to messages, timers, readings and migrations while the faults last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    pub(super) loss: u32,
    pub(super) duplication: u32,
    pub(super) flips: u32,
    pub(super) slow: u32,
    /// How long a slow frame takes at most.
    pub(super) delay: Duration,
    /// A copy of a frame that comes much later.
    pub(super) stragglers: u32,
    pub(super) late_timers: u32,
    pub(super) not_measured: u32,
    pub(super) wrong_rates: u32,
    pub(super) crash_between: u32,
    pub(super) refused: u32,
    pub(super) fails_early: u32,
    pub(super) fails_late: u32,
    pub(super) hangs: u32,
    pub(super) answer_lost: u32,
    /// The tool that was given up on at the deadline says afterwards that it has failed.
    pub(super) late_answers: u32,
}

/// Weights of the faults that strike a server, a path or the whole, and how often one does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    pub(super) every: Duration,
    pub(super) crash: u32,
    pub(super) crash_holder: u32,
    pub(super) leave: u32,
    pub(super) pause: u32,
    pub(super) partition: u32,
    pub(super) clog: u32,
    pub(super) birth: u32,
    pub(super) death: u32,
    pub(super) traffic: u32,
}

impl Knobs {
    pub(super) fn draw(draw: &mut Draw, size: Size) -> Self {
        let servers = size.servers.unwrap_or_else(|| draw.between(3, 8) as usize);
        let vms = size.vms.unwrap_or_else(|| draw.between(4, 40) as usize);
        Self {
            servers,
            vms,
            births: 1 + vms / 4,
            policy: draw
                .pick(&PolicyKind::ALL)
                .unwrap_or(PolicyKind::Distributed),
            choice: draw
                .pick(&[TargetChoice::FirstFit, TargetChoice::BestFit])
                .unwrap_or_default(),
            migration_cost: migration_cost(draw),
            weights: weights(draw),
            timing: timing(draw),
            attempts: draw.between(2, 4) as u8,
            quiet_rounds: draw.between(1, 3) as u16,
            start: start(draw),
            safety: draw.milliseconds(8_000, 30_000),
            interception: draw.chance(250),
            replay_window: draw.chance(500),
            list_every: draw.milliseconds(500, 3_000),
            weather: Weather::draw(draw),
            trouble: Trouble::draw(draw),
        }
    }
}

fn migration_cost(draw: &mut Draw) -> MigrationCost {
    match draw.below(4) {
        0 => MigrationCost::Absolute(draw.between(1, 500) as f64),
        1 => MigrationCost::RelativeToVm(draw.between(1, 300) as f64 / 1000.0),
        _ => MigrationCost::ZERO,
    }
}

/// Two levels, or three.
fn weights(draw: &mut Draw) -> LinkWeights {
    let mut weight = 0.0;
    let mut rising = || {
        weight += draw.between(1, 8) as f64;
        weight
    };
    let weights = [rising(), rising(), rising()];
    let levels = 2 + draw.below(2);
    LinkWeights::new(&weights[..levels]).expect("each is above the one before")
}

/// Seconds of the defaults become tens of milliseconds; what has to be above what stays so on clocks that
/// are up to half as fast again as others.
fn timing(draw: &mut Draw) -> Timing {
    let answer = draw.milliseconds(20, 100);
    let keep_alive = draw.milliseconds(50, 150);
    let beacon = draw.milliseconds(150, 600);
    let migration = draw.milliseconds(500, 3_000);
    Timing {
        measurement: draw.milliseconds(50, 300),
        answer,
        acknowledgement: answer * draw.between(1, 3) as u32,
        migration,
        // Shorter ones than an operator may set: they end before a VM has begun to arrive.
        reservation: migration * draw.between(1, 8) as u32 / 2,
        rest: draw.milliseconds(0, 15),
        idle: draw.milliseconds(50, 800),
        keep_alive,
        custody: keep_alive * draw.between(3, 6) as u32,
        beacon,
        silence: beacon * draw.between(4, 8) as u32,
        stagger: draw.milliseconds(10, 60),
        outcome: draw.milliseconds(100, 600),
    }
}

/// Nothing seen before; or a token that is about to run out of sequence numbers; or counters about to leave 32
/// bits, or near their end.
fn start(draw: &mut Draw) -> Mark {
    let (counter, seq) = match draw.below(4) {
        0 => (3, u64::MAX - draw.between(5, 60)),
        1 => (u64::from(u32::MAX) - draw.between(0, 3), draw.between(0, 9)),
        2 => (u64::MAX - 100_000, u64::MAX - draw.between(5, 60)),
        _ => return Mark::default(),
    };
    let origin = super::setting::server_id(0);
    let epoch = Epoch { counter, origin };
    Mark { epoch, seq }
}

impl Weather {
    fn draw(draw: &mut Draw) -> Self {
        Self {
            loss: draw.knob(300),
            duplication: draw.knob(500),
            flips: draw.knob(50),
            slow: draw.knob(300),
            delay: draw.milliseconds(5, 400),
            stragglers: draw.knob(20),
            late_timers: draw.knob(300),
            not_measured: draw.knob(200),
            wrong_rates: draw.knob(200),
            crash_between: if draw.chance(300) { 1 } else { 0 },
            refused: draw.knob(150),
            fails_early: draw.knob(150),
            fails_late: draw.knob(150),
            hangs: draw.knob(250),
            answer_lost: draw.knob(200),
            late_answers: draw.knob(1000),
        }
    }
}

impl Trouble {
    fn draw(draw: &mut Draw) -> Self {
        Self {
            every: draw.milliseconds(300, 3_000),
            crash: draw.knob(10),
            crash_holder: draw.knob(10),
            leave: draw.knob(3),
            pause: draw.knob(10),
            partition: draw.knob(10),
            clog: draw.knob(10),
            birth: draw.knob(6),
            death: draw.knob(4),
            traffic: draw.knob(4),
        }
    }

    /// In the order of [`super::nemesis::Fault::ALL`].
    pub(super) fn weights(&self) -> [u32; 9] {
        [
            self.crash,
            self.crash_holder,
            self.leave,
            self.pause,
            self.partition,
            self.clog,
            self.birth,
            self.death,
            self.traffic,
        ]
    }
}
