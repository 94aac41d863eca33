"""A training step of a stack: op by op, compiled, or replayed as a CUDA graph.

way       what it saves
eager     nothing; torch runs operator by operator, perceptrons on a CPU without its automatic
          differentiation (see `stacking.chain`)
compile   passes over memory: torch.compile fuses what stands between the matrix products
graph     launches: the GPU replays the whole step, which small networks otherwise wait for;
          `compile+graph` does both
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from runners.evaluation import stacked_losses
from runners.optimizers import make_optimizer
from runners.precision import lowered
from runners.recipe import Recipe
from runners.stacking import Stack
from runners.stacking.chain import Chain, at

WARM_UPS = 3  # steps before a capture, in which libraries choose kernels and allocate

Losses = Callable[[Tensor, Tensor], Tensor]
Replay = Callable[[], None]
Capture = Callable[[Callable[[], None], Callable[[], None]], Replay]
Masked = Sequence[tuple[Tensor, Tensor]]  # tensors of the stack and their masks


class Step:
    """One step of all networks of a stack: forward, backward, optimizer, masks."""

    def __init__(self, stack: Stack, masked: Masked, recipe: Recipe, compiled: bool = False):
        self.stack = stack
        self.masked = masked
        self.optimizer = make_optimizer(recipe, stack.leaves)
        self._losses = _compiled(stack) if compiled else _eager(stack)
        self._precision = recipe.precision

    def __call__(self, inputs: Tensor, labels: Tensor, rate: float) -> Tensor:
        """Return the losses (m,) before the step, for inputs (n, m c, h, w), labels (m, n)."""
        self.optimizer.param_groups[0]["lr"] = rate
        return self.run(inputs, labels)

    def run(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Take a step with the learning rate that the optimizer has."""
        with lowered(self._precision, inputs.device):
            losses = self._losses(inputs, labels)
        self.optimizer.zero_grad()
        losses.sum().backward()  # no network's loss has weights of another
        self.optimizer.step()
        self._mask()
        return losses.detach()

    @torch.no_grad()
    def _mask(self) -> None:
        for weight, mask in self.masked:
            weight.mul_(mask)


class ChainedStep(Step):
    """A step of a stack of perceptrons, differentiated by hand."""

    def __init__(self, stack: Stack, masked: Masked, recipe: Recipe) -> None:
        assert stack.flat is not None  # see `Chain.fits`
        whole, factors = stack.flat.detach(), torch.ones_like(stack.flat)
        for weight, mask in masked:
            at(weight, factors).copy_(mask)
        self.stack = stack
        self.masked = [] if bool(factors.all()) else [(whole, factors)]
        self.optimizer = make_optimizer(recipe, [whole])
        self._chain = Chain(stack)
        whole.grad = self._chain.gradient

    def run(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Take a step with the learning rate that the optimizer has."""
        losses = self._chain(inputs, labels)
        self.optimizer.step()
        self._mask()
        return losses


class GraphedStep(Step):
    """A step that is captured once per size of batch, and replayed.

    `capture(run, put_back)` runs a step to warm up, takes back what that changed, and returns a
    function that repeats the step.
    """

    def __init__(
        self,
        stack: Stack,
        masked: Masked,
        recipe: Recipe,
        capture: Capture,
        compiled: bool = False,
    ):
        super().__init__(stack, masked, recipe, compiled)
        self._capture = capture
        self._rate = torch.zeros((), device=stack.state[0].device)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate
            if "capturable" in group:
                group["capturable"] = True
        self._captured: dict[torch.Size, _Captured] = {}

    def __call__(self, inputs: Tensor, labels: Tensor, rate: float) -> Tensor:
        """Return the losses (m,) before the step, for inputs (n, m c, h, w), labels (m, n)."""
        captured = self._captured.get(inputs.shape)
        if captured is None:
            captured = self._captured[inputs.shape] = self._make(inputs, labels)
        captured.inputs.copy_(inputs)
        captured.labels.copy_(labels)
        self._rate.fill_(rate)
        captured.replay()
        return captured.losses.clone()

    def _make(self, inputs: Tensor, labels: Tensor) -> "_Captured":
        """Capture a step, and leave weights, buffers and optimizer as they were."""
        inputs, labels = inputs.clone(), labels.clone()
        losses = torch.zeros(self.stack.size, device=inputs.device)

        def run() -> None:
            losses.copy_(self.run(inputs, labels))

        state = [tensor.detach().clone() for tensor in self.stack.state]
        moments = {id(tensor): tensor.clone() for tensor in self._moments()}

        @torch.no_grad()
        def put_back() -> None:
            for tensor, before in zip(self.stack.state, state, strict=True):
                tensor.copy_(before)
            for tensor in self._moments():  # new ones began with zeros
                tensor.copy_(moments.get(id(tensor), torch.zeros_like(tensor)))

        return _Captured(inputs, labels, losses, self._capture(run, put_back))

    def _moments(self) -> list[Tensor]:
        values: list[Any] = [v for part in self.optimizer.state.values() for v in part.values()]
        return [value for value in values if isinstance(value, Tensor)]


@dataclass(frozen=True, slots=True)
class _Captured:
    inputs: Tensor
    labels: Tensor
    losses: Tensor
    replay: Replay


def make_step(way: str, stack: Stack, masked: Masked, recipe: Recipe) -> Step:
    """Return the step of a stack; `way` is one of `STEPS`."""
    compiled = "compile" in way
    if "graph" in way:
        return GraphedStep(stack, masked, recipe, cuda_graph, compiled)
    if not compiled and recipe.precision == "float32" and Chain.fits(stack):
        return ChainedStep(stack, masked, recipe)
    return Step(stack, masked, recipe, compiled)


def cuda_graph(run: Callable[[], None], put_back: Callable[[], None]) -> Replay:
    """Capture what `run` does on a GPU; see `GraphedStep`."""
    side, here = torch.cuda.Stream(), torch.cuda.current_stream()
    side.wait_stream(here)
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            run()
        put_back()
    here.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def _eager(stack: Stack) -> Losses:
    return lambda inputs, labels: stacked_losses(stack(inputs), labels)


_programs: dict[tuple[object, ...], Callable[..., Tensor]] = {}


def _compiled(stack: Stack) -> Losses:
    """Return compiled losses; stacks of one architecture and size share a program."""
    kind = (repr(stack.nets[0]), type(stack), stack.convolution, stack.size)
    if kind not in _programs:
        plan = stack.plan()

        def losses(state: list[Tensor], inputs: Tensor, labels: Tensor) -> Tensor:
            return stacked_losses(plan.bound(state)(inputs), labels)

        # code of its own, because torch gives up after some recompilations of one code
        losses.__code__ = losses.__code__.replace(co_name=f"losses_{len(_programs)}")
        _programs[kind] = torch.compile(losses, dynamic=False)
    program = _programs[kind]
    return lambda inputs, labels: program(stack.state, inputs, labels)
