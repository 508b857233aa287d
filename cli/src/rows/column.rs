//! A column other than the key's.

use super::fields::{self, Split};
use super::format::KeyColumn;
use super::layout::{Layout, find_column, insert};
use crate::exit::{Failure, Outcome};
use std::borrow::Cow;

/// A column of a file that is not its key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// Its position among the columns of the value.
    place: usize,
}

impl Column {
    /// Finds the column with this number or name.
    pub(crate) fn find(wanted: &KeyColumn, layout: &Layout) -> Outcome<Self> {
        let names = layout.header.as_deref().map(|header| {
            let names = header.strip_prefix(b"\xef\xbb\xbf").unwrap_or(header);
            fields_of(layout, names)
        });
        let (names, has_header) = match names.flatten() {
            Some(names) => (names, true),
            None => (vec![Cow::Borrowed(&b""[..]); layout.columns.unwrap_or(0)], false),
        };
        let column = find_column(wanted, &names, has_header)?;
        if column == layout.key {
            return Err(Failure::usage("that column is the key; name another one"));
        }
        Ok(Self { place: column - usize::from(column > layout.key) })
    }

    /// Returns the field of this column in a row's value, and the value without it.
    pub(crate) fn take(self, layout: &Layout, value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let Split::Row(places) = fields::split(layout.format, value) else { return None };
        let place = places.get(self.place)?;
        let field = fields::unquote(layout.format, value.get(place.clone())?);
        Some((field.into_owned(), layout.value_of(value, place)))
    }

    /// Returns a row's value with a field for this column, which it does not have, or says why it
    /// cannot have one.
    pub(crate) fn put(
        self,
        layout: &Layout,
        value: &[u8],
        field: &[u8],
    ) -> Result<Vec<u8>, String> {
        if value.is_empty() && layout.columns == Some(2) {
            return Ok(field.to_vec());
        }
        let Split::Row(places) = fields::split(layout.format, value) else {
            return Err("its value is not CSV".into());
        };
        if self.place > places.len() {
            return Err(format!("its value has only {} columns", places.len()));
        }
        let mut with = Vec::with_capacity(value.len() + field.len() + 1);
        insert(layout.format, value, &places, self.place, field, &mut with);
        Ok(with)
    }

    /// Returns the field of this column in a row's value.
    pub(crate) fn of<'v>(self, layout: &Layout, value: &'v [u8]) -> Option<Cow<'v, [u8]>> {
        fields_of(layout, value)?.into_iter().nth(self.place)
    }
}

fn fields_of<'t>(layout: &Layout, text: &'t [u8]) -> Option<Vec<Cow<'t, [u8]>>> {
    let Split::Row(places) = fields::split(layout.format, text) else { return None };
    let field = |place| fields::unquote(layout.format, text.get(place).unwrap_or_default());
    Some(places.into_iter().map(field).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::rows::Format;

    #[test]
    fn a_column_is_found_before_and_after_the_key() {
        let layout = |key: &str| {
            let key = KeyColumn::Name(key.into());
            Layout::of_first_line(Format::Csv, b"a,b,c", &key, true).unwrap()
        };
        let of = |key: &str, column: &str, value: &str| {
            let layout = layout(key);
            let column = Column::find(&column.parse().unwrap(), &layout).ok()?;
            column.of(&layout, value.as_bytes()).map(|field| field.into_owned())
        };
        assert_eq!(of("b", "a", "1,3"), Some(b"1".to_vec()));
        assert_eq!(of("b", "c", "1,\"3,\"\"\""), Some(b"3,\"".to_vec()));
        assert_eq!(of("a", "3", "2,3"), Some(b"3".to_vec()));
        assert_eq!((of("a", "a", "2,3"), of("a", "d", "2,3")), (None, None));
    }

    #[test]
    fn a_field_that_was_taken_out_is_put_back() {
        for (header, key, column, value, rest) in [
            ("a,b,c", "b", "a", "1,3", "3"),
            ("a,b,c", "b", "c", "1,\"3\"", "1"),
            ("a,b,c,d", "a", "c", "2,3,4", "2,4"),
            ("a,b,c,d", "d", "a", ",2,3", "2,3"),
            ("a,b", "a", "b", "2", ""),
            ("a,b,c", "a", "b", "2,", ""),
        ] {
            let key = KeyColumn::Name(key.into());
            let layout = Layout::of_first_line(Format::Csv, header.as_bytes(), &key, true).unwrap();
            let column = Column::find(&column.parse().unwrap(), &layout).unwrap();
            let (field, left) = column.take(&layout, value.as_bytes()).unwrap();
            assert_eq!(left, rest.as_bytes(), "{header}: {value}");
            let back = column.put(&layout, &left, &field).unwrap();
            assert_eq!(back, value.replace('"', "").as_bytes(), "{header}: {value}");
        }
    }
}
