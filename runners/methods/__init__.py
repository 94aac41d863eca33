"""Methods of compression by name. Each lives in a file of its own; `method` is their door."""

from runners.gradients import GradientOptions
from runners.masks import Select, largest, two_sided
from runners.methods import scores
from runners.methods.channels import ChannelPruning
from runners.methods.lottery import Lottery
from runners.methods.method import Method
from runners.methods.quantization import RoundToNearest
from runners.methods.scores import Score, Scored, Weights
from runners.methods.snip import SNIP
from runners.registry import Registry

__all__ = ["METHODS", "Method", "Scored", "Weights", "register_method"]

METHODS: Registry[Method] = Registry("method", "methods")


def register_method(
    name: str,
    method: Score | Method,
    *,
    select: Select = largest,
    needs_gradient: bool = False,
    before_training: bool = False,
) -> None:
    """Make a method known to study files: a score, or a `Method` for all that is not a score.

    A score is called as `method(weights, **options)` with a `Weights`, and returns one number per
    weight (p,); its keyword-only parameters are the options that the study file may set. Without
    `needs_gradient` no gradient is taken and `weights.gradient` is empty. With `before_training`
    the initial weights are scored and pruned. The first line of its docstring describes the
    method in `distortion-run list`.
    """
    if not isinstance(method, Method):
        gradient = GradientOptions() if needs_gradient else None
        method = Scored(method, select, gradient, before_training)
    METHODS.add(name, method)


register_method("magnitude", scores.magnitude)
register_method("gradient", scores.gradient, needs_gradient=True)
register_method("undecayed", scores.undecayed, needs_gradient=True)
register_method("undecayed-released", scores.released, select=two_sided, needs_gradient=True)
register_method("undecayed-released-abs", scores.released_abs, needs_gradient=True)
register_method("random", scores.random)
register_method("random-layerwise", scores.random_layerwise)
register_method("snip", SNIP)
register_method("lottery", Lottery())
register_method("channels", ChannelPruning())
register_method("round-to-nearest", RoundToNearest())
