//! Where a JSON object ends in a stream that has no framing.

/// Finds the end of a JSON object in bytes that arrive in pieces, looking at each byte once.
///
/// It tracks strings and the depth of braces and brackets, nothing else: whether what lies between
/// is JSON is left to the parser that reads the whole object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ObjectEnd {
    depth: u32,
    in_string: bool,
    escaped: bool,
}

/// The stream holds something other than an object where one should start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAnObject;

impl ObjectEnd {
    /// Looks at the next bytes; says how many of them belong to the object once it is complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotAnObject> {
        for (index, byte) in bytes.iter().enumerate() {
            if self.in_string {
                self.feed_string(*byte);
                continue;
            }
            match byte {
                b'{' => self.depth += 1,
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ if self.depth == 0 => return Err(NotAnObject),
                b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Ok(Some(index + 1));
                    }
                }
                b'"' => self.in_string = true,
                _ => {}
            }
        }
        Ok(None)
    }

    fn feed_string(&mut self, byte: u8) {
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.in_string = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn end(pieces: &[&[u8]]) -> Result<Option<usize>, NotAnObject> {
        let mut scanner = ObjectEnd::default();
        let mut before = 0;
        for piece in pieces {
            if let Some(end) = scanner.feed(piece)? {
                return Ok(Some(before + end));
            }
            before += piece.len();
        }
        Ok(None)
    }

    #[test]
    fn finds_the_end_of_the_first_object() {
        let rows: [(&str, Result<Option<usize>, NotAnObject>); 9] = [
            ("", Ok(None)),
            (" \n{}", Ok(Some(4))),
            ("{}{}", Ok(Some(2))),
            (r#"{"a":[{}]}x"#, Ok(Some(10))),
            (r#"{"}":"{\"}"}"#, Ok(Some(12))),
            (r#"{"\\":1}"#, Ok(Some(8))),
            (r#"{"a":"}"#, Ok(None)),
            ("[]", Err(NotAnObject)),
            ("HTTP/1.1", Err(NotAnObject)),
        ];
        for (text, expected) in rows {
            assert_eq!(end(&[text.as_bytes()]), expected, "{text:?}");
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(serde_json::Value::from),
            r#"[\[\]{}"\\a\n]{0,8}"#.prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::btree_map("[\"\\\\{}]{0,3}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_split_of_the_bytes_gives_the_same_end(
            value in json(),
            tail in prop::collection::vec(any::<u8>(), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let object = serde_json::json!({ "result": value }).to_string();
            let mut bytes = object.clone().into_bytes();
            bytes.extend(tail);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(end(&pieces), Ok(Some(object.len())));
        }
    }
}
