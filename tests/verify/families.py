"""All certificates whose multipliers are derived by hand: `BASES` are valid, `RULES` break one rule each."""

from . import (
    handmade_deep,
    handmade_entries,
    handmade_entry_norms,
    handmade_factors,
    handmade_lines,
    handmade_products,
    handmade_signs,
    handmade_tied,
    handmade_unfoldings,
)

HANDMADE = (
    handmade_factors,
    handmade_products,
    handmade_signs,
    handmade_entries,
    handmade_unfoldings,
    handmade_deep,
    handmade_entry_norms,
    handmade_lines,
    handmade_tied,
)
BASES = [make for module in HANDMADE for make in module.BASES]
RULES = [rule for module in HANDMADE for rule in module.RULES]
