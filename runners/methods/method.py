"""What a method of compression is: from a dense network to its compressed copies, one per ratio.

A method is a generator. It yields a `Compressed` per ratio, and a `Training` wherever it needs a
network trained on the way, as iterative pruning does between rounds. It never trains by itself, so
whoever runs it chooses how, and may train the networks of several methods together.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from distortion.errors import StudyError
from distortion.schema import FINETUNED, PRUNED
from runners.datasets import Dataset
from runners.gradients import GradientOptions, data_gradient
from runners.masks import size_of
from runners.options import Field, dataclass_fields
from runners.recipe import Recipe, n_epochs
from runners.replicas import Training
from runners.seeds import Streams

Scope = Literal["global", "layerwise"]


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """A method as used in a study.

    gradient   on which images its gradient is taken; None if it takes none
    decay      epsilon in the score; None for the weight decay of the recipe
    match      label of another method of the study: for every ratio asked for, prune to the
               ratio that this other method really reached on the same network
    scope      scores are compared over all layers, or within each; None as is usual for the method
    """

    name: str
    label: str = ""
    gradient: GradientOptions | None = None
    decay: float | None = None
    match: str | None = None
    options: dict[str, object] = field(default_factory=dict)
    scope: Scope | None = None


@dataclass(frozen=True, slots=True)
class Compressed:
    """What a method has made of a network at one ratio.

    n_remaining       parameters that are left, whole network; of quantized networks the number
                      of 32-bit parameters that take as many bits
    pruned            the network as the method leaves it, for the arm `pruned`; None where the
                      method has no such arm
    finetune          where and how the arm `finetuned` starts; None where there is none. Its
                      network may be `pruned` itself, which is counted first
    mean_theta_grad   mean of |theta g| over the prunable weights before pruning
    mean_decay_term   mean of epsilon theta^2; both None where no gradient was taken
    """

    ratio: float
    n_remaining: int
    pruned: nn.Module | None = None
    finetune: Training | None = None
    mean_theta_grad: float | None = None
    mean_decay_term: float | None = None


@dataclass(frozen=True, slots=True)
class Parent:
    """A trained dense network, and what a method may use beside it.

    net       the trained network; methods work on copies
    initial   returns a fresh copy of the network before training
    ratios    the ratios of the study
    reached   where another method is to be matched: parameters that it left, by ratio asked for
    """

    net: nn.Module
    initial: Callable[[], nn.Module]
    data: Dataset
    recipe: Recipe
    streams: Streams
    ratios: tuple[float, ...]
    reached: Mapping[float, int] | None = None
    gradients: dict[tuple[bool, GradientOptions], Tensor] = field(default_factory=dict)

    def keep(self, ratio: float) -> int:
        """Return how many prunable weights are to stay.

        Raises
        ------
        StudyError
            The ratio cannot be reached by pruning weights, or the matched method has none.
        """
        size = size_of(self.net)
        if self.reached is None:
            return size.keep(ratio)
        keep = self.remaining(ratio) - (size.total - size.prunable)
        if keep < 1:
            raise StudyError(
                f"the method to match left {self.remaining(ratio):,} parameters at ratio "
                f"{ratio:g}, but {size.total - size.prunable:,} (biases, normalisation, "
                f"classifier) are never pruned."
            )
        return keep

    def remaining(self, ratio: float) -> int:
        """Return how many parameters are to be left in the whole network."""
        if self.reached is None:
            return round(size_of(self.net).total / ratio)
        if ratio not in self.reached:
            raise StudyError(f"the method to match has no network at ratio {ratio:g}.")
        return self.reached[ratio]

    def gradient(self, options: GradientOptions, net: nn.Module | None = None) -> Tensor:
        """Return the gradient (p,) of the trained network, or of `net`, the initial one.

        It is taken once per set of options, so methods with the same options see the same images.
        """
        key = (net is None, options)
        if key not in self.gradients:
            self.gradients[key] = data_gradient(
                net or self.net, self.data, self.recipe, options, self.streams
            )
        return self.gradients[key]


@dataclass(frozen=True, slots=True)
class NoOptions:
    """A method without options of its own."""


class Method(ABC):
    """A way to compress networks. The first line of a subclass' docstring describes it.

    intervention   column of the log: "pruning", "quantization"
    arms           arms that its networks have
    exact          whether it leaves as many weights as it is asked to, so that it can match
                   another method
    keys           keys of a [[method]] block that it takes beside its name, label and options
    gradient       on what its gradient is taken unless the study says otherwise; None if it
                   takes none
    scope          over which weights scores are compared unless the study says otherwise
    options        dataclass of its options, which become keys of the [[method]] block
    """

    intervention: str = "pruning"
    arms: tuple[str, ...] = (PRUNED, FINETUNED)
    exact: bool = True
    keys: frozenset[str] = frozenset({"match", "scope"})
    gradient: GradientOptions | None = None
    scope: Scope = "global"
    options: type = NoOptions

    @abstractmethod
    def compress(self, parent: Parent, spec: MethodSpec) -> Iterator[Training | Compressed]:
        """Yield a `Compressed` for each of `ratios(...)`, and what must be trained before."""

    @property
    def described(self) -> object:
        """Whose docstring describes the method."""
        return type(self)

    def fields(self) -> dict[str, Field]:
        """Return its options with their types and defaults."""
        return dataclass_fields(self.options)

    def check_options(self, spec: MethodSpec) -> None:  # noqa: B027 - most have nothing to check
        """Raise StudyError if an option is out of its range."""

    def check(
        self, net: nn.Module, spec: MethodSpec, ratios: tuple[float, ...], recipe: Recipe
    ) -> None:
        """Raise StudyError if a network cannot be compressed so; called before any training."""
        for ratio in ratios:
            size_of(net).keep(ratio)

    def ratios(self, spec: MethodSpec, ratios: tuple[float, ...]) -> tuple[float, ...]:
        """Return the ratios of its networks, given those of the study."""
        return ratios

    def n_epochs(self, spec: MethodSpec, ratios: tuple[float, ...], recipe: Recipe) -> int:
        """Return the epochs of training for all ratios of the study together."""
        return len(ratios) * n_epochs(recipe.finetune)

    def chosen(self, spec: MethodSpec) -> Any:
        """Return the options of a study as an instance of `options`."""
        return self.options(**spec.options)
