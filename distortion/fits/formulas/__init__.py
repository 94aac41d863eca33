"""Formulas in lme4's language, and how they are applied to a table in chunks of rows."""
