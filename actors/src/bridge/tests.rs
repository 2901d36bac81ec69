//! The bridge against a platform that is only made of memory.
