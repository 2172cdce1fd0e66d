//! The mixing functions as truth tables, which is how AVX-512's ternary logic takes them.

/// RFC 1321's F.
pub(crate) const F: i32 = (B & C) | (!B & D);
/// RFC 1321's G.
pub(crate) const G: i32 = (D & B) | (!D & C);
/// RFC 1321's H.
pub(crate) const H: i32 = B ^ C ^ D;
/// RFC 1321's I.
pub(crate) const I: i32 = C ^ (B | (0xff ^ D));

// Bit `i` of an operand's table is the operand's value in row `i`, so what is computed of tables is a table.
const B: i32 = 0xf0;
const C: i32 = 0xcc;
const D: i32 = 0xaa;
