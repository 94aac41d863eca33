"""Generalised linear mixed models: `fit_glmm`."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from distortion.errors import FitError, did_you_mean
from distortion.fits.formulas.formula import parse
from distortion.fits.formulas.modelframe import ModelFrame, model_frame
from distortion.fits.laplace.design import Design, make_design
from distortion.fits.laplace.deviance import Problem
from distortion.fits.laplace.estimation import Estimate, estimate, parts
from distortion.fits.laplace.families import find_family
from distortion.fits.laplace.family import Family
from distortion.fits.laplace.rowwise import RowEffect
from distortion.fits.laplace.separation import Separation, find_separation, nearly_certain
from distortion.fits.laplace.structure import Structure
from distortion.fits.laplace.weighting import Weighting
from distortion.fits.mixed.template import Template
from distortion.fits.mixed.threads import single_thread
from distortion.fits.models.countdata import check_counts, check_levels, check_offset
from distortion.fits.models.generalized import GeneralizedLinearMixedModel
from distortion.fits.models.glmmresult import result
from distortion.fits.results.result import Fit

METHODS = ("laplace", "quadrature")
MOST_NODES = 100


def fit_glmm(
    formula: str,
    table: Any,
    *,
    family: str = "binomial",
    link: str | None = None,
    method: Literal["laplace", "quadrature"] = "laplace",
    n_quadrature: int = 1,
    weights: str | None = None,
    levels: Mapping[str, Sequence[Any]] | None = None,
    test_dispersion: bool = True,
    conf_level: float = 0.95,
) -> Fit:
    """Fit a generalised linear mixed model as lme4's `glmer` does.

    Parameters
    ----------
    formula : lme4's language; the response is `correct/n` for successes out of trials, one column
        of 0 and 1 or of booleans, or a count. `(1 | row)` with one level for each row is a random
        effect of every observation, for overdispersed counts; `offset(log(e))` holds an exposure
    table : polars DataFrame or LazyFrame, or pandas DataFrame
    family : "binomial", "poisson" or "beta-binomial"
    link : "logit", "probit" or "cloglog"; "log" for Poisson. By default the first of them
    method : "laplace", or "quadrature" for adaptive Gauss–Hermite, of one scalar random term
    n_quadrature : nodes of the quadrature; Laplace's approximation is one node
    weights : column of prior weights, which multiply the log-likelihood of a row. Trials are not
        weights
    levels : order of the levels of categorical columns, the reference first
    test_dispersion : whether to test for overdispersion, for a note; it can take another fit
    conf_level : of the intervals in `Fit.estimates`

    Returns
    -------
    `Fit` with Wald tests. `criterion` is −2 log-likelihood with all constants. Covariances are
    those of the Hessian in all parameters, as in glmer.

    Raises
    ------
    FitError
        The formula cannot be read, the counts cannot be drawn from the family, fixed effects
        separate successes from failures, or what `modelframe.model_frame` refuses.

    Notes
    -----
    Laplace's approximation at the mode found by penalised iteratively reweighted least squares:
    Bates et al. (2015), J. Stat. Softw. 67(1); quadrature: Pinheiro and Chao (2006). See
    `distortion.fits.laplace`.
    """
    _check_method(method, n_quadrature)
    chosen = find_family(family, link)
    parsed = parse(formula)
    if not parsed.random:
        raise FitError(
            f"{formula!r} has no random term such as (1 | network). Add one; statsmodels.api.GLM "
            "fits models without."
        )
    frame = model_frame(parsed, table, weights=weights, levels=levels, observation_level_ok=True)
    with single_thread():
        structure, problem = _problem(frame, chosen)
        _check_quadrature(structure, problem, n_quadrature)
        found = _estimated(frame, problem, n_quadrature)
        model = GeneralizedLinearMixedModel(
            frame=frame,
            structure=structure,
            estimate=found,
            n_quadrature=n_quadrature,
            conf_level=conf_level,
        )
        return result(model, test_dispersion=test_dispersion)


def _check_method(method: str, n_quadrature: int) -> None:
    if method not in METHODS:
        raise FitError(f"method is {method!r}. {did_you_mean(str(method), METHODS)}")
    if isinstance(n_quadrature, bool) or not isinstance(n_quadrature, int | np.integer):
        raise FitError(f"n_quadrature is a whole number of nodes, not {n_quadrature!r}.")
    if not 1 <= n_quadrature <= MOST_NODES:
        raise FitError(f"n_quadrature lies between 1 and {MOST_NODES}, not at {n_quadrature}.")
    if (method == "laplace") != (n_quadrature == 1):
        raise FitError(
            f"method={method!r} and n_quadrature={n_quadrature} contradict each other: Laplace's "
            'approximation is one node; write method="quadrature", n_quadrature=9 for more.'
        )


def _check_quadrature(structure: Structure, problem: Problem, n_quadrature: int) -> None:
    shapes = problem.weighting.design.shapes
    if n_quadrature > 1 and (structure.row is not None or len(shapes) > 1 or shapes[0][1] > 1):
        raise FitError(
            "Quadrature integrates over one random coefficient per level: it needs one term such "
            'as (1 | g). Use method="laplace".'
        )


def _problem(frame: ModelFrame, family: Family) -> tuple[Structure, Problem]:
    """Return the structure of the random effects, and the problem; refuse what has no solution."""
    shapes = [(g.levels.height, len(g.covariates)) for g in frame.groupings]
    whole = make_design(frame.chunks(), shapes)
    check_counts(whole.counts, family, frame)
    check_offset(whole.offset, family)
    check_levels(whole.counts, family, frame.groupings, whole.codes)
    if whole.n <= whole.p:
        raise FitError(f"{whole.n} rows cannot estimate {whole.p} fixed effects. Leave out terms.")
    structure = Structure.of(whole)
    if structure.row is not None:
        if family.shaped:
            raise FitError(
                f"A {family.name} model has a dispersion of its own beside the random effect of "
                f"every row, {frame.groupings[structure.row].name}: keep one of the two."
            )
        family = RowEffect(family)
    design = whole.keeping(structure.kept)
    template = Template(tuple(frame.groupings[k].free for k in structure.kept))
    names = tuple(frame.groupings[k].name for k in structure.kept)
    return structure, Problem(Weighting.of(design, names), family, template)


def _estimated(frame: ModelFrame, problem: Problem, n_quadrature: int) -> Estimate:
    """Return the estimate; where it fails or looks suspicious, look for separation first."""
    design = problem.weighting.design
    try:
        found = estimate(problem, n_quadrature)
    except FitError:
        _refuse_separation(frame, problem)
        raise
    eta = design.fixed(parts(found.evaluation)[1])
    if not found.converged or nearly_certain(eta, problem.family.link):
        _refuse_separation(frame, problem)
    return found


def _refuse_separation(frame: ModelFrame, problem: Problem) -> None:
    design = problem.weighting.design
    x = _columns(frame, design)
    limited = problem.family.name != "poisson"
    found = find_separation(x, design.counts, limited)
    if found is None:
        return
    names = np.array(frame.fixed_names)[design.basis.kept]
    raise FitError(_separated(found, [str(name) for name in names], limited))


def _columns(frame: ModelFrame, design: Design) -> np.ndarray:
    """Return the columns of X that are estimated, (n, p)."""
    parts_of_x = [chunk.X[:, design.basis.kept] for chunk in frame.chunks()]
    return np.concatenate(parts_of_x)


def _separated(found: Separation, names: list[str], limited: bool) -> str:
    involved = [names[i] for i in found.columns]
    without = [name for name in involved if name != "Intercept"] or involved
    n_rows = int(found.rows.sum())
    complete = "Complete" if bool(found.rows.all()) else "Quasi-complete"
    what = "successes from failures" if limited else "counts from zeros"
    who = without[0] if len(without) == 1 else f"a combination of {', '.join(without)}"
    return (
        f"{complete} separation: {who} tells {what} without error in {n_rows} row(s), so its "
        f"coefficient{'s have' if len(without) > 1 else ' has'} no finite estimate. Merge levels "
        f"of it, leave it out, or collect rows with both outcomes."
    )
