//! The setters of options, all in one style: each public field has a method of the same name that
//! sets it.

/// Defines the methods that set the given fields: each takes the options and returns them. The
/// methods of the fields after `optional` take a value or `None`.
macro_rules! setters {
    ($($field:ident: $type:ty),* $(,)? $(; optional $($option:ident: $value:ty),* $(,)?)?) => {
        $(
            #[doc = concat!("Sets [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
            #[must_use]
            pub fn $field(mut self, $field: $type) -> Self {
                self.$field = $field;
                self
            }
        )*
        $($(
            #[doc = concat!("Sets [`", stringify!($option), "`](field@Self::", stringify!($option), ").")]
            #[must_use]
            pub fn $option(mut self, $option: impl Into<Option<$value>>) -> Self {
                self.$option = $option.into();
                self
            }
        )*)?
    };
}

pub(crate) use setters;
