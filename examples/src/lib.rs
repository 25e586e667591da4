//! What the example programs share: error reporting and exit codes.
