//! Small segments of the log in this process and its children: the usual ones are larger than all
//! that these tests write, and would be copied with each image.

/// The size, by the variable that sets it; another one can be set from outside.
const BYTES: (&str, &str) = ("ANNULUS_LOG_SEGMENT_BYTES", "65536");

extern "C" fn set() {
    if std::env::var_os(BYTES.0).is_none() {
        // SAFETY: it runs before `main`, when there is one thread.
        unsafe { std::env::set_var(BYTES.0, BYTES.1) };
    }
}

// SAFETY: the dynamic linker calls what this section lists, with the signature of `main`, before
// `main`; a function without parameters may be called so.
#[used]
#[unsafe(link_section = ".init_array")]
static SET: extern "C" fn() = set;
