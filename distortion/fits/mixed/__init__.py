"""The arithmetic of linear mixed models: arrays in, arrays out.

    y = X β + Σ_k Z_k b_k + e,   b_k ~ N(0, σ² I ⊗ Σ_k),  Σ_k = Λ_k Λ_k',   e ~ N(0, σ² W⁻¹)

Rows are touched once (`products`); a value of θ costs an elimination (`elimination`), a Cholesky
factor of what is left (`system`), and gives criterion, gradient and average information
(`criterion`) to the optimizer (`newton`).

symbol   name here      size          meaning
n        n              1             rows used
X        x              (n, p)        fixed effects
k        grouping       K             a grouping factor with all its random terms
L, r     n_levels, r    per k         levels, covariates; Z_k has L r columns, level by level
Λ_k      factor         (r, r)        relative covariance factor, lower triangular
θ        theta          (m,)          free entries of all Λ_k, column by column
V        -              (n, n)        I + Σ_k Z_k (I ⊗ Σ_k) Z_k', never formed
P        -              (n, n)        V⁻¹ − V⁻¹X (X'V⁻¹X)⁻¹ X'V⁻¹, never formed

θ and Σ are relative to σ; only `distortion.fits.lmm` speaks in units of y.
Source: Bates et al. (2015), J. Stat. Softw. 67(1), section 3; average information: Gilmour,
Thompson and Cullis (1995), Biometrics 51, 1440.
"""
