//! The memory of a VM, as a migration sees it: pages that change while it runs.
//!
//! No VM runs in the laboratory's namespaces that could be asked for its memory. What stands for it is computed: a
//! page's octets follow from the VM, the page and how often it was written, and which pages are written follows from
//! the VM too. Both ends digest what they have, so a page that was forgotten, or came late, is noticed.

use crate::layout::VmNumber;

/// Octets of a page.
pub(super) const PAGE: usize = 4096;
/// Pages in a MiB.
pub(super) const PAGES_PER_MIB: u32 = 256;

/// The memory of a VM at its source.
#[derive(Debug)]
pub(super) struct Image {
    seed: u64,
    /// How often each page was written.
    versions: Vec<u32>,
    digests: Digests,
    chance: u64,
}

impl Image {
    /// The memory of this VM, this large.
    pub(super) fn new(vm: VmNumber, memory_mib: u32) -> Self {
        let pages = memory_mib.saturating_mul(PAGES_PER_MIB);
        let seed = mixed(vm.0.into());
        let mut this = Self {
            seed,
            versions: vec![0; pages as usize],
            digests: Digests::new(pages),
            chance: seed,
        };
        for page in 0..pages {
            this.digest(page);
        }
        this
    }

    /// How many pages there are.
    pub(super) fn pages(&self) -> u32 {
        u32::try_from(self.versions.len()).unwrap_or(u32::MAX)
    }

    /// The octets of a page as it is now.
    ///
    /// # Panics
    ///
    /// If there is no such page.
    pub(super) fn read(&self, page: u32, octets: &mut [u8; PAGE]) {
        let version = self.versions[page as usize];
        let mut state = mixed(self.seed ^ (u64::from(version) << 32 | u64::from(page)));
        for word in octets.as_chunks_mut().0 {
            state = next(state);
            *word = state.to_le_bytes();
        }
    }

    /// The VM writes `count` times to a page, each as likely as any other: which pages these were, rising.
    pub(super) fn write(&mut self, count: u64) -> Vec<u32> {
        let pages = u64::from(self.pages());
        // More than four for each page leave hardly one alone.
        let count = count.min(pages * 4);
        let mut written: Vec<u32> = (0..count)
            .map(|_| {
                self.chance = next(self.chance);
                // Its upper half, of the pages; below their number, a u32. Its lowest bit is not by chance.
                (((mixed(self.chance) >> 32) * pages) >> 32) as u32
            })
            .collect();
        written.sort_unstable();
        written.dedup();
        for &page in &written {
            self.versions[page as usize] += 1;
            self.digest(page);
        }
        written
    }

    /// The digest of the whole memory.
    pub(super) fn whole(&self) -> u64 {
        self.digests.whole()
    }

    fn digest(&mut self, page: u32) {
        let mut octets = [0; PAGE];
        self.read(page, &mut octets);
        self.digests.put(page, &octets);
    }
}

/// What is known of the memory at either end: a digest of each page. It finds mistakes, not forgeries.
#[derive(Debug)]
pub(super) struct Digests(Vec<u64>);

impl Digests {
    /// Of a memory of which nothing is known.
    pub(super) fn new(pages: u32) -> Self {
        Self(vec![0; pages as usize])
    }

    /// Takes a page in; says whether there is such a page.
    pub(super) fn put(&mut self, page: u32, octets: &[u8; PAGE]) -> bool {
        let Some(digest) = self.0.get_mut(page as usize) else {
            return false;
        };
        let words = octets.as_chunks().0.iter();
        *digest = fold(words.map(|word| u64::from_le_bytes(*word)));
        true
    }

    /// Of all pages in their order.
    pub(super) fn whole(&self) -> u64 {
        fold(self.0.iter().copied())
    }
}

fn fold(words: impl Iterator<Item = u64>) -> u64 {
    words.fold(0, |sum: u64, word| {
        (sum.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

/// The next of a sequence without a short cycle (xorshift; Marsaglia 2003).
const fn next(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

/// A number in which each bit hangs on all bits of `n`, and never 0.
const fn mixed(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(image: &Image, page: u32) -> [u8; PAGE] {
        let mut octets = [0; PAGE];
        image.read(page, &mut octets);
        octets
    }

    #[test]
    fn pages_differ_and_change_when_written() {
        let mut image = Image::new(VmNumber(1), 1);
        let other = Image::new(VmNumber(2), 1);
        assert_ne!(page_of(&image, 0), page_of(&image, 1));
        assert_ne!(page_of(&image, 0), page_of(&other, 0));
        let before: Vec<_> = (0..256).map(|page| page_of(&image, page)).collect();
        let written = image.write(10);
        assert!((8..=10).contains(&written.len()), "{written:?}");
        for page in 0..256 {
            let same = page_of(&image, page) == before[page as usize];
            assert_eq!(same, !written.contains(&page), "page {page}");
        }
        // Of 256, all but one in e⁴.
        assert!((245..=256).contains(&image.write(u64::MAX).len()));
    }

    /// A digest knows what the last copy of every page was, in whatever order they came.
    #[test]
    fn a_page_that_was_not_sent_again_is_noticed() {
        let mut image = Image::new(VmNumber(3), 1);
        let mut copy = Digests::new(image.pages());
        for page in (0..image.pages()).rev() {
            assert!(copy.put(page, &page_of(&image, page)));
        }
        assert_eq!(copy.whole(), image.whole());
        let written = image.write(3);
        for page in written {
            assert_ne!(copy.whole(), image.whole());
            copy.put(page, &page_of(&image, page));
        }
        assert_eq!(copy.whole(), image.whole());
        assert!(!copy.put(256, &[0; PAGE]));
    }

    #[test]
    fn the_same_vm_writes_the_same_pages() {
        let mut images = [1, 1, 2].map(|vm| Image::new(VmNumber(vm), 2));
        let [a, b, c] = images.each_mut().map(|image| image.write(20));
        assert_eq!(a, b);
        assert_ne!(a, c);
    }
}
