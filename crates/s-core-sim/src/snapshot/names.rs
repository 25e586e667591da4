//! What people call VMs, many in one text: a million short strings of their own would take 40 MB more.

/// Names in the order in which they were added.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Names {
    text: String,
    /// Where each name ends in `text`; it begins where the one before ends.
    ends: Vec<usize>,
}

impl Names {
    pub(super) fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
    }

    /// # Panics
    ///
    /// If there are no more than `index` names.
    pub(super) fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[index]]
    }

    /// The names at these indices, in their order.
    pub(super) fn reordered(self, order: &[usize]) -> Self {
        if order.is_sorted() && order.len() == self.ends.len() {
            return self;
        }
        let mut names = Self::default();
        order.iter().for_each(|index| names.push(self.get(*index)));
        names
    }
}
