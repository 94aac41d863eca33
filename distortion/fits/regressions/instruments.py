"""Instrumental-variable regressions by linearmodels: two-stage least squares and LIML.

    y = X1 β1 + Y β2 + u,  Y = X1 Π1 + Z Π2 + V        Y correlated with u, X1 and Z not

symbol   here          size      meaning
X1       exogenous     (n, k1)   exogenous columns, the intercept among them
Y        endogenous    (n, k2)   columns whose coefficients need instruments
Z        instruments   (n, k3)   columns left out of the equation for y, k3 ≥ k2

Small samples: variances have the factor n/(n − k1 − k2), clustered ones G/(G − 1) ·
(n − 1)/(n − k1 − k2) (linearmodels `debiased`); t tests have n − k1 − k2 or G − 1 df.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.fits.formulas.modelframe import model_frame
from distortion.fits.regressions.clusters import Cluster, cluster_columns, clusterings, count_notes
from distortion.fits.regressions.covariances import described, possible, small_sample_note
from distortion.fits.regressions.firststage import (
    FIRST_STAGE,
    WEAK,
    IvData,
    IvSettings,
    diagnostics,
)
from distortion.fits.regressions.ivformula import IvFormula, parse_iv
from distortion.fits.regressions.leastsquares import (
    Arrays,
    LeastSquaresModel,
    checked_response,
    dependent_columns,
    dropped_notes,
    gather,
    unit_columns,
)
from distortion.fits.regressions.regression import refuse_mixed
from distortion.fits.regressions.standard import standardised
from distortion.fits.results.result import Fit
from distortion.frames import to_polars

if TYPE_CHECKING:
    from distortion.fits.formulas.modelframe import ModelFrame

Values = NDArray[np.float64]
IvMethod = Literal["2sls", "liml"]
IvCovariance = Literal["nonrobust", "HC1"]
UNCLUSTERED: Final = (
    "The table has a column network, by which errors are not clustered. Errors of one network are "
    'usually dependent: cluster="network" allows for it.'
)
METHODS: Final = {"2sls": "2SLS", "liml": "LIML"}
LINEARMODELS: Final = {"nonrobust": "unadjusted", "HC1": "robust"}


@dataclass(frozen=True)
class IvModel(LeastSquaresModel):
    """The equation for y; its errors are correlated with the endogenous columns."""

    formula: IvFormula
    settings: IvSettings
    method: IvMethod

    @property
    def outside_terms(self) -> tuple[str, ...]:
        """The instruments."""
        return self.formula.instruments

    def refit(self, y: Values) -> Fit:
        """The same equation with another response (n,)."""
        y = checked_response(y, self.frame)
        return _estimate(self.frame, self.formula, self.settings, self.method, y)


def fit_iv(
    formula: str,
    table: Any,
    *,
    method: IvMethod = "2sls",
    cluster: Cluster = None,
    covariance: IvCovariance | None = None,
    weights: str | None = None,
    levels: Mapping[str, Sequence[Any]] | None = None,
    conf_level: float = 0.95,
) -> Fit:
    """Fit a regression with endogenous columns and instruments.

    Parameters
    ----------
    formula : `"y ~ x + [e ~ z1 + z2]"`: e endogenous, z1 and z2 its instruments, x exogenous
    table : polars or pandas frame
    method : "2sls", or "liml", which weak instruments bias less
    cluster, weights, levels, conf_level : as in `fit_ols`
    covariance : "HC1" unless clustered, or "nonrobust"

    Returns
    -------
    A fit whose `diagnostics` hold the first-stage F of every endogenous column, the test that they
    are exogenous, and that of the overidentifying restrictions where there are any.

    Raises
    ------
    FitError
        The formula names no instruments or fewer than endogenous columns, an endogenous column is
        a combination of others, or the table does not fit the formula.
    """
    parsed = parse_iv(formula)
    refuse_mixed(parsed.joint, "fit_iv")
    if method not in METHODS:
        raise FitError(f"{method!r} is no method. Known: {', '.join(METHODS)}.")
    if cluster is not None and covariance is not None:
        raise FitError(f"Give cluster= or covariance={covariance!r}, not both.")
    if covariance is not None and covariance not in LINEARMODELS:
        raise FitError(f"{covariance!r} is no covariance here. Known: nonrobust, HC1.")
    source = to_polars(table)
    known = source.collect_schema().names()
    ways = cluster_columns(cluster, known)
    need = [column for _, columns in ways for column in columns]
    frame = model_frame(parsed.joint, source, weights=weights, levels=levels, need=need)
    advice = (
        () if ("network",) in [w[1] for w in ways] or "network" not in known else (UNCLUSTERED,)
    )
    settings = IvSettings(covariance or "HC1", clusterings(frame, ways), conf_level, advice)
    return _estimate(frame, parsed, settings, method, None)


def split_columns(frame: "ModelFrame", formula: IvFormula) -> list[list[int]]:
    """Columns of the frame that are exogenous, endogenous and instruments."""
    parts: list[list[int]] = [[], [], []]
    for name, columns in frame.terms:
        which = 1 if name in formula.endogenous else 2 if name in formula.instruments else 0
        parts[which].extend(range(columns.start, columns.stop))
    return parts


def _estimate(
    frame: "ModelFrame",
    formula: IvFormula,
    settings: IvSettings,
    method: IvMethod,
    y: Values | None,
) -> Fit:
    arrays = gather(frame)
    if y is not None:
        observed = np.concatenate([chunk.y for chunk in frame.chunks()])
        arrays = replace(arrays, y=arrays.y + y - observed)
    names = frame.fixed_names
    made = standardised(arrays.y, arrays.X, arrays.weights, names, frame.formula.response)
    raw, plain = arrays.weighted(), Arrays(made.y, made.X, arrays.weights).weighted()
    total = float(len(arrays.y) if arrays.weights is None else arrays.weights.sum())
    noise = made.noise * np.sqrt(total)
    exogenous, endogenous, instruments = split_columns(frame, formula)
    Z = [*exogenous, *instruments]
    dependent = dependent_columns(plain.X[:, Z], [names[j] for j in Z], noise[Z], raw.X[:, Z])
    notes = [*frame.notes, *dropped_notes(dependent)]
    exogenous, instruments = (
        [j for j in part if names[j] not in dependent] for part in (exogenous, instruments)
    )
    _check_identified(plain.X, raw.X, noise, names, (exogenous, endogenous, instruments))
    columns = [*exogenous, *endogenous]
    X, lengths = unit_columns(plain.X)
    data = IvData(plain.y, X[:, exogenous], X[:, endogenous], X[:, instruments])
    n, k = len(plain.y), len(columns)
    if n <= len(exogenous) + len(instruments):
        raise FitError(f"{n:,} rows for {len(exogenous) + len(instruments)} columns are too few.")
    kept = tuple(names[j] for j in columns)
    result = _linearmodels(data, settings, method)
    ways = settings.clusters
    name = described(ways, settings.covariance)
    covariance, repaired = possible(np.asarray(result.cov), name)
    df = float(min(way.size for way in ways) - 1) if ways else float(n - k)
    scaled, units = np.asarray(result.params), lengths[columns]
    beta, covariance = made.restored(columns, scaled / units, covariance / np.outer(units, units))
    rest = data.y - np.hstack([data.exogenous, data.endogenous]) @ scaled
    tests = diagnostics(data, settings, [names[j] for j in endogenous], result, rest)
    if ways:
        notes += [small_sample_note(ways), *count_notes(ways)]
    return Fit(
        kind="iv",
        formula=formula.text,
        estimator=METHODS[method],
        df_method="clusters" if ways else "residual",
        covariance_type=name,
        names=kept,
        coefficients=beta,
        covariance=covariance,
        df=np.full(k, df),
        model=IvModel(
            "an instrumental-variable regression",
            frame,
            tuple(columns),
            beta,
            df,
            formula,
            settings,
            method,
        ),
        loglik=np.nan,
        n_parameters=k + 1,
        n_obs=n,
        sigma=float(np.sqrt(rest @ rest / (n - k))) * made.y_unit,
        groups={way.name: way.size for way in ways},
        notes=(*notes, *repaired, *settings.advice, *_weak(tests, method)),
        conf_level=settings.conf_level,
        diagnostics=tests,
    )


def _check_identified(
    X: Values, raw: Values, noise: Values, names: Sequence[str], parts: Sequence[list[int]]
) -> None:
    exogenous, endogenous, instruments = parts
    shown = [names[j] for j in endogenous]
    if len(instruments) < len(endogenous):
        raise FitError(
            f"{len(endogenous)} endogenous column(s) ({', '.join(shown)}) need as many "
            f"instruments; there are {len(instruments)} "
            f"({', '.join(names[j] for j in instruments) or 'none'})."
        )
    right = [*exogenous, *endogenous]
    shown_right = [names[j] for j in right]
    found = dependent_columns(X[:, right], shown_right, noise[right], raw[:, right])
    if found:
        name, others = next(iter(found.items()))
        raise FitError(
            f"The endogenous {name} is a combination of {', '.join(others) or 'nothing'}: leave "
            "one of them out."
        )
    Z = X[:, [*exogenous, *instruments]]
    scale = np.linalg.norm(Z, axis=0)
    products = Z.T @ Z / np.outer(scale, scale)
    fitted = Z @ (np.linalg.solve(products, (Z.T @ X[:, right]) / scale[:, None]) / scale[:, None])
    if unseen := dependent_columns(fitted, shown_right, noise[right]):
        raise FitError(
            f"The instruments say nothing about {', '.join(unseen)} beyond what the other columns "
            "do: the coefficients are not identified. Other instruments are needed."
        )


def _linearmodels(data: IvData, settings: IvSettings, method: IvMethod) -> Any:
    from linearmodels.iv import IV2SLS, IVLIML

    exogenous = data.exogenous if data.exogenous.shape[1] else None
    model = {"2sls": IV2SLS, "liml": IVLIML}[method]
    options: dict[str, Any] = {"cov_type": LINEARMODELS[settings.covariance]}
    if settings.clusters:
        codes = np.column_stack([way.codes for way in settings.clusters])
        options = {"cov_type": "clustered", "clusters": codes}
    made = model(data.y, exogenous, data.endogenous, data.instruments)
    return made.fit(debiased=True, **options)


def _weak(tests: pl.DataFrame, method: IvMethod) -> list[str]:
    first = tests.filter(pl.col("test").str.starts_with(FIRST_STAGE))
    names = first.filter(pl.col("statistic") < WEAK)["test"].str.strip_prefix(FIRST_STAGE)
    if names.is_empty():
        return []
    advice = ' method="liml" leans less.' if method == "2sls" else ""
    return [
        f"Weak instruments: the first-stage F of {', '.join(names)} is below {WEAK:g} (Staiger & "
        "Stock 1997). Two-stage least squares leans towards OLS then, and its intervals are too "
        f"short.{advice}"
    ]
