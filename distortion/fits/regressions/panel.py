"""Panel regressions by linearmodels: effects of entities and times taken out, or random.

    y_it = x_it'β + α_i + τ_t + u_it

effects      what is done with α and τ                                   estimator
entity       α fixed: only variation within an entity counts             within
time         τ fixed                                                     within
both         α and τ fixed                                               within
random       α random, uncorrelated with x: quasi-demeaning              random effects

Small samples: variances have the factor n/(n − p − effects), clustered ones also G/(G − 1) ·
(n − 1)/n; effects nested in the clusters are not counted (Wooldridge 2010, section 10.5;
linearmodels `debiased`, `group_debias`, `auto_df`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.fits.formulas.formula import parse
from distortion.fits.formulas.modelframe import model_frame
from distortion.fits.regressions.clusters import (
    Cluster,
    cluster_columns,
    clusterings,
    combined_codes,
    count_notes,
)
from distortion.fits.regressions.covariances import described, possible
from distortion.fits.regressions.leastsquares import (
    Arrays,
    checked_response,
    gather,
    unit_columns,
)
from distortion.fits.regressions.paneldesign import PanelDesign, panel_design
from distortion.fits.regressions.panelindex import (
    EFFECTS,
    LINEARMODELS,
    Effects,
    Panel,
    PanelCovariance,
    coarser_clusters,
    count_effects,
    time_codes,
)
from distortion.fits.regressions.regression import refuse_mixed
from distortion.fits.regressions.within import demeaned
from distortion.fits.results.model import Model, NewLevels, Residuals
from distortion.fits.results.result import Fit
from distortion.frames import to_pandas, to_polars

if TYPE_CHECKING:
    from distortion.fits.formulas.modelframe import ModelFrame

Values = NDArray[np.float64]


@dataclass(frozen=True)
class PanelModel(Model):
    """A panel regression; its effects are known for the rows fitted only."""

    label: str
    frame: "ModelFrame"
    panel: Panel
    fitted: Values
    df_tests: float

    def test_df(self, L: Values) -> float:
        """Degrees of freedom of the residuals or of the clusters, whatever is tested."""
        return self.df_tests

    def predict(
        self, table: Any = None, *, random: bool = True, new_levels: NewLevels = "error"
    ) -> Values:
        """Fitted values (n,), effects included."""
        if table is not None:
            raise FitError(
                "A panel regression predicts only the rows that it was fitted to, because the "
                "effects are not part of its coefficients. fit_lmm predicts new rows."
            )
        return self.fitted

    def residuals(self, kind: Residuals) -> Values:
        """Response minus fitted values (n,)."""
        if kind != "response":
            raise FitError("A panel regression has residuals of kind 'response'.")
        return np.concatenate([chunk.y for chunk in self.frame.chunks()]) - self.fitted

    def refit(self, y: Values) -> Fit:
        """The same panel with another response (n,)."""
        arrays = gather(self.frame)
        y = checked_response(y, self.frame)
        observed = np.concatenate([chunk.y for chunk in self.frame.chunks()])
        return _estimate(
            self.frame, Arrays(y - observed + arrays.y, arrays.X, arrays.weights), self.panel
        )


def fit_panel(
    formula: str,
    table: Any,
    *,
    entity: str | Sequence[str],
    time: str | None = None,
    effects: Effects = "entity",
    cluster: Cluster = None,
    covariance: PanelCovariance | None = None,
    weights: str | None = None,
    levels: Mapping[str, Sequence[Any]] | None = None,
    conf_level: float = 0.95,
) -> Fit:
    """Fit a panel regression.

    Parameters
    ----------
    formula : `"y ~ x + x:z"`; the effects stand in for its intercept
    table : polars or pandas frame
    entity : column, or columns whose combinations are the entities
    time : numeric column or date; needed for effects of time
    effects : "entity", "time", "both" or "random"
    cluster : as in `fit_ols`; by default the entities
    covariance : "nonrobust" or "HC1" instead of clustered errors
    weights, levels, conf_level : as in `fit_ols`

    Raises
    ------
    FitError
        The effects absorb a column, the time is not numeric or occurs twice in an entity, there
        are fewer than two clusters, or the table does not fit the formula.
    """
    parsed = parse(formula)
    refuse_mixed(parsed, "fit_panel")
    if effects not in EFFECTS:
        raise FitError(f"{effects!r} are no effects. Known: {', '.join(EFFECTS)}.")
    if time is None and effects in ("time", "both"):
        raise FitError(f'effects="{effects}" needs the column of times: time="log2_ratio".')
    if cluster is not None and covariance is not None:
        raise FitError(f"Give cluster= or covariance={covariance!r}, not both.")
    if covariance is not None and covariance not in LINEARMODELS:
        raise FitError(f"{covariance!r} is no covariance of a panel. Known: nonrobust, HC1.")
    source = to_polars(table)
    entities = [entity] if isinstance(entity, str) else list(entity)
    name = ":".join(entities)
    known = source.collect_schema().names()
    asked = cluster_columns(cluster, known)
    ways = asked or ([] if covariance else [(name, tuple(entities))])
    need = [*entities, *([time] if time else []), *(c for _, columns in ways for c in columns)]
    frame = model_frame(
        parsed, source, weights=weights, levels=levels, need=list(dict.fromkeys(need))
    )
    codes = combined_codes(frame.columns(*entities))[0]
    clusters = clusterings(frame, ways)
    default = not asked and covariance is None and len(entities) > 1
    panel = Panel(
        effects,
        name,
        time,
        codes,
        time_codes(frame, name, codes, time),
        covariance or "nonrobust",
        clusters,
        conf_level,
        coarser_clusters(frame, entities[0], clusters[0]) if default else (),
    )
    return _estimate(frame, gather(frame), panel)


def _estimate(frame: "ModelFrame", arrays: Arrays, panel: Panel) -> Fit:
    design = panel_design(frame, arrays, panel)
    data, made, kept = design.data, design.made, design.kept
    n, p = data.X.shape
    fixed = panel.effects != "random"
    effects = count_effects(panel, n, p)
    X, lengths = unit_columns(data.X)
    result = _linearmodels(Arrays(data.y, X, data.weights), panel)
    ways = panel.clusters
    described_as = described(ways, panel.covariance)
    covariance, repaired = possible(np.asarray(result.cov), described_as)
    df = float(min(way.size for way in ways) - 1) if ways else float(n - p - effects)
    scaled = np.asarray(result.params)
    beta, covariance = made.restored(
        kept, scaled / lengths, covariance / np.outer(lengths, lengths)
    )
    rest = data.y - X @ scaled
    weights = np.ones(n) if data.weights is None else data.weights
    squares = float(weights @ rest**2)
    loglik = -n / 2 * (np.log(2 * np.pi * squares / n) + 1) + np.log(weights).sum() / 2
    loglik -= n * np.log(made.y_unit)
    observed = np.concatenate([chunk.y for chunk in frame.chunks()])
    label = "a panel regression"
    more = count_notes(ways) + repaired + panel.small_sample + list(panel.advice)
    return Fit(
        kind="panel",
        formula=frame.formula.text,
        estimator="within" if fixed else "random effects",
        df_method="clusters" if ways else "residual",
        covariance_type=described_as,
        names=design.names,
        coefficients=beta,
        covariance=covariance,
        df=np.full(p, df),
        model=PanelModel(label, frame, panel, observed - rest * made.y_unit, df),
        loglik=float(loglik) if fixed else np.nan,
        n_parameters=p + effects + 1,
        n_obs=n,
        sigma=float(np.sqrt(squares / (n - p - effects))) * made.y_unit if fixed else None,
        variances=None if fixed else _variances(result, panel, made.y_unit),
        groups=panel.sizes,
        notes=(*design.notes, *more),
        conf_level=panel.conf_level,
        r_squared=_explained(result, design, scaled / lengths, panel),
    )


def _linearmodels(arrays: Arrays, panel: Panel) -> Any:
    from linearmodels.panel import PanelOLS, RandomEffects

    index = {"entity": panel.entity_codes, "time": panel.time_codes}
    columns = {f"x{j}": column for j, column in enumerate(arrays.X.T)}
    indexed = to_pandas(pl.DataFrame({**index, "y": arrays.y, **columns})).set_index(list(index))
    options: dict[str, Any] = {"cov_type": LINEARMODELS[panel.covariance]}
    if panel.clusters:
        codes = {f"c{i}": way.codes for i, way in enumerate(panel.clusters)}
        clusters = to_pandas(pl.DataFrame({**index, **codes})).set_index(list(index))
        options = {"cov_type": "clustered", "clusters": clusters, "group_debias": True}
    given: dict[str, Any] = {}
    if arrays.weights is not None:
        weights = to_pandas(pl.DataFrame({**index, "w": arrays.weights}))
        given["weights"] = weights.set_index(list(index))
    if panel.effects == "random":
        random = RandomEffects(indexed[["y"]], indexed[list(columns)], **given)
        return random.fit(debiased=True, **options)
    model = PanelOLS(
        indexed[["y"]],
        indexed[list(columns)],
        entity_effects=panel.effects != "time",
        time_effects=panel.effects != "entity",
        check_rank=False,
        **given,
    )
    return model.fit(debiased=True, auto_df=True, **options)


def _explained(result: Any, design: PanelDesign, beta: Values, panel: Panel) -> dict[str, float]:
    """R² within; those between and overall only where the level of entities is fitted too."""
    if panel.effects == "random":
        shares = {name: f"rsquared_{name}" for name in ("within", "between", "overall")}
        return {f"R² {name}": float(getattr(result, attr)) for name, attr in shares.items()}
    made, weights = design.made, design.data.weights
    both = np.column_stack([made.y, made.y - made.X[:, design.kept] @ beta])
    by_entity = demeaned(both, [panel.entity_codes], weights)
    total, left = (np.ones(len(both)) if weights is None else weights) @ by_entity**2
    return {"R² within": float(1 - left / total)} if total > 0 else {}


def _variances(result: Any, panel: Panel, unit: float) -> pl.DataFrame:
    parts = result.variance_decomposition
    variance = [float(parts[name]) * unit**2 for name in ("Effects", "Residual")]
    return pl.DataFrame(
        {
            "group": [panel.entity, "Residual"],
            "term": ["Intercept", None],
            "variance": variance,
            "sd": np.sqrt(variance),
            "correlation": pl.Series([None, None], dtype=pl.Float64),
        }
    )
