//! Small damage to inputs, drawn from a seed.

use rand::RngExt as _;
use rand_pcg::Pcg64Mcg;

/// Numbers at which readers go wrong, as text has them.
const NUMBERS: [&[u8]; 10] = [
    b"0",
    b"-1",
    b"+1",
    b"255",
    b"65536",
    b"4294967295",
    b"4294967296",
    b"18446744073709551615",
    b"1e308",
    b"nan",
];
/// And as bytes have them, big-endian.
const WORDS: [u32; 6] = [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX];

/// Damages an input once; `other` is one to take pieces from.
pub(crate) fn mutate(data: &mut Vec<u8>, other: &[u8], rng: &mut Pcg64Mcg) {
    let at = rng.random_range(0..=data.len());
    let short = rng.random_range(0..=(data.len() - at).min(32));
    match rng.random_range(0..9) {
        0 => flip_bit(data, at, rng),
        1 => data.truncate(at),
        2 => drop(data.drain(at..at + short)),
        3 => data.insert(at, rng.random()),
        4 => {
            let piece = data[at..at + short].to_vec();
            data.splice(at..at, piece);
        }
        5 => {
            let from = rng.random_range(0..=other.len());
            let piece = &other[from..from + rng.random_range(0..=other.len() - from).min(64)];
            data.splice(at..at + short, piece.iter().copied());
        }
        6 => replace_number(data, at, rng),
        7 => write_word(data, at, rng),
        _ => swap_lines(data, rng),
    }
}

fn flip_bit(data: &mut [u8], at: usize, rng: &mut Pcg64Mcg) {
    if let Some(byte) = data.get_mut(at) {
        *byte ^= 1 << rng.random_range(0..8);
    }
}

/// Replaces the first run of digits at or after `at`.
fn replace_number(data: &mut Vec<u8>, at: usize, rng: &mut Pcg64Mcg) {
    let Some(start) = data[at..].iter().position(u8::is_ascii_digit) else {
        return;
    };
    let start = at + start;
    let digits = data[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    let end = start + digits.count();
    let number = NUMBERS[rng.random_range(0..NUMBERS.len())];
    data.splice(start..end, number.iter().copied());
}

fn write_word(data: &mut [u8], at: usize, rng: &mut Pcg64Mcg) {
    let word = WORDS[rng.random_range(0..WORDS.len())].to_be_bytes();
    data[at..]
        .iter_mut()
        .zip(word)
        .for_each(|(byte, new)| *byte = new);
}

fn swap_lines(data: &mut Vec<u8>, rng: &mut Pcg64Mcg) {
    let mut lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let (a, b) = (
        rng.random_range(0..lines.len()),
        rng.random_range(0..lines.len()),
    );
    lines.swap(a, b);
    *data = lines.join(&b'\n');
}
