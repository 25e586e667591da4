//! A CSV file read row by row, so that any row's line can be named afterwards.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder, Trim};

use super::error::{Problem, SnapshotError};

/// The largest file that is read: room for some twenty million pairs, and offsets fit 32 bits.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// How much of a bad field an error shows.
const SHOWN_CHARS: usize = 60;

/// A file that has been read, and where each of its rows begins.
pub(super) struct Table {
    path: PathBuf,
    data: Vec<u8>,
    /// Where the reader stood before each row: comments and empty lines may follow first.
    offsets: Vec<u32>,
}

impl Table {
    /// Reads a file with exactly these columns, in any order; `parse` gets a row's fields in the order of `columns`.
    pub(super) fn read<T, const N: usize>(
        path: PathBuf,
        columns: [&'static str; N],
        parse: impl Fn([&str; N]) -> Result<T, Problem>,
    ) -> Result<(Self, Vec<T>), SnapshotError> {
        let mut table = Self {
            data: read_file(&path)?,
            offsets: Vec::new(),
            path,
        };
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(Trim::All)
            .from_reader(table.data.as_slice());
        let mut order = None;
        let mut rows = Vec::new();
        let mut record = ByteRecord::new();
        loop {
            let offset = reader.position().byte() as usize;
            let more = reader.read_byte_record(&mut record);
            if !more.map_err(|error| table.error_at(offset, Problem::Read(error.into())))? {
                break;
            }
            if is_blank(&record) {
                continue;
            }
            match &order {
                None => {
                    let columns = column_order(&record, columns);
                    order = Some(columns.map_err(|problem| table.error_at(offset, problem))?);
                }
                Some(order) => {
                    let row = fields(&record, order).and_then(&parse);
                    rows.push(row.map_err(|problem| table.error_at(offset, problem))?);
                    let offset = u32::try_from(offset).expect("at most MAX_FILE_BYTES");
                    table.offsets.push(offset);
                }
            }
        }
        if order.is_none() {
            let wanted = columns.join(",");
            return Err(SnapshotError::new(
                table.path,
                None,
                Problem::NoHeader { wanted },
            ));
        }
        Ok((table, rows))
    }

    /// An error at a row, counted from 0, or in the file as a whole.
    pub(super) fn error(&self, row: Option<usize>, problem: Problem) -> SnapshotError {
        match row.and_then(|row| self.offsets.get(row)) {
            Some(offset) => self.error_at(*offset as usize, problem),
            None => SnapshotError::new(&self.path, None, problem),
        }
    }

    /// An error at the first row that begins at or after `offset`.
    fn error_at(&self, mut offset: usize, problem: Problem) -> SnapshotError {
        while let Some(length) = comment_line(&self.data[offset..]) {
            offset += length;
        }
        SnapshotError::new(&self.path, Some(line_at(&self.data, offset)), problem)
    }
}

/// Reads a whole file of at most [`MAX_FILE_BYTES`], without a byte order mark.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, SnapshotError> {
    let mut data = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut data))
        .map_err(|error| SnapshotError::new(path, None, Problem::Read(error)))?;
    if data.len() as u64 > MAX_FILE_BYTES {
        return Err(SnapshotError::new(
            path,
            None,
            Problem::TooLarge(MAX_FILE_BYTES),
        ));
    }
    if data.starts_with("\u{feff}".as_bytes()) {
        data.drain(..3);
    }
    Ok(data)
}

/// The line, from 1, of the byte at `offset`.
pub(crate) fn line_at(data: &[u8], offset: usize) -> u64 {
    1 + data[..offset].iter().filter(|byte| **byte == b'\n').count() as u64
}

/// The error of a file whose byte at `offset` is not UTF-8.
pub(super) fn not_text(path: &Path, data: &[u8], offset: usize) -> SnapshotError {
    SnapshotError::new(path, Some(line_at(data, offset)), Problem::NotText)
}

/// The length, with its end, of the line that `data` begins with, if it is a comment or empty.
fn comment_line(data: &[u8]) -> Option<usize> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    let line = data[..end].trim_ascii();
    (line.is_empty() || line[0] == b'#').then_some(end + 1)
}

/// Whether the record is a line of white space or a comment that stands after white space.
fn is_blank(record: &ByteRecord) -> bool {
    let first = record.get(0).unwrap_or_default();
    first.starts_with(b"#") || (first.is_empty() && record.len() == 1)
}

/// For each wanted column its place in the header.
fn column_order<const N: usize>(
    header: &ByteRecord,
    columns: [&'static str; N],
) -> Result<[usize; N], Problem> {
    let wanted = || columns.join(",");
    for (place, name) in header.iter().enumerate() {
        let column = || shown(&String::from_utf8_lossy(name));
        if !columns.iter().any(|column| column.as_bytes() == name) {
            let (column, wanted) = (column(), wanted());
            return Err(Problem::UnknownColumn { column, wanted });
        }
        if header.iter().take(place).any(|earlier| earlier == name) {
            let (column, wanted) = (column(), wanted());
            return Err(Problem::DuplicateColumn { column, wanted });
        }
    }
    let mut order = [0; N];
    for (place, column) in order.iter_mut().zip(columns) {
        *place = header
            .iter()
            .position(|name| name == column.as_bytes())
            .ok_or_else(|| Problem::MissingColumn {
                column,
                wanted: wanted(),
            })?;
    }
    Ok(order)
}

fn fields<'r, const N: usize>(
    record: &'r ByteRecord,
    order: &[usize; N],
) -> Result<[&'r str; N], Problem> {
    if record.len() != N {
        return Err(Problem::FieldCount {
            fields: record.len(),
            columns: N,
        });
    }
    let mut fields = [""; N];
    for (field, place) in fields.iter_mut().zip(order) {
        *field = std::str::from_utf8(&record[*place]).map_err(|_| Problem::NotText)?;
    }
    Ok(fields)
}

/// Text from outside, cut so that an error stays one line that can be read.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
