"""The arithmetic of generalised linear mixed models: arrays in, arrays out.

    y | b ~ family(μ),   g(μ) = η = offset + X β + Σ_k Z_k b_k,   b_k = Λ_k u_k,   u ~ N(0, I)

−2 log-likelihood by Laplace's approximation around the conditional mode û of u:

    F(θ, β, ν) = −2 Σ ℓ(η̂) + û'û + log|M|,   M = Λ'Z'W Z Λ + I,   û = argmin −2 Σ ℓ + u'u

symbol   name here      size         meaning
n, p     -              1            rows, columns of X
k        grouping       K            a grouping factor with all its random terms
L, r     n_levels, r    per k        levels, covariates per level; Z_k has L r columns
Λ_k      factor         (r, r)       covariance factor, lower triangular; Var(b_k) = Λ_k Λ_k'
θ        theta          (m,)         free entries of all Λ_k, column by column
ν        shape          1            shape of the distribution of a row, where it has one
ψ        point          (m + p + 1,) θ, β, ν: what is minimised over
û        u              per k (L r,) conditional modes on the scale of u; b̂ = Λ û
s, H, W  score, …       (n,)         see `distortion.fits.laplace.family`
T        -              (q, q)       Λ M⁻¹ Λ', known only where Z'Z is not zero
h_i      leverage       (n,)         z_i' T z_i

Rows stand in memory once (`design`). Weights turn them into cross-products (`weighting`), which
`distortion.fits.mixed` factorises; penalised iterations find û (`modes`); `deviance` gives F and
its exact gradient, `quadrature` the same by adaptive Gauss–Hermite quadrature; `estimation` goes
from `start` to the optimum by `descent`; `curvature` has Hessians. `rowwise` gives every row a
random effect of its own. `separation` and `dispersion` judge, `profile` holds one parameter.

Gradient: û depends on ψ. With a = h ∘ ∂W/∂η, which is ∂log|M|/∂η, and v the solution of
(Λ'Z'H ZΛ + I) v = Λ'Z'a,

    dF/dψ = (−2 s + a − H ∘ ZΛv)' ∂η/∂ψ + s'Z (∂Λ/∂ψ) v + tr(∂log|M|/∂Λ ∂Λ/∂ψ).

Source: Bates (2011), Computational methods for mixed models (lme4 vignette), section 5;
Bates et al. (2015), J. Stat. Softw. 67(1).
"""
