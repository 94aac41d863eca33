"""The command `distortion`; one module per kind of command."""

from distortion.cli import answers, gating, logs, models, planning
from distortion.cli.group import main

__all__ = ["answers", "gating", "logs", "main", "models", "planning"]
