"""How far this package is from R: the table in docs/models.md.

python -m tests.golden.agreement
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from distortion.fits.glmm import fit_glmm
from distortion.fits.lmm import fit_lmm
from tests.golden.models import RTOL, Golden, formula, golden, names

# Many points of equal height: tests/fits/test_lmm.py
RIDGE = ("pruning", "singular_vector_reml")
Deviation = tuple[str, str, str, float]  # quantity, reference, case, largest relative difference


def relative(found: np.ndarray, expected: np.ndarray, scale: float | None = None) -> float:
    """Largest |found − expected|, relative to expected, or to `scale` where it is larger."""
    size = np.abs(np.asarray(expected, dtype=float))
    if scale is not None:
        size = np.maximum(size, scale)
    return float(np.max(np.abs(np.asarray(found) - expected) / size))


def linear(stored: Golden, case: str) -> Iterator[Deviation]:
    """Compare a linear mixed model with lme4, lmerTest and pbkrtest."""
    found = stored.cases[case]
    options = {
        "method": found["method"],
        "weights": found["weights"],
        "levels": {k: v for k, v in stored.levels.items() if stored.table[k].dtype == pl.String},
    }
    fit = fit_lmm(formula(found), stored.table, **options)
    tight, name = found["tight"], f"{stored.name}: {formula(found)}, {found['method']}"
    errors = stored.vector(tight["fixef_se"], fit.names)
    yield "criterion", "lme4", name, relative(fit.criterion, tight["criterion"])
    beta = stored.vector(tight["fixef"], fit.names)
    yield (
        "fixed effects, in standard errors",
        "lme4",
        name,
        float(np.max(np.abs(fit.coefficients - beta) / errors)),
    )
    found_errors = np.sqrt(np.diagonal(fit.covariance))
    yield "standard errors", "lme4", name, relative(found_errors, errors)
    yield "residual SD", "lme4", name, relative(fit.sigma, tight["sigma"])
    if "satterthwaite" in found:
        df = stored.vector(found["satterthwaite"]["df"], fit.names)
        yield "Satterthwaite df", "lmerTest", name, relative(fit.df, df)
    if "kenward_roger" in found:
        fit = fit_lmm(formula(found), stored.table, df="kenward-roger", **options)
        expected = found["kenward_roger"]
        df = stored.vector(expected["df"], fit.names)
        yield "Kenward–Roger df", "pbkrtest", name, relative(fit.df, df)
        se = stored.vector(expected["se"], fit.names)
        found_errors = np.sqrt(np.diagonal(fit.covariance))
        yield "Kenward–Roger standard errors", "pbkrtest", name, relative(found_errors, se)


def generalised(stored: Golden, case: str) -> Iterator[Deviation]:
    """Compare a generalised linear mixed model with glmer, or with glmmTMB."""
    found = stored.cases[case]
    beta_binomial = "program" in found
    nodes = found.get("nAGQ", 1)
    fit = fit_glmm(
        formula(found),
        stored.table,
        family="beta-binomial" if beta_binomial else found["family"],
        link=found.get("link"),
        method="laplace" if nodes == 1 else "quadrature",
        n_quadrature=nodes,
        levels=stored.levels,
        test_dispersion=False,
    )
    reference = "glmmTMB" if beta_binomial else "glmer"
    kind = f", {nodes} nodes" if nodes > 1 else ""
    name = f"{stored.name}: {formula(found)}, {found.get('link', 'logit')}{kind}"
    yield "−2 log L", reference, name, relative(fit.criterion, found["minus2loglik"])
    errors = stored.vector(found["fixef_se"], fit.names)
    beta = stored.vector(found.get("tight", found)["fixef"], fit.names)
    far = float(np.max(np.abs(fit.coefficients - beta) / errors))
    yield "fixed effects, in standard errors", reference, name, far
    found_errors = np.sqrt(np.diagonal(fit.covariance))
    yield "standard errors", reference, name, relative(found_errors, errors)


def deviations() -> Iterator[Deviation]:
    """Compare everything that is stored."""
    for name in names():
        stored = golden(name)
        for case, found in stored.cases.items():
            if found.get("method") in ("reml", "ml") and (name, case) != RIDGE:
                yield from linear(stored, case)
            elif "minus2loglik" in found:
                yield from generalised(stored, case)


# Where the tests are: tests/fits/test_lmm.py, test_kenward_roger.py, test_glmm.py.
TOLERANCE = {
    ("criterion", "lme4"): RTOL["criterion"],
    ("fixed effects, in standard errors", "lme4"): RTOL["fixef"],
    ("standard errors", "lme4"): RTOL["se"],
    ("residual SD", "lme4"): RTOL["sd"],
    ("Satterthwaite df", "lmerTest"): RTOL["satterthwaite"],
    ("Kenward–Roger df", "pbkrtest"): RTOL["kenward_roger"],
    ("Kenward–Roger standard errors", "pbkrtest"): RTOL["se"],
    ("−2 log L", "glmer"): RTOL["deviance"],
    ("fixed effects, in standard errors", "glmer"): 1e-5,
    ("standard errors", "glmer"): 1e-4,
    ("−2 log L", "glmmTMB"): RTOL["deviance"],
    ("fixed effects, in standard errors", "glmmTMB"): 1e-3,
    ("standard errors", "glmmTMB"): 1e-4,
}


def main() -> None:
    """Print the table."""
    rows: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for quantity, reference, case, deviation in deviations():
        rows.setdefault((quantity, reference), []).append((deviation, case))
    print("| quantity | compared with | models | largest difference | tolerance | where |")
    print("|:--|:--|--:|--:|--:|:--|")
    for (quantity, reference), found in rows.items():
        worst, where = max(found)
        tolerance = TOLERANCE[quantity, reference]
        numbers = f"{len(found)} | {worst:.0e} | {tolerance:.0e}"
        print(f"| {quantity} | {reference} | {numbers} | `{where.replace('|', chr(92) + '|')}` |")


if __name__ == "__main__":
    main()
