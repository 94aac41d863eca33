"""Iterative magnitude pruning with rewinding: lottery tickets.

Frankle, Carbin (ICLR 2019); rewinding to an early epoch: Frankle, Dziugaite, Roy, Carbin (ICML
2020). Names as in OpenLTH. A round:

1. of the weights that are left in the trained network the smallest by |theta| go,
2. those that stay are set back to what they were in the dense network after `rewinding_epochs`
   epochs (0: its initial weights), and so are biases and batch normalisation,
3. the network is trained again through the rest of the `dense` phases.

The first round prunes the dense network itself. The last round ends with exactly the weights that
the ratio asks for: the trained network right after step 1 is the arm `pruned`, the one trained
after it the arm `finetuned`. With `pruning_fraction` f, round i leaves (1 - f)^i of all
parameters until the ratio would be passed; ratios share their rounds. (OpenLTH removes f of the
prunable weights that are left, without regard to a ratio.) With `rounds` every ratio t has that
many rounds of its own, and round i reaches t^(i / rounds).

Optimizer state is not rewound, and every training sees the images in an order of its own.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from distortion.errors import StudyError
from distortion.schema import DENSE
from runners.masking import pruned, whole
from runners.masks import largest, layerwise, prunable_tensors, size_of
from runners.methods.method import Compressed, Method, MethodSpec, Parent
from runners.recipe import Recipe, n_epochs, split
from runners.replicas import Training


@dataclass(frozen=True, slots=True)
class LotteryOptions:
    """Rounds and rewinding; `rounds` takes the place of `pruning_fraction`."""

    rounds: int | None = None
    pruning_fraction: float = 0.2
    rewinding_epochs: int = 0

    def steps(self, ratio: float) -> tuple[float, ...]:
        """Return the ratio after each round on the way to `ratio`, which is the last."""
        if self.rounds is not None:
            earlier = [ratio ** (i / self.rounds) for i in range(1, self.rounds)]
        else:
            step = 1 / (1 - self.pruning_fraction)
            n = math.ceil(math.log(ratio) / math.log(step) - 1e-9)  # 1.25^3 is three rounds
            earlier = [step**i for i in range(1, n)]
        return (*earlier, ratio)


class Lottery(Method):
    """Iterative magnitude pruning, rewound to the start or to an early epoch (lottery ticket)."""

    options = LotteryOptions

    def check_options(self, spec: MethodSpec) -> None:
        """Raise StudyError if an option is out of its range."""
        options: LotteryOptions = self.chosen(spec)
        if options.rounds is not None and options.rounds < 1:
            raise StudyError(f"rounds must be at least 1, not {options.rounds}.")
        if options.rounds is not None and "pruning_fraction" in spec.options:
            raise StudyError("give rounds or pruning_fraction, not both.")
        if not 0 < options.pruning_fraction < 1:
            raise StudyError(
                f"pruning_fraction must lie between 0 and 1, not {options.pruning_fraction:g}."
            )
        if options.rewinding_epochs < 0:
            raise StudyError(f"rewinding_epochs must not be negative: {options.rewinding_epochs}.")

    def check(
        self, net: nn.Module, spec: MethodSpec, ratios: tuple[float, ...], recipe: Recipe
    ) -> None:
        """Raise StudyError if a network cannot be compressed so; called before any training."""
        super().check(net, spec, ratios, recipe)
        rewinding, trained = self.chosen(spec).rewinding_epochs, n_epochs(recipe.dense)
        if rewinding >= trained:
            raise StudyError(
                f"{spec.label!r} is to be rewound to epoch {rewinding}, but dense training has "
                f"{trained}: lower rewinding_epochs."
            )

    def n_epochs(self, spec: MethodSpec, ratios: tuple[float, ...], recipe: Recipe) -> int:
        """Return the epochs of training for all ratios of the study together."""
        options: LotteryOptions = self.chosen(spec)
        ways = [options.steps(ratio) for ratio in ratios]
        shared = {way[:n] for way in ways for n in range(1, len(way))}
        rest = n_epochs(recipe.dense) - options.rewinding_epochs
        return options.rewinding_epochs + (len(shared) + len(ratios)) * rest

    def compress(self, parent: Parent, spec: MethodSpec) -> Iterator[Training | Compressed]:
        """Go through the rounds, ratio by ratio."""
        options: LotteryOptions = self.chosen(spec)
        early, late = split(parent.recipe.dense, options.rewinding_epochs)
        start = parent.initial()
        if early:
            recipe = replace(parent.recipe, checkpoint="last")
            replica = whole(start, parent.streams.child(DENSE))
            yield Training(replica, recipe, early, f"{spec.label} rewinding point")

        def rewound(mask: Tensor, *key: str | float) -> Training:
            replica = pruned(copy.deepcopy(start), mask, parent.streams.child(spec.label, *key))
            return Training(replica, parent.recipe, late, f"{spec.label} round")

        size = size_of(parent.net)
        done: tuple[float, ...] = ()
        trained, mask = parent.net, _everything(parent.net)
        for ratio in parent.ratios:
            matched = parent.reached is not None
            *earlier, _ = options.steps(size.total / parent.remaining(ratio) if matched else ratio)
            if tuple(earlier[: len(done)]) != done:
                done, trained, mask = (), parent.net, _everything(parent.net)
            for step in earlier[len(done) :]:
                mask = _smallest_off(trained, mask, size.keep(step), spec)
                done = (*done, step)
                training = rewound(mask, "round", *done)
                yield training
                trained = training.replica.net
            final = _smallest_off(trained, mask, parent.keep(ratio), spec)
            yield Compressed(
                ratio,
                size.total - int((~final).sum()),
                pruned(copy.deepcopy(trained), final, parent.streams).net,
                rewound(final, ratio),
            )


def _everything(net: nn.Module) -> Tensor:
    tensors = prunable_tensors(net)
    return torch.ones(
        sum(tensor.numel() for tensor in tensors), dtype=torch.bool, device=tensors[0].device
    )


def _smallest_off(net: nn.Module, mask: Tensor, keep: int, spec: MethodSpec) -> Tensor:
    """Return the mask of the `keep` largest weights; what was pruned before stays so."""
    tensors = prunable_tensors(net)
    theta = torch.cat([tensor.detach().flatten() for tensor in tensors])
    scores = theta.abs().masked_fill(~mask, -1)
    if spec.scope == "layerwise":
        return layerwise(scores, keep, [tensor.numel() for tensor in tensors])
    return largest(scores, keep)
