//! Tools that a machine may lack.
