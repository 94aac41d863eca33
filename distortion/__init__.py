"""Test whether compressing a network makes its weak classes weaker, from experiment logs."""

from distortion.designs import conditions, measures, pairs, slopes
from distortion.findings import findings
from distortion.log import RecallLog, read_log, write_log
from distortion.report import report

__all__ = [
    "RecallLog",
    "conditions",
    "findings",
    "measures",
    "pairs",
    "read_log",
    "report",
    "slopes",
    "write_log",
]
