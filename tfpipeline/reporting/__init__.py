"""Everything that is drawn or printed: the report, plots, tables."""
