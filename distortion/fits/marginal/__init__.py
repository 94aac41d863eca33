"""Estimated marginal means and slopes, and their comparisons."""
