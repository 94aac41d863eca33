"""Where the optimizer starts: variances by the method of moments at V = I.

With V = I the expected squares of c = Z'(y − Xβ_OLS) are linear in the variances, so one small
non-negative system gives them. Source: MINQUE(0) of Rao (1971), J. Multivariate Anal. 1, 257.
"""

import numpy as np
from scipy import sparse
from scipy.optimize import nnls

from distortion.fits.mixed.products import Products, Responses
from distortion.fits.mixed.template import Template
from distortion.fits.mixed.types import Array

# A start at zero is a stationary point, from where no variance can leave. Times the natural size.
SMALLEST = 0.03
# The moments can leave nothing for the residual; it keeps at least this share of Var(y).
RESIDUAL_SHARE = 0.05


def moments(products: Products, responses: Responses, template: Template) -> Array:
    """Return a starting value of θ, (m,), with diagonal factors."""
    inverse = np.linalg.inv(products.xx)
    beta = inverse @ responses.xy
    rss = (responses.yy - responses.xy.T @ beta).item()
    owners = [(k, u) for k, (_, r) in enumerate(products.shapes) for u in range(r)]
    zx = [products.zx[k][u :: products.shapes[k][1]] for k, u in owners]
    system = np.zeros((len(owners) + 1, len(owners) + 1))
    observed = np.zeros(len(owners) + 1)
    system[0, 0], observed[0] = products.n - products.p, rss
    for i, (k, u) in enumerate(owners, start=1):
        left = zx[i - 1] @ inverse
        c = responses.zy[k][u :: products.shapes[k][1]] - zx[i - 1] @ beta
        observed[i] = (c**2).sum()
        trace = products.diag[k][:, u, u].sum() - (left * zx[i - 1]).sum()
        system[0, i] = system[i, 0] = trace
        for j in range(i, len(owners) + 1):
            right = zx[j - 1]
            length, product = _block(products, owners[i - 1], owners[j - 1], left)
            # |A - U V'|^2 without forming it
            square = length - 2.0 * (product * right).sum()
            square += ((left.T @ left) * (right.T @ right)).sum()
            system[i, j] = system[j, i] = square
    scale = 1.0 / np.sqrt(np.maximum(np.diagonal(system), np.finfo(float).tiny))
    solved, _ = nnls(system * np.outer(scale, scale), observed * scale)
    variances = solved * scale
    residual = max(variances[0], RESIDUAL_SHARE * rss / products.n)
    lengths = np.array([products.lengths[k][u] for k, u in owners])
    relative = np.maximum(np.sqrt(variances[1:] / residual), SMALLEST / lengths)
    starts = dict(zip(owners, relative, strict=True))
    return np.array([
        starts[k, row] if row == column else 0.0 for k, row, column in template.positions
    ])  # fmt: skip


def _block(
    products: Products, one: tuple[int, int], other: tuple[int, int], left: Array
) -> tuple[float, Array]:
    """Return the squared length of A = z'z of two covariates, and A' left."""
    (k, u), (j, v) = one, other
    if k == j:
        diagonal = products.diag[k][:, u, v]
        return float(diagonal @ diagonal), diagonal[:, None] * left
    r_k, r_j = products.shapes[k][1], products.shapes[j][1]
    block = products.cross[k, j][u::r_k, v::r_j] if r_k * r_j > 1 else products.cross[k, j]
    values = block.data if sparse.issparse(block) else np.ravel(block)
    return float(values @ values), block.T @ left
