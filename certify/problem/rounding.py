"""The unit of rounding of IEEE binary64 arithmetic."""

UNIT_ROUNDOFF = 2.0**-53
