//! Doubly linked lists whose links lie inside the records of a slab: no allocation per member.

use crate::slab::{NIL, Slab};

/// A record's neighbours in one list.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    pub(crate) prev: u32,
    pub(crate) next: u32,
}

impl Link {
    pub(crate) const NONE: Self = Self {
        prev: NIL,
        next: NIL,
    };
}

/// The two ends of a list.
#[derive(Clone, Copy)]
pub(crate) struct List {
    pub(crate) head: u32,
    tail: u32,
}

impl List {
    pub(crate) const EMPTY: Self = Self {
        head: NIL,
        tail: NIL,
    };

    pub(crate) const fn is_empty(&self) -> bool {
        self.head == NIL
    }

    /// Appends `index`, which is in no list that uses this link; `link` finds the link in a record.
    pub(crate) fn push_back<T>(
        &mut self,
        slab: &mut Slab<T>,
        index: u32,
        link: impl Fn(&mut T) -> &mut Link,
    ) {
        *link(&mut slab[index]) = Link {
            prev: self.tail,
            next: NIL,
        };
        match self.tail {
            NIL => self.head = index,
            tail => link(&mut slab[tail]).next = index,
        }
        self.tail = index;
    }

    /// Takes `index`, which is in this list, out of it.
    pub(crate) fn remove<T>(
        &mut self,
        slab: &mut Slab<T>,
        index: u32,
        link: impl Fn(&mut T) -> &mut Link,
    ) {
        let Link { prev, next } = *link(&mut slab[index]);
        match prev {
            NIL => self.head = next,
            prev => link(&mut slab[prev]).next = next,
        }
        match next {
            NIL => self.tail = prev,
            next => link(&mut slab[next]).prev = prev,
        }
    }
}
