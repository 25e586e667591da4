//! What is shown while something takes its time, on standard error.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use s_core_lab::HostNumber;
use s_core_xen_lab::{BuildStep, Image, Plan, Stage};

/// Says what is built.
pub(crate) fn build_step(step: BuildStep) {
    eprintln!("building {step}");
}

/// Says if the programs in the hosts are not those of this source tree any more.
pub(crate) fn changed_source(image: &Image) {
    if let Some(file) = image.changed_source() {
        eprintln!(
            "warning: {} has changed since the image was made, and the hosts run what was before. To take it in: xen-lab build, \
             then down and up",
            file.display()
        );
    }
}

/// A line for every host: on a terminal it changes, elsewhere each stage has one.
#[derive(Debug)]
pub(crate) struct Hosts {
    names: Vec<String>,
    lines: Vec<ProgressBar>,
    begun: Instant,
}

impl Hosts {
    pub(crate) fn new(plan: &Plan) -> Self {
        let style = ProgressStyle::with_template("{spinner} {prefix:>6}  {elapsed:>4}  {msg}");
        let style = style.expect("the template is well-formed");
        let all = MultiProgress::new();
        let names: Vec<_> = plan
            .layout()
            .hosts()
            .map(|host| plan.host_name(host))
            .collect();
        let line = |name: &String| {
            let line = all.add(ProgressBar::new_spinner().with_style(style.clone()));
            line.set_prefix(name.clone());
            line.enable_steady_tick(Duration::from_millis(250));
            line
        };
        let lines = names.iter().map(line).collect();
        Self {
            names,
            lines,
            begun: Instant::now(),
        }
    }

    /// A host has come so far.
    pub(crate) fn tell(&self, host: HostNumber, stage: Stage) {
        let at = usize::from(host.0.saturating_sub(1));
        let (Some(name), Some(line)) = (self.names.get(at), self.lines.get(at)) else {
            return;
        };
        if line.is_hidden() {
            eprintln!(
                "{:6.1} s  {name}  {stage}",
                self.begun.elapsed().as_secs_f64()
            );
        } else {
            line.set_message(stage.to_string());
        }
    }

    /// Takes the lines away.
    pub(crate) fn finish(&self) {
        for line in &self.lines {
            line.finish_and_clear();
        }
    }
}
