"""Test whether compressing a neural network makes its weak classes weaker, from experiment logs."""

from distortion.designs import conditions, measures, pairs, slopes
from distortion.findings import findings
from distortion.fits.glmm import fit_glmm
from distortion.fits.lmm import fit_lmm
from distortion.fits.regressions.instruments import fit_iv
from distortion.fits.regressions.panel import fit_panel
from distortion.fits.regressions.regression import fit_ols
from distortion.fits.results.comparing import compare
from distortion.fits.results.result import Fit
from distortion.fits.results.sidebyside import side_by_side
from distortion.log import RecallLog, read_log, write_log
from distortion.report import report

__all__ = [
    "Fit",
    "RecallLog",
    "compare",
    "conditions",
    "findings",
    "fit_glmm",
    "fit_iv",
    "fit_lmm",
    "fit_ols",
    "fit_panel",
    "measures",
    "pairs",
    "read_log",
    "report",
    "side_by_side",
    "slopes",
    "write_log",
]
