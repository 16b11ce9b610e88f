"""Branch and bound on the signs of rows: exact for one score column and few samples, in any dimension."""
