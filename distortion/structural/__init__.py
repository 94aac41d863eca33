"""The structural model: latent class differences, seen through networks, before and after.

    k_cmi ~ Bin(n_cmi, p_cmi),    logit p_cmi = η_cmi = μ_mi + g_i u_c + a_i v_cm + d_i w_cmi

symbol   name here   size        meaning
i        arm         0 … J       0: dense; 1 … J: compressed arms, and the control arm
A, M, C  -           ()          arms J + 1; networks; classes. Arrays are (A, M, C)
μ        mu          (A, M)      level of a network in an arm: accuracy, free
u        u           (C,)        true difference of a class, Var τ²; kept as u/τ
v        v           (M, C)      deviation of a class in one network, Var σ_v²; kept as v/σ_v
w        w           (A, M, C)   what the arm adds in that network, Var σ_w²; kept as w/σ_w
g        -           (A,)        1, γ_1 … γ_J: how much wider class differences are; H0: γ = 1
τ g      common      (A,)        what multiplies u/τ
a        inherited   (A,)        σ_v, φ_1 σ_v … φ_J σ_v: φ is the share of v that an arm inherits
d        fresh       (A,)        0, σ_w1 … σ_wJ
x, B     -           -           all of u, v, w of a class, standard normal; η = μ + B x
s, W     score, …    (A, M, C)   ∂ℓ/∂η = k − n p;  −∂²ℓ/∂η² = n p (1 − p)
ψ        point       (P,)        γ, τ, σ_v, (φ σ_v), σ_w, μ: what is maximised over

The likelihood is Laplace's approximation around the modes x̂ of each class,

    −2 log L = Σ_c [ −2 Σ ℓ(η̂) + x̂'x̂ + log|I + B'WB| ],

in which w, then v, then u are eliminated: I + B'WB is an arrow. `latent` finds the modes,
`likelihood` the value and its exact gradient, `parameters` maps ψ, `start` begins at moments of
empirical logits, `optimum` ends at the maximum with its Hessian, `profile` holds a contrast of γ,
`alignment` makes the arrays, `departures` asks whether classes keep to the line; `fit` and `table`
are the doors.
"""
