"""The structural model of one context, fitted: γ of every arm with what stands beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan, sqrt
from typing import Any, Literal

import numpy as np
from scipy.special import stdtr, stdtrit

from distortion.counts import Counts
from distortion.errors import FitError
from distortion.fits.mixed.threads import single_thread
from distortion.fits.mixed.types import Array
from distortion.fits.results.arguments import choice
from distortion.structural.alignment import aligned
from distortion.structural.departures import departures
from distortion.structural.optimum import Optimum, maximise
from distortion.structural.parameters import Parameters
from distortion.structural.profile import Contrast

Inheritance = Literal["free"] | float
Interval = Literal["profile", "wald"]
INTERVALS = ("profile", "wald")
# Networks below which φ is taken to be 1.
FEWEST_FREE = 3


@dataclass(frozen=True, slots=True)
class Inference:
    """An estimate with its test and interval; `note` is empty, or says what went wrong."""

    estimate: float
    std_error: float
    df: float
    statistic: float
    p_value: float
    conf_low: float
    conf_high: float
    note: str = ""


@dataclass(frozen=True, eq=False)
class StructuralFit:
    """Maximum likelihood, by Laplace's approximation, of the structural model.

    Attributes
    ----------
    conditions : (J,) the CONDITION columns of every arm
    seeds : (M,) networks
    classes : C
    gamma, phi, sigma_w : (J,) on the logit scale; NaN where not defined
    sigma_v, tau : SD over networks and over classes, in logits
    std_errors : of `gamma`, `phi`, `sigma_w` (J,), `sigma_v`, `tau`; from the observed information;
        NaN where an SD is at zero or a value is fixed
    covariance : (J, J) of γ, from the observed information
    departure : (J,) SD, in logits, by which classes leave μ + γ u alike in all networks
    departs : (J,) p-value of that SD being zero
    log_likelihood : with all constants
    converged : whether the gradient vanishes at a maximum
    notes : what was left out, fixed, or is not defined
    """

    conditions: tuple[Mapping[str, Any], ...]
    seeds: tuple[int, ...]
    classes: int
    gamma: Array
    phi: Array
    sigma_w: Array
    sigma_v: float
    tau: float
    std_errors: Mapping[str, Any]
    covariance: Array
    departure: Array
    departs: Array
    log_likelihood: float
    converged: bool
    notes: tuple[str, ...]
    optimum: Optimum = field(repr=False)

    @property
    def widening(self) -> float:
        """√(C / (C − 1)), by which intervals are wider than those of the likelihood.

        The free level μ of each network and arm takes one of its C degrees of freedom, which
        maximum likelihood does not count (Neyman and Scott, 1948, Econometrica 16, 1).
        """
        return sqrt(self.classes / (self.classes - 1))

    @property
    def df(self) -> float:
        """Degrees of freedom of what varies between networks, (M − 1)(C − 1)."""
        return float((len(self.seeds) - 1) * (self.classes - 1))

    def test(
        self,
        row: Sequence[float] | Array,
        null: float,
        level: float = 0.95,
        interval: Interval = "profile",
    ) -> Inference:
        """Test row'γ against `null`, two-sided, with an interval.

        Parameters
        ----------
        row : (J,) weights of the arms
        interval : "profile", from the likelihood ratio, or "wald", from `covariance`; statistic
            and p-value are of the same kind (the signed root of the ratio, or z)

        Returns
        -------
        Statistics are divided by `widening` and compared with t of `df`. An end of a profile
        interval is infinite where no value on that side is unlikely enough.

        Raises
        ------
        FitError
            If an argument is out of its range.
        """
        choice("interval", interval, INTERVALS)
        weights = np.asarray(row, dtype=np.float64)
        if weights.shape != self.gamma.shape or not weights.any():
            raise FitError(f"row has one weight per arm, {len(self.gamma)}, and not only zeros.")
        if not 0 < level < 1:
            raise FitError(f"level is a confidence between 0 and 1, such as 0.95, not {level}.")
        if not np.isfinite(self.gamma).all():
            return Inference(nan, nan, nan, nan, nan, nan, nan, "γ not defined")
        critical = -float(stdtrit(self.df, (1.0 - level) / 2.0))
        contrast = Contrast(self.optimum, weights)
        std_error, note = contrast.std_error * self.widening, ""
        statistic = (contrast.estimate - null) / std_error
        half = critical * std_error
        ends = contrast.estimate - half, contrast.estimate + half
        if interval == "profile":
            try:
                with single_thread():
                    statistic = contrast.root(null) / self.widening
                    ends = contrast.interval(critical * self.widening)
            except FitError:
                note = "profile not found: Wald's interval and test"
        p_value = 2.0 * float(stdtr(self.df, -abs(statistic)))
        return Inference(contrast.estimate, std_error, self.df, statistic, p_value, *ends, note)


def fit_structural(found: Sequence[Counts], *, inheritance: Inheritance = "free") -> StructuralFit:
    """Fit the structural model to the conditions of one context, with their dense networks.

    Parameters
    ----------
    found : conditions that share their networks, such as the control arm and all ratios of a
        method; one γ each
    inheritance : of deviations that a class has in one network: φ free for every arm, or fixed

    Returns
    -------
    γ = 1 means that the arm leaves all differences between classes, in logits, as they were.

    Raises
    ------
    DesignError
        If the conditions do not belong together, or fewer than two networks or classes are left.
    FitError
        If `inheritance` is neither "free" nor a number, or the likelihood cannot be evaluated.

    Notes
    -----
    The model of the package's table of symbols; see `distortion.structural`. k before and after
    count the same images, so given their probabilities they are positively dependent, and images
    that all networks find easy or hard make counts less variable between networks than binomial
    ones. The model ignores both. For new networks on the test images at hand it is conservative;
    for new images it is not, because what the images of a class have in common is not averaged
    over networks. `tests/structural/test_images.py` has figures. Nor has the model a term for what
    an arm does to a class in all networks alike beyond γ u: `departure` measures that, and γ then
    describes these classes, not others. φ is the loading on what the arms of a network share; an
    arm whose σ_w is far above σ_v can take it over.

    Source of the likelihood: `distortion.fits.laplace`. A structural relation with replicates:
    Fuller (1987), Measurement Error Models, chapter 1; on the logit scale as in Dixon (2008),
    J. Mem. Lang. 59, 447.
    """
    fixed = fixed_share(inheritance)
    successes, seeds, notes = aligned(found)
    arms, networks, classes = successes.k.shape
    if fixed is None and networks < FEWEST_FREE:
        fixed = 1.0
        notes += (f"φ taken to be 1: {networks} networks cannot tell it from the variances",)
    parameters = Parameters(arms - 1, networks, fixed)
    with single_thread():
        optimum = maximise(successes, parameters)
    return _described(found, seeds, classes, parameters, optimum, notes)


def fixed_share(inheritance: Inheritance) -> float | None:
    """The value at which φ is fixed, or None where it is free.

    Raises
    ------
    FitError
        If it is neither a number nor "free".
    """
    if inheritance == "free":
        return None
    if isinstance(inheritance, int | float) and isfinite(inheritance):
        return float(inheritance)
    raise FitError(f'inheritance is "free" or a number such as 1.0, not {inheritance!r}.')


def _described(
    found: Sequence[Counts],
    seeds: tuple[int, ...],
    classes: int,
    parameters: Parameters,
    optimum: Optimum,
    notes: tuple[str, ...],
) -> StructuralFit:
    point, covariance = optimum.evaluation.point, optimum.covariance
    arms = parameters.arms
    loadings = parameters.loadings(point)
    deviation = loadings.inherited[0]
    gamma, of_gamma = point[parameters.gamma], covariance[:arms, :arms]
    if optimum.criterion.parameters.products:
        gamma, of_gamma = np.full(arms, nan), np.full((arms, arms), nan)
        notes += ("no class differences between dense networks: γ not defined",)
    if parameters.fixed is not None:
        phi, of_phi = np.full(arms, parameters.fixed), np.full(arms, nan)
    elif deviation == 0.0:
        phi, of_phi = np.full(arms, nan), np.full(arms, nan)
        notes += ("σ_v at zero: φ not defined",)
    else:
        phi = loadings.inherited[1:] / deviation
        slopes = np.zeros((arms, len(covariance)))
        slopes[:, parameters.inherited] = np.column_stack([-phi, np.eye(arms)]) / deviation
        of_phi = np.sqrt(np.diagonal(slopes @ covariance @ slopes.T))
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(np.diagonal(covariance))
    errors = np.where(np.isin(np.arange(len(errors)), _at_zero(parameters, point)), nan, errors)
    if not optimum.converged:
        notes += ("the likelihood's maximum was not reached",)
    size, p_value = departures(optimum.criterion.successes, gamma)
    return StructuralFit(
        conditions=tuple(c.condition for c in found),
        seeds=seeds,
        classes=classes,
        gamma=gamma,
        phi=phi,
        sigma_w=loadings.fresh[1:],
        sigma_v=float(deviation),
        tau=float(point[parameters.tau]),
        std_errors={
            "gamma": np.sqrt(np.diagonal(of_gamma)),
            "phi": of_phi,
            "sigma_w": errors[parameters.fresh],
            "sigma_v": float(errors[parameters.inherited.start]),
            "tau": float(errors[parameters.tau]),
        },
        covariance=of_gamma,
        departure=size,
        departs=p_value,
        log_likelihood=-optimum.evaluation.value / 2.0,
        converged=optimum.converged,
        notes=notes,
        optimum=optimum,
    )


def _at_zero(parameters: Parameters, point: Array) -> Array:
    which = parameters.deviations
    return np.asarray(which[point[which] == 0.0])
