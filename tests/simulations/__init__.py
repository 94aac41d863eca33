"""Simulation studies whose figures stand in the docs; see the module that prints each."""
