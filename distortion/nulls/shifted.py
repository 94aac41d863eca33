"""Dense recalls shifted to another accuracy: by one δ per network on the logit scale.

symbol  name here   size    meaning
p       recalls     (M, C)  dense recalls, strictly between 0 and 1
w       share       (M, C)  n / Σ n
q       shifted     (M, C)  expit(logit p + δ), with Σ w q = A
r                   (M, C)  q (1 − q), the slope of q on the logit scale
g                   (M, C)  r / (p (1 − p)), the slope of q on p at fixed δ
v       variance    (M, C)  p (1 − p) / (n − 1), of a recall over test images, unbiased
P                   (C, C)  I − 1w': recalls to balances

Image noise ε of p (variance v) reaches q through J = dq/dp = diag(g) − r (w∘g)' / w'r, which keeps
accuracy at A, so that P J = J. To first order it adds to the sums of products of balances

    (P p)'(P q):  Σ v_c g_c (1 − w_c r_c / w'r − w_c + w_c² Σ r / w'r)        = Σ v_c (P'J)_cc
    (P q)'(P q):  Σ v_c g_c² (1 − 2 w_c r_c / w'r + w_c² Σ r² / (w'r)²)       = Σ v_c (J'J)_cc
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from distortion.counts import Values


def inner_recalls(correct: NDArray[np.int64], n: NDArray[np.int64]) -> Values:
    """Recalls (M, C) whose logits are finite: 0 and 1 are moved inwards by half an image."""
    return np.asarray(np.clip(correct, 0.5, n - 0.5) / n)


def shifted_recalls(recalls: Values, n: NDArray[np.int64], accuracy: Values) -> Values:
    """Recalls (M, C) after the shift that brings pooled accuracy to `accuracy` (M,).

    δ is found by Newton's method, safeguarded by bisection. NaN for a network whose accuracy is
    not strictly between 0 and 1: no δ is finite.
    """
    reachable = (accuracy > 0) & (accuracy < 1)
    target = np.where(reachable, accuracy, 0.5)
    share, score = n / n.sum(axis=1, keepdims=True), logit(recalls)
    # If all classes were as the strongest (weakest), the shift to the target would be this.
    low, high = logit(target) - score.max(axis=1), logit(target) - score.min(axis=1)
    delta = np.clip(0.0, low, high)
    for _ in range(100):
        shifted = expit(score + delta[:, None])
        miss = (share * shifted).sum(axis=1) - target
        low, high = np.where(miss < 0, delta, low), np.where(miss > 0, delta, high)
        newton = delta - miss / (share * shifted * (1 - shifted)).sum(axis=1)
        step = np.where((newton > low) & (newton < high), newton, (low + high) / 2)
        step = np.where(miss == 0, delta, step)
        if (np.abs(step - delta) <= 1e-15 * (1 + np.abs(delta))).all():
            break
        delta = step
    return np.where(reachable[:, None], expit(score + delta[:, None]), np.nan)


def image_noise(recalls: Values, shifted: Values, n: NDArray[np.int64]) -> tuple[Values, Values]:
    """What image noise adds to (P p)'(P q) and to (P q)'(P q), each (M,)."""
    share, slope = n / n.sum(axis=1, keepdims=True), shifted * (1 - shifted)
    variance = recalls * (1 - recalls) / np.where(n > 1, n - 1, np.nan)
    steepness = slope / (recalls * (1 - recalls))
    # The share that a class has in the movement of δ.
    pull = share / (share * slope).sum(axis=1, keepdims=True)
    crossed = 1 - slope * pull - share + share * pull * slope.sum(axis=1, keepdims=True)
    squared = 1 - 2 * slope * pull + pull**2 * (slope**2).sum(axis=1, keepdims=True)
    return (
        np.asarray((variance * steepness * crossed).sum(axis=1)),
        np.asarray((variance * steepness**2 * squared).sum(axis=1)),
    )
