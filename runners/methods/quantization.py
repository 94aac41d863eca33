"""Post-training quantization: weights rounded to the nearest of 2^b - 1 levels.

symbol   meaning
w        a weight; W its output channel, or the whole tensor
b        bits
delta    step: max |W| / (2^(b-1) - 1)
q        integer: round(w / delta), within -(2^(b-1) - 1) .. 2^(b-1) - 1
         the weight becomes delta q, so it moves by at most delta / 2

Symmetric, and per output channel unless `per = "tensor"`: Krishnamoorthi, "Quantizing deep
convolutional networks for efficient inference" (2018); Nagel et al., "A white paper on neural
network quantization" (2021). No image is looked at and nothing is trained, so there is no arm
`finetuned`.

The quantization is simulated ("fake"): delta q is stored as a float, and arithmetic is in floats.
All weights of linear and convolutional layers are quantized, the first and the classifier
included; biases and batch normalisation stay 32-bit floats.

Activations stay floats unless `activation_bits` is set: then each input of these layers is rounded
to 2^b levels from its smallest to its largest value (0 included) over all training images in the
network with quantized weights and float activations, one range per layer; values outside are cut
off.

The ratio in the log is 32 / b. `n_remaining` says what is reached: all bits after (weights at b
bits, a 32-bit step each for channels or tensors, everything else at 32 bits, and 64 bits of range
per layer with quantized activations), in parameters of 32 bits, rounded up.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from distortion.errors import StudyError
from distortion.schema import PRUNED
from runners.datasets import Dataset
from runners.evaluation import logits
from runners.masks import size_of
from runners.methods.method import Compressed, Method, MethodSpec, Parent
from runners.recipe import Recipe

FLOAT = 32
MOST_BITS = 16


@dataclass(frozen=True, slots=True)
class Quantization:
    """Bits of weights, each of which gives a network; what a step is shared by; activations."""

    bits: tuple[int, ...] = (8, 4)
    per: Literal["channel", "tensor"] = "channel"
    activation_bits: int | None = None


class RoundToNearest(Method):
    """Post-training quantization of weights to integers: int8 and int4, simulated."""

    intervention = "quantization"
    arms = (PRUNED,)
    exact = False
    keys = frozenset[str]()
    options = Quantization

    def check_options(self, spec: MethodSpec) -> None:
        """Raise StudyError if an option is out of its range."""
        options: Quantization = self.chosen(spec)
        given = list(options.bits)
        if not given or len(set(given)) < len(given) or not all(map(_possible, given)):
            raise StudyError(
                f"bits must be different whole numbers from 2 to {MOST_BITS}, not {given}."
            )
        if options.activation_bits is not None and not _possible(options.activation_bits):
            raise StudyError(
                f"activation_bits must be from 2 to {MOST_BITS}, not {options.activation_bits}."
            )

    def check(
        self, net: nn.Module, spec: MethodSpec, ratios: tuple[float, ...], recipe: Recipe
    ) -> None:
        """Raise nothing: every network has a layer to quantize, its classifier."""

    def ratios(self, spec: MethodSpec, ratios: tuple[float, ...]) -> tuple[float, ...]:
        """Return 32 / bits, ascending, whatever the ratios of the study."""
        return tuple(sorted(FLOAT / bits for bits in self.chosen(spec).bits))

    def n_epochs(self, spec: MethodSpec, ratios: tuple[float, ...], recipe: Recipe) -> int:
        """Return 0: nothing is trained."""
        return 0

    def compress(self, parent: Parent, spec: MethodSpec) -> Iterator[Compressed]:
        """Quantize a copy per number of bits."""
        options: Quantization = self.chosen(spec)
        for bits in sorted(options.bits, reverse=True):
            net = copy.deepcopy(parent.net)
            n_bits = FLOAT * size_of(net).total
            layers = quantizable(net)
            for layer in layers:
                step = quantize(layer, bits, options.per)
                n_bits += (bits - FLOAT) * layer.weight.numel() + FLOAT * step.numel()
            if options.activation_bits is not None:
                quantize_activations(net, layers, options.activation_bits, parent.data)
                n_bits += 2 * FLOAT * len(layers)
            yield Compressed(FLOAT / bits, math.ceil(n_bits / FLOAT), net)


def quantizable(net: nn.Module) -> list[nn.Linear | _ConvNd]:
    """Return the linear and convolutional layers, one of those that share their weight."""
    layers = [m for m in net.modules() if isinstance(m, nn.Linear | _ConvNd)]
    return list({id(layer.weight): layer for layer in reversed(layers)}.values())[::-1]


def rounded(weight: Tensor, step: Tensor, bits: int) -> Tensor:
    """Return the integers q of weights; where the step is 0, so are they."""
    top = 2 ** (bits - 1) - 1
    return (weight / torch.where(step > 0, step, 1)).round().clamp(-top, top)


@torch.no_grad()
def quantize(layer: nn.Linear | _ConvNd, bits: int, per: Literal["channel", "tensor"]) -> Tensor:
    """Round the weights of a layer in place, and return its steps: one per channel, or one."""
    weight = layer.weight
    channel = 1 if getattr(layer, "transposed", False) else 0
    others = [axis for axis in range(weight.ndim) if per == "tensor" or axis != channel]
    step = weight.abs().amax(others, keepdim=True) / (2 ** (bits - 1) - 1)
    weight.copy_(rounded(weight, step, bits) * step)
    return step


def quantize_activations(
    net: nn.Module, layers: list[nn.Linear | _ConvNd], bits: int, data: Dataset
) -> None:
    """Make the layers of a network round their inputs, to ranges seen on the training images."""
    ranges = [torch.zeros(2, device=layer.weight.device) for layer in layers]
    handles = [
        layer.register_forward_pre_hook(_watch(seen))
        for layer, seen in zip(layers, ranges, strict=True)
    ]
    logits(net, data, data.train)
    for handle in handles:
        handle.remove()
    for layer, seen in zip(layers, ranges, strict=True):
        layer.register_forward_pre_hook(_round_inputs(seen, bits))


Hook = Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...] | None]


def _watch(seen: Tensor) -> Hook:
    """Return a hook that widens the range (low, high) by the inputs that it meets."""

    def watch(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[0] = torch.minimum(seen[0], inputs[0].min())
        seen[1] = torch.maximum(seen[1], inputs[0].max())

    return watch


def _round_inputs(seen: Tensor, bits: int) -> Hook:
    """Return a hook that rounds inputs to levels of which one is 0."""
    low, high = seen.tolist()
    step = (high - low) / (2**bits - 1) or 1.0
    zero = round(-low / step)

    def round_inputs(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        levels = ((inputs[0] / step).round() + zero).clamp(0, 2**bits - 1)
        return ((levels - zero) * step,)

    return round_inputs


def _possible(bits: int) -> bool:
    return 2 <= bits <= MOST_BITS
