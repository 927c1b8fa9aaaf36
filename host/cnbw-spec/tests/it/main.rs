//! Tests of the crate from outside: every parser on damaged documents.

mod damage;
