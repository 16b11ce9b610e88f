"""From a dual point and a polar bound to a gap and a verdict."""
