"""Estimators: arrays or frames in, tidy estimates out."""
