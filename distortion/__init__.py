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
from distortion.gate.gate import gate
from distortion.inequality.exemplars import exemplar_shares, exemplars
from distortion.inequality.table import inequality
from distortion.log import RecallLog, read_log, write_log
from distortion.nulls.equal import at_equal
from distortion.nulls.matched import matched_null
from distortion.planning.assumptions import Assumptions
from distortion.planning.plan import plan
from distortion.predictions import Predictions, read_predictions, recount
from distortion.repairs.table import repaired_slopes
from distortion.report import report
from distortion.structural.table import structural

__all__ = [
    "Assumptions",
    "Fit",
    "Predictions",
    "RecallLog",
    "at_equal",
    "compare",
    "conditions",
    "exemplar_shares",
    "exemplars",
    "findings",
    "fit_glmm",
    "fit_iv",
    "fit_lmm",
    "fit_ols",
    "fit_panel",
    "gate",
    "inequality",
    "matched_null",
    "measures",
    "pairs",
    "plan",
    "read_log",
    "read_predictions",
    "recount",
    "repaired_slopes",
    "report",
    "side_by_side",
    "slopes",
    "structural",
    "write_log",
]
