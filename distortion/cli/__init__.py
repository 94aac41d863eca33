"""The command `distortion`; one module per kind of command."""

from distortion.cli import answers, logs, models
from distortion.cli.group import main

__all__ = ["answers", "logs", "main", "models"]
