"""Least squares, panels and instruments on statsmodels and linearmodels; clustered errors."""
