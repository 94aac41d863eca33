"""Tables of the report: what they hold, how numbers are rounded, four formats."""
