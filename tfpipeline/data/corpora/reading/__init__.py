"""What the readers of data sets share: layouts, protocols, tables, names."""
