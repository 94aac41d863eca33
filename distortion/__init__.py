"""Does compressing a network make its weak classes weaker? Statistics from experiment logs."""

from distortion.designs import conditions, measures, pairs, slopes
from distortion.findings import findings
from distortion.log import RecallLog, read_log

__all__ = ["RecallLog", "conditions", "findings", "measures", "pairs", "read_log", "slopes"]
