//! How the agent proves who it is: one file for each auth method.

mod kubernetes;

use planescape_vault::wire::Body;

use crate::reader::Reader;

pub use kubernetes::Kubernetes;

/// The part of an auth method that differs from the others.
trait Login: Sized {
    /// Reads the `config` block of the method; mistakes are noted in it.
    fn read(settings: &Reader<'_>) -> Self;

    /// The role, for reports.
    fn role(&self) -> Option<&str>;

    /// The files that a login reads, afresh each time.
    fn files(&self) -> Vec<&str>;

    /// The body of the login, from the files' contents in the same order. An error says which file
    /// cannot be used, and why, without quoting it.
    fn body(&self, contents: &[Body]) -> Result<Body, UnusableFile>;
}

/// A file that a login cannot use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableFile {
    /// Which.
    pub path: String,
    /// Why.
    pub reason: &'static str,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// An auth method and its settings.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Method {
            $($(#[$doc])* $name($name),)*
        }

        impl Method {
            /// The names of the methods we have.
            pub(crate) const KNOWN: &'static [&'static str] = &[$($word),*];

            /// `None` for a name that we do not know.
            pub(crate) fn read(name: &str, settings: &Reader<'_>) -> Option<Self> {
                match name {
                    $($word => Some(Self::$name($name::read(settings))),)*
                    _ => None,
                }
            }

            /// The role of the login, for reports.
            #[must_use]
            pub fn role(&self) -> Option<&str> {
                match self {
                    $(Self::$name(method) => method.role(),)*
                }
            }

            /// The files that a login reads, afresh each time.
            #[must_use]
            pub fn files(&self) -> Vec<&str> {
                match self {
                    $(Self::$name(method) => method.files(),)*
                }
            }

            /// The body of a login, from the contents of [`Self::files`] in the same order.
            ///
            /// # Errors
            /// A file does not hold what it should.
            pub fn body(&self, contents: &[Body]) -> Result<Body, UnusableFile> {
                match self {
                    $(Self::$name(method) => method.body(contents),)*
                }
            }
        }
    };
}

methods! {
    /// The pod's ServiceAccount token.
    Kubernetes = "kubernetes",
}
