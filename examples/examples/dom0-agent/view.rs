//! What a person sees of the embedded data centre: lines, and on a terminal a picture that keeps up.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use s_core_agent::Event;
use s_core_agent::embedded::{Account, Scenario};
use s_core_examples::cli::{print, reduction_percent, si};
use s_core_examples::stdout_is_interactive;
use s_core_model::{ServerId, VmId};
use s_core_proto::{Report, WhyStayed};

use crate::args::DemoArgs;

/// How often the picture is drawn at most.
const FRAME: Duration = Duration::from_millis(50);
const BAR_WIDTH: usize = 40;
const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const SPARKLINE_WIDTH: usize = 48;
/// Lines of news below the picture, at most.
const NEWS: usize = 8;
/// Servers shown with their VMs, at most.
const SHOWN_SERVERS: usize = 16;
/// Lines of the picture that are neither servers nor news.
const FIXED_LINES: usize = 6;
/// Rows and columns of a terminal that does not tell.
const USUAL_SIZE: (usize, usize) = (24, 80);

pub(crate) struct View {
    began: Instant,
    picture: Option<Picture>,
    names: BTreeMap<VmId, String>,
    /// Location of each server, by which people know it.
    places: BTreeMap<ServerId, String>,
    initial_cost: f64,
    migrations: u32,
    round: u32,
    holder: Option<VmId>,
    /// Why each VM stayed when it was last asked: told again only when it changes.
    reasons: BTreeMap<VmId, String>,
}

/// What is drawn over and over on a terminal.
struct Picture {
    drawn: Option<Instant>,
    height: usize,
    costs: Vec<f64>,
    news: VecDeque<String>,
}

impl View {
    pub(crate) fn new(scenario: &Scenario, args: &DemoArgs) -> Self {
        let initial_cost = Account::new(scenario).total_cost();
        let picture = stdout_is_interactive().then(|| Picture {
            drawn: None,
            height: 0,
            costs: vec![initial_cost],
            news: VecDeque::new(),
        });
        show(&format!(
            "{} servers with {} VMs each, {} pairs talk; policy {}, seed {}\n",
            args.servers,
            args.vms,
            scenario.traffic.len(),
            args.policy,
            args.seed
        ));
        let names = scenario.vms.iter().map(|vm| (vm.id, vm.name.clone()));
        let places = scenario.servers.iter();
        let places =
            places.map(|server| (server.id, format!("{} ({})", server.id, server.location)));
        Self {
            began: Instant::now(),
            picture,
            names: names.collect(),
            places: places.collect(),
            initial_cost,
            migrations: 0,
            round: 0,
            holder: None,
            reasons: BTreeMap::new(),
        }
    }

    pub(crate) fn started(&self, port: u16) {
        show(&format!(
            "{} agents listen on port {port}; cost at first: {}\n",
            self.places.len(),
            si(self.initial_cost)
        ));
    }

    /// Shows an event; `gain` is the true gain of a migration, which `account` has made.
    pub(crate) fn event(
        &mut self,
        server: ServerId,
        event: &Event,
        gain: Option<f64>,
        account: &Account,
    ) {
        if let Some(line) = self.line(server, event, gain, account) {
            let line = format!("{:6.1} s  {line}", self.began.elapsed().as_secs_f64());
            match &mut self.picture {
                None => show(&format!("{line}\n")),
                Some(picture) => {
                    picture.news.push_back(line);
                    if picture.news.len() > NEWS {
                        picture.news.pop_front();
                    }
                }
            }
        }
        self.draw(account, false);
    }

    /// What is new about an event, if anything.
    fn line(
        &mut self,
        server: ServerId,
        event: &Event,
        gain: Option<f64>,
        account: &Account,
    ) -> Option<String> {
        match event {
            Event::Node(Report::Holding { vm, .. }) => {
                self.holder = Some(*vm);
                None
            }
            Event::Node(Report::Migrated {
                vm, source, target, ..
            }) => {
                self.migrations += 1;
                self.reasons.remove(vm);
                let cost = account.total_cost();
                if let Some(picture) = &mut self.picture {
                    picture.costs.push(cost);
                }
                Some(format!(
                    "{} moves from {} to {}: gain {}, cost {}",
                    self.name(*vm),
                    self.place(*source),
                    self.place(*target),
                    si(gain.unwrap_or_default()),
                    si(cost),
                ))
            }
            Event::Node(Report::Stayed { vm, why }) => {
                let why = self.why(why);
                let old = self.reasons.insert(*vm, why.clone());
                let news = old.as_ref() != Some(&why);
                let place = self.place(server);
                news.then(|| format!("{} stays on {place}: {why}", self.name(*vm)))
            }
            Event::Node(Report::RoundEnded {
                round, migrations, ..
            }) => {
                self.round = *round + 1;
                let s = if *migrations == 1 { "" } else { "s" };
                Some(format!(
                    "round {} ended: {migrations} migration{s}",
                    round + 1
                ))
            }
            Event::Node(Report::Minted { vms, .. }) => {
                Some(format!("a token for {vms} VMs begins its way"))
            }
            Event::Node(Report::InDoubt { server, .. }) => Some(format!(
                "{} has the token and gives no sign of life",
                self.place(*server)
            )),
            Event::Node(Report::Recovered { from, .. }) => Some(format!(
                "the token was lost with {}; it goes on from the copy of {}",
                self.place(*from),
                self.place(server)
            )),
            Event::Node(Report::Claiming { .. }) => Some(format!(
                "{} has heard of no token for long and asks to make one",
                self.place(server)
            )),
            Event::Node(Report::OutcomeKnown { vm, target, moved }) => {
                let moved = if *moved { "is" } else { "is not" };
                let (vm, target) = (self.name(*vm), self.place(*target));
                Some(format!("{vm} {moved} on {target}: now it is known"))
            }
            Event::Node(Report::Missing { vm, target }) => {
                let (vm, here, target) = (self.name(*vm), self.place(server), self.place(*target));
                Some(format!("{vm} runs neither on {here} nor on {target}"))
            }
            Event::Node(Report::Unsuitable {
                vm, target, why, ..
            }) => {
                let (vm, target) = (self.name(*vm), self.place(*target));
                Some(format!("{vm} does not go to {target}: {why}"))
            }
            Event::Node(Report::Skipped { vm, why }) => {
                Some(format!("{} is passed over: {why:?}", self.name(*vm)))
            }
            Event::NotMoved { vm, target, why } => Some(format!(
                "{} did not get to {}: {why}",
                self.name(*vm),
                self.place(*target)
            )),
            Event::MarkNotStored { why, .. } => Some(format!("a mark cannot be stored: {why}")),
            _ => None,
        }
    }

    fn why(&self, why: &WhyStayed) -> String {
        match why {
            WhyStayed::NoTraffic => "it talks to nobody".to_owned(),
            WhyStayed::NotMeasured => "its rates are not known".to_owned(),
            WhyStayed::NoGain { best: None, .. } => "all its peers are here".to_owned(),
            WhyStayed::NoGain {
                best: Some((_, gain)),
                ..
            } if *gain <= 0.0 => "no other server is cheaper".to_owned(),
            WhyStayed::NoGain { .. } => "no gain is worth a migration".to_owned(),
            WhyStayed::NoRoom { asked } => {
                let asked: Vec<_> = asked.iter().map(|server| self.place(*server)).collect();
                format!("no room on {}", asked.join(", "))
            }
            WhyStayed::Gone => "it is not there any more".to_owned(),
            WhyStayed::Busy => "another migration is under way".to_owned(),
            WhyStayed::Excluded => "it is pinned".to_owned(),
            WhyStayed::CoolingDown { .. } => "it came not long ago".to_owned(),
            WhyStayed::PairShare { .. } => "it would gain by one pair alone".to_owned(),
            WhyStayed::Blocked => "where its last migration ended is not known".to_owned(),
            WhyStayed::MigrationFailed { .. } => "its migration failed".to_owned(),
            WhyStayed::OutcomeUnknown { .. } => "how its migration ended is not known".to_owned(),
            _ => "it does".to_owned(),
        }
    }

    /// The last word.
    pub(crate) fn ended(&mut self, account: &Account, settled: bool) {
        self.draw(account, true);
        let cost = account.total_cost();
        let how = if settled { "Settled" } else { "Stopped" };
        show(&format!(
            "{how} after {:.1} s, {} rounds and {} migrations.\n\
             Initial cost {}, final cost {}: {:.1} % less.\n",
            self.began.elapsed().as_secs_f64(),
            self.round,
            self.migrations,
            si(self.initial_cost),
            si(cost),
            reduction_percent(self.initial_cost, cost),
        ));
    }

    fn name(&self, vm: VmId) -> String {
        self.names
            .get(&vm)
            .cloned()
            .unwrap_or_else(|| vm.to_string())
    }

    /// A server in a line of news: where it stands is in the picture, if there is one.
    fn place(&self, server: ServerId) -> String {
        match self.places.get(&server) {
            Some(place) if self.picture.is_none() => place.clone(),
            _ => server.to_string(),
        }
    }

    /// Draws the picture over the last one, if it is time.
    fn draw(&mut self, account: &Account, at_last: bool) {
        let Some(picture) = &self.picture else { return };
        if !at_last && picture.drawn.is_some_and(|drawn| drawn.elapsed() < FRAME) {
            return;
        }
        let (rows, columns) = terminal_size();
        // The cursor stands in the row below.
        let lines = self.lines(account, picture, rows.saturating_sub(1));
        let up = picture.height;
        let mut frame = String::new();
        if up > 0 {
            // Writing to a String cannot fail.
            let _ = write!(frame, "\x1b[{up}A");
        }
        for line in &lines {
            let _ = writeln!(frame, "\x1b[2K{}", clip(line, columns));
        }
        frame += "\x1b[J";
        show(&frame);
        if let Some(picture) = &mut self.picture {
            picture.height = lines.len();
            picture.drawn = Some(Instant::now());
        }
    }

    /// The picture in at most `height` lines.
    fn lines(&self, account: &Account, picture: &Picture, height: usize) -> Vec<String> {
        let room = height.saturating_sub(FIXED_LINES);
        let servers = self.places.len().min(SHOWN_SERVERS + 1);
        let news = picture.news.len();
        let news = news.min(room.saturating_sub(servers).max(room / 3));
        let cost = account.total_cost();
        let mut lines = vec![
            String::new(),
            format!(
                "  cost {:>12}  \x1b[32m{}\x1b[0m  −{:.1} %",
                si(cost),
                bar(cost, self.initial_cost, BAR_WIDTH),
                reduction_percent(self.initial_cost, cost)
            ),
            format!("  {:>17}  \x1b[36m{}\x1b[0m", "", sparkline(&picture.costs)),
            format!(
                "  round {}, {} migrations, the token is with {}",
                self.round + 1,
                self.migrations,
                self.holder.map_or_else(String::new, |vm| self.name(vm))
            ),
            String::new(),
        ];
        lines.extend(self.placement(account, room - news));
        lines.push(String::new());
        lines.extend(
            picture
                .news
                .iter()
                .skip(picture.news.len() - news)
                .map(|line| format!("  \x1b[2m{line}\x1b[0m")),
        );
        lines.truncate(height);
        lines
    }

    /// A line per server with its VMs, the token's holder highlighted; at most `height` lines.
    fn placement(&self, account: &Account, height: usize) -> Vec<String> {
        let allocation = account.allocation();
        let mut vms: BTreeMap<ServerId, Vec<VmId>> = BTreeMap::new();
        for vm in allocation.vms() {
            let server = allocation.server_at(allocation.host(vm));
            vms.entry(server).or_default().push(allocation.vm_at(vm));
        }
        let line = |(server, place): (&ServerId, &String)| {
            let here = vms.get(server).into_iter().flatten().map(|vm| {
                if self.holder == Some(*vm) {
                    format!("\x1b[1;33m[{}]\x1b[0m", self.name(*vm))
                } else {
                    self.name(*vm)
                }
            });
            format!("  {place:<26} {}", here.collect::<Vec<_>>().join(" "))
        };
        let all = self.places.len();
        // One line says how many more there are.
        let shown = if all <= height.min(SHOWN_SERVERS) {
            all
        } else {
            height.saturating_sub(1).min(SHOWN_SERVERS)
        };
        let mut lines: Vec<_> = self.places.iter().take(shown).map(line).collect();
        if all > shown {
            lines.push(format!("  … and {} more servers", all - shown));
        }
        lines
    }
}

/// How many rows and columns the terminal has.
fn terminal_size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row.into(), size.ws_col.into()),
        _ => USUAL_SIZE,
    }
}

/// The first `columns` characters of a line; escape sequences, which take no room, are all kept.
fn clip(line: &str, columns: usize) -> String {
    let (mut width, mut escape) = (0, false);
    line.chars()
        .filter(|char| {
            let visible = !escape && *char != '\x1b';
            // Only colours are in lines; their sequences end with an m.
            escape = !visible && *char != 'm';
            width += usize::from(visible);
            !visible || width <= columns
        })
        .collect()
}

/// A bar of `width` characters for `whole`.
fn bar(part: f64, whole: f64, width: usize) -> String {
    let share = if whole > 0.0 {
        (part / whole).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let full = (share * width as f64).round() as usize;
    format!("{}{}", "█".repeat(full), "·".repeat(width - full))
}

/// The last values, the largest of all as the highest.
fn sparkline(values: &[f64]) -> String {
    let highest = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let spark = |value: &f64| {
        let step = (value / highest * SPARKS.len() as f64) as usize;
        SPARKS[step.min(SPARKS.len() - 1)]
    };
    let first = values.len().saturating_sub(SPARKLINE_WIDTH);
    values[first..].iter().map(spark).collect()
}

/// That nobody reads on is no reason to stop.
fn show(text: &str) {
    drop(print(text));
}
