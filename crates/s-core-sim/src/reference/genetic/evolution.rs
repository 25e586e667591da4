//! Generations.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use rayon::prelude::*;

use super::Genetic;
use super::alignment::Kinds;
use super::crossover::{cross, mutate};
use super::problem::{Draft, Problem, Rack};
use super::seeding::densely_packed;
use crate::cpu_time;
use crate::strategy::Watch;
use crate::traffic::shuffle;

/// 5.1.2: it ends when the best individual has improved by less than this share …
const LEAST_IMPROVEMENT: f64 = 0.01;

/// … in so many generations.
const PATIENCE: usize = 10;

/// How an evolution ended.
pub(super) struct Evolved {
    /// The racks of the VMs in the best individual.
    pub(super) best: Vec<Rack>,
    /// The CPU time of all threads.
    pub(super) cpu_time: Duration,
    /// Whether it was not stopped.
    pub(super) complete: bool,
}

/// A placement and its cost.
#[derive(Clone)]
struct Individual {
    racks: Vec<Rack>,
    cost: f64,
}

struct Evolution<'a> {
    options: Genetic,
    problem: &'a Problem<'a>,
    kinds: Kinds,
    watch: &'a dyn Watch,
}

/// Evolves until the best individual has improved too little for long enough, or until stopped.
pub(super) fn evolve(options: Genetic, problem: &Problem<'_>, watch: &dyn Watch) -> Evolved {
    let evolution = Evolution {
        options,
        problem,
        kinds: Kinds::new(problem),
        watch,
    };
    let (mut population, mut work) = evolution.first_generation();
    let mut history = vec![best(&population).cost];
    while work.complete && !has_settled(&history, problem.rounding) {
        watch.progress(progress(history.len()), best(&population).cost);
        work += evolution.next_generation(&mut population, history.len() as u64);
        history.push(best(&population).cost);
    }
    let best = best(&population);
    watch.progress(1.0, best.cost);
    Evolved {
        // A name is as good as another; with these, VMs that did not have to move stay.
        best: (evolution.kinds).align(problem, &problem.initial, &best.racks),
        cpu_time: work.cpu_time,
        complete: work.complete,
    }
}

fn has_settled(history: &[f64], rounding: f64) -> bool {
    let Some(before) = history.len().checked_sub(PATIENCE + 1) else {
        return false;
    };
    history[history.len() - 1] >= (1.0 - LEAST_IMPROVEMENT) * history[before] - rounding
}

/// Nobody knows how many generations there will be; a few dozen are usual.
fn progress(generations: usize) -> f64 {
    generations as f64 / (generations + PATIENCE) as f64
}

/// The first one of least cost.
fn best(population: &[Individual]) -> &Individual {
    (population.iter())
        .min_by(|a, b| a.cost.total_cmp(&b.cost))
        .expect("the placement to begin with is an individual")
}

/// What work in parallel took.
struct Work {
    cpu_time: Duration,
    complete: bool,
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, more: Self) {
        self.cpu_time += more.cpu_time;
        self.complete &= more.complete;
    }
}

impl Evolution<'_> {
    /// The placement to begin with and densely packed ones, as many as there was time for.
    fn first_generation(&self) -> (Vec<Individual>, Work) {
        let individual = |racks: Vec<Rack>| Individual {
            cost: self.problem.cost(&racks),
            racks,
        };
        let initial = individual(self.problem.initial.clone());
        let indices: Vec<u64> = (1..self.options.population as u64).collect();
        let (others, work) = self.parallel(&indices, |index| {
            let mut random = stream(self.options.seed, 0, *index);
            Some(individual(densely_packed(self.problem, &mut random)?))
        });
        let mut population = vec![initial.clone()];
        // Where VMs of unequal memory do not pack, the placement to begin with stands in.
        let others = others
            .into_iter()
            .map(|other| other.unwrap_or_else(|| initial.clone()));
        population.extend(others);
        (population, work)
    }

    /// Every individual has a child with the next one of a random order. A child meets its first parent and a
    /// random individual, and takes the place of the worse of them if it is better. Nothing changes if stopped.
    fn next_generation(&self, population: &mut [Individual], generation: u64) -> Work {
        let count = population.len();
        let mut order: Vec<u32> = (0..count as u32).collect();
        let mut random = stream(self.options.seed, generation, 0);
        shuffle(&mut order, &mut random);
        let parents: Vec<(u64, usize, usize)> = (0..count)
            .map(|place| (order[place] as usize, order[(place + 1) % count] as usize))
            .zip(1..)
            .map(|((a, b), index)| (index, a, b))
            .collect();
        let (children, work) = self.parallel(&parents, |(index, a, b)| {
            let mut random = stream(self.options.seed, generation, *index);
            self.child(&population[*a], &population[*b], &mut random)
        });
        if work.complete {
            for ((_, parent, _), child) in parents.into_iter().zip(children) {
                let other = random.random_range(0..count as u32) as usize;
                let cost = |individual: &usize| population[*individual].cost;
                let worse = if cost(&other) > cost(&parent) {
                    other
                } else {
                    parent
                };
                if child.cost <= cost(&worse) {
                    population[worse] = child;
                }
            }
        }
        work
    }

    fn child(&self, a: &Individual, b: &Individual, random: &mut Pcg64Mcg) -> Individual {
        let b = self.kinds.align(self.problem, &a.racks, &b.racks);
        let mut draft = Draft::new(self.problem, a.racks.clone(), a.cost);
        cross(&mut draft, &b, random);
        mutate(&mut draft, random);
        Individual {
            racks: draft.racks,
            cost: draft.cost,
        }
    }

    /// Does the work on all items on all threads. The results are in the order of the items; some are missing if stopped.
    fn parallel<T: Sync, R: Send>(
        &self,
        items: &[T],
        work: impl Fn(&T) -> R + Sync,
    ) -> (Vec<R>, Work) {
        let work = |item| {
            let stopped = self.watch.is_stopped();
            (!stopped).then(|| cpu_time::measure(|| work(item)))
        };
        let results: Vec<_> = items.par_iter().map(work).collect();
        let times = results.iter().flatten().map(|(_, cpu_time)| *cpu_time);
        let cpu_time = times.sum();
        let done: Vec<R> = results
            .into_iter()
            .flatten()
            .map(|(result, _)| result)
            .collect();
        let complete = done.len() == items.len();
        (done, Work { cpu_time, complete })
    }
}

/// The random numbers of one individual, the same on whichever thread it is made.
fn stream(seed: u64, generation: u64, index: u64) -> Pcg64Mcg {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    // SplitMix64, once for each part.
    let mix = |mixed: u64, part: u64| {
        let z = (mixed ^ part.wrapping_mul(GOLDEN)).wrapping_add(GOLDEN);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    Pcg64Mcg::seed_from_u64([generation, index].into_iter().fold(seed, mix))
}
