"""The one result type of every fit: its tests, tables and comparisons."""
