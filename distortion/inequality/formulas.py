"""Formulas of inequality between classes: paired counts (..., C) in, one value (...) per network.

symbol      name here                 formula                                  source
R, A                                  k / n; Σ k / Σ n (pooled)                Good
B, B̄        balances                  R − A; (R − A) / A                       Good
α           alpha                     Σ B̄ B̄_t / Σ B̄²                           Good
κ           kappa                     √(Σ B̄_t² / Σ B̄²)                         α = ρ κ
ρ           rho                       Σ B̄ B̄_t / √(Σ B̄² Σ B̄_t²)                α = ρ κ
            worst                     min R
            recall_range              max R − min R
            recall_sd                 √(Σ (R − mean R)² / C), divisor C
G           gini                      Σᵢ Σⱼ |Rᵢ − Rⱼ| / (2 C² mean R)           Gini (1912)
            forgotten                 Σ (k_0 − k_0t) / Σ n
            gained                    Σ (k_t − k_0t) / Σ n
ψ           excess_gaps               (R − A) − (R_t − A_t), (..., C)          Hashemizadeh
FNR, FPR                              1 − R; (m − k) / (Σ n − n)               Blakeney
ΔFNR, ΔFPR                            100 (FNR_t − FNR) / FNR; likewise        Blakeney
CEV         combined_error_variance   ½ mean |Δ − mean Δ|², Δ = (ΔFPR, ΔFNR)   Blakeney
SDE         symmetric_distance_error  mean |ΔFPR − ΔFNR| / √2                  Blakeney

n images of a class, k those predicted correctly, k_0t those correct before and after, m images
predicted as the class; no subscript means the dense parent, t the network itself. Sums and means
run over the C classes. Shares lie between 0 and 1; CEV is in squared per cent, SDE in per cent.

Sources: Good et al. (2022), sections 3 and 5; κ and ρ split what their α mixes. Hashemizadeh et al.
(2024), Balancing Act, whose groups are classes here. Blakeney et al. (2021), Simon Says, with the
factor ½ and the √2 of the authors' code; theirs compares several networks with one dense teacher,
here each is compared with its own parent. Pruning-identified exemplars (PIE, Hooker et al. 2019)
are single images on which populations of networks disagree: counts do not tell which, so they take
stored predictions (`distortion.inequality.exemplars`).

On an unbalanced test set A is the mean of recalls weighted by class size, while worst, range,
SD and Gini weight classes equally; Σ B̄ is then not 0, so α, κ and ρ are no longer about the mean.
Undefined values are NaN.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distortion.counts import accuracies, balances
from distortion.resampling.images import Pairs

Values = NDArray[np.float64]


def alpha(pairs: Pairs) -> Values:
    """The slope through the origin; NaN where all dense recalls are equal."""
    x, y = _balances(pairs)
    return _ratio((x * y).sum(axis=-1), (x * x).sum(axis=-1))


def kappa(pairs: Pairs) -> Values:
    """The ratio of spreads; NaN where all dense recalls are equal."""
    x, y = _balances(pairs)
    return np.sqrt(_ratio((y * y).sum(axis=-1), (x * x).sum(axis=-1)))


def rho(pairs: Pairs) -> Values:
    """The uncentred correlation; NaN where either side has equal recalls."""
    x, y = _balances(pairs)
    squares = (x * x).sum(axis=-1) * (y * y).sum(axis=-1)
    return _ratio((x * y).sum(axis=-1), np.sqrt(squares))


def worst(recall: Values) -> Values:
    """The recall of the worst class."""
    return np.asarray(recall.min(axis=-1))


def recall_range(recall: Values) -> Values:
    """The distance between the best and the worst class."""
    return np.asarray(recall.max(axis=-1) - recall.min(axis=-1))


def recall_sd(recall: Values) -> Values:
    """The SD of recalls over classes, divisor C: classes are all there are, not a sample."""
    return np.asarray(recall.std(axis=-1))


def gini(recall: Values) -> Values:
    """The Gini coefficient of recalls, at most 1 − 1 / C; NaN where all are 0."""
    classes = recall.shape[-1]
    # In order, each recall is larger than those before it: the double sum in one pass.
    rank = 2 * np.arange(1, classes + 1) - classes - 1
    ordered = np.sort(recall, axis=-1)
    return _ratio((rank * ordered).sum(axis=-1), classes * ordered.sum(axis=-1))


def forgotten(pairs: Pairs) -> Values:
    """The share of all images that only the dense parent gets right; NaN without `kept`."""
    return _moved(pairs.dense, pairs)


def gained(pairs: Pairs) -> Values:
    """The share of all images that only the network itself gets right; NaN without `kept`."""
    return _moved(pairs.correct, pairs)


def excess_gaps(pairs: Pairs) -> Values:
    """Balancing Act's excess accuracy gap of each class, (..., C): B − B_t, not normalized."""
    lost = accuracies(pairs.dense, pairs.n) - accuracies(pairs.correct, pairs.n)
    return np.asarray((pairs.dense - pairs.correct) / pairs.n - lost[..., None])


def combined_error_variance(pairs: Pairs) -> Values:
    """CEV; NaN without predictions, or where an error rate of the dense parent is 0."""
    change = _error_changes(pairs)
    return np.asarray(change.var(axis=-1).mean(axis=0))


def symmetric_distance_error(pairs: Pairs) -> Values:
    """SDE; NaN without predictions, or where an error rate of the dense parent is 0."""
    false_positives, false_negatives = _error_changes(pairs)
    distance = np.abs(false_positives - false_negatives)
    return np.asarray(distance.mean(axis=-1) / np.sqrt(2))


def _balances(pairs: Pairs) -> tuple[Values, Values]:
    return balances(pairs.dense, pairs.n), balances(pairs.correct, pairs.n)


def _moved(correct: NDArray[Any], pairs: Pairs) -> Values:
    if pairs.kept is None:
        return np.full(pairs.n.shape[:-1], np.nan)
    return np.asarray((correct - pairs.kept).sum(axis=-1) / pairs.n.sum(axis=-1))


def _error_changes(pairs: Pairs) -> Values:
    """ΔFPR and ΔFNR (2, ..., C) in per cent."""
    if pairs.predicted_dense is None or pairs.predicted is None:
        return np.full((2, *pairs.n.shape), np.nan)
    others = pairs.n.sum(axis=-1, keepdims=True) - pairs.n
    before = [(pairs.predicted_dense - pairs.dense) / others, 1 - pairs.dense / pairs.n]
    after = [(pairs.predicted - pairs.correct) / others, 1 - pairs.correct / pairs.n]
    return 100 * _ratio(np.stack(after) - np.stack(before), np.stack(before))


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Values:
    """The quotient, NaN where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(denominator != 0, numerator / denominator, np.nan))
