"""Sentences of the report, generated from facts and findings; none of them reads the log."""
