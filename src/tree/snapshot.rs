//! The assertion that a run is as its snapshot.

/// Asserts that the text of a run ([`tree::render`](crate::tree::render)) is its snapshot, which insta keeps:
/// in a file beside the test's, or in the test itself. Feature `insta`; `cargo insta review` shows what
/// changed, and accepts it.
///
/// ```no_run
/// # use runjournal::{RunContext, assert_run_snapshot, tree};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ctx = RunContext::from_env()?;
/// assert_run_snapshot!(ctx); // a file named by the test
/// assert_run_snapshot!("after plan", ctx); // by this name
/// assert_run_snapshot!(ctx, @""); // in the test: `cargo insta accept` fills it in
///
/// let options = tree::Options::new().redact("reports/*.json", "/items/*/id", "[id]");
/// assert_run_snapshot!(ctx, &options); // and ("name", ctx, &options), (ctx, &options, @"")
/// # Ok(())
/// # }
/// ```
///
/// # Panics
/// Where the text is another one, and where the run cannot be rendered.
#[cfg(feature = "insta")]
#[macro_export]
macro_rules! assert_run_snapshot {
    ($ctx:expr, @$snapshot:literal $(,)?) => {
        $crate::assert_run_snapshot!($ctx, &$crate::tree::Options::new(), @$snapshot)
    };
    ($ctx:expr, $options:expr, @$snapshot:literal $(,)?) => {{
        let tree = $crate::__rendered!($ctx, $options);
        $crate::tree::__insta::assert_snapshot!(tree, @$snapshot)
    }};
    ($name:literal, $ctx:expr $(,)?) => {
        $crate::assert_run_snapshot!($name, $ctx, &$crate::tree::Options::new())
    };
    ($ctx:expr $(,)?) => {
        $crate::assert_run_snapshot!($ctx, &$crate::tree::Options::new())
    };
    ($ctx:expr, $options:expr $(,)?) => {{
        let tree = $crate::__rendered!($ctx, $options);
        $crate::tree::__insta::assert_snapshot!(
            $crate::tree::__insta::_macro_support::AutoName,
            tree,
            ::std::stringify!($ctx)
        )
    }};
    ($name:expr, $ctx:expr, $options:expr $(,)?) => {{
        let tree = $crate::__rendered!($ctx, $options);
        $crate::tree::__insta::assert_snapshot!($name, tree, ::std::stringify!($ctx))
    }};
}

/// The text of a run, or the end of the test.
#[cfg(feature = "insta")]
#[doc(hidden)]
#[macro_export]
macro_rules! __rendered {
    ($ctx:expr, $options:expr) => {
        match $crate::tree::render(&$ctx, &$options) {
            Ok(text) => text,
            Err(error) => {
                ::std::panic!("the run cannot be rendered: {}", $crate::tree::__told(&error))
            }
        }
    };
}
