"""Time that a training step takes one network, by back-end, network and stack size.

python -m tests.benchmarks.backends [NETWORK ...] [--device cuda] [--sizes 1,4,16,64]
    [--steps eager,compile,graph] [--precision bfloat16]

Random images, batch 128. On a CPU it is processor time of one thread, the least of several
measurements; on a GPU wall time. With the FLOP of a step (torch.utils.flop_counter, forward and
backward) that makes FLOP per second.
"""

import argparse
from dataclasses import replace

import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from runners.backends import LOOP, STEPS, Backend
from runners.datasets import Dataset, Images
from runners.nets import build
from runners.provenance import device_name
from runners.recipe import Recipe
from runners.stacking import WAYS, refusal
from runners.stopwatch import as_in_a_worker, disagreement, step_seconds

SHAPES = {"mlp": (1, 8, 8), "lenet": (1, 28, 28), "lenet5": (1, 28, 28), "resnet20": (3, 32, 32)}
RECIPE = Recipe(dense=((1, 0.1),), finetune=((1, 0.1),), batch_size=128)


def noise(shape: tuple[int, int, int], device: torch.device, n: int = 1280) -> Dataset:
    """A data set of random images."""
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, *shape), generator=draw, dtype=torch.uint8)
    images = Images(pixels, torch.arange(n) % 10)
    ones = torch.ones(1, shape[0], 1, 1)
    names = tuple("0123456789")
    return Dataset("noise", images, images, images, names, ones / 64, -2 * ones).to(device)


def flop(net: torch.nn.Module, shape: tuple[int, int, int], batch: int) -> int:
    """FLOP of a step of one network: forward and backward, a multiplication and addition as two."""
    device = next(net.parameters()).device
    with FlopCounterMode(display=False) as counter:
        logits = net.train()(torch.rand(batch, *shape, device=device))
        labels = torch.zeros(batch, dtype=torch.long, device=device)
        functional.cross_entropy(logits, labels).backward()
    net.zero_grad()
    return counter.get_total_flops()


def main() -> None:
    """Print a Markdown table per network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=["mlp", "lenet"])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--sizes", default="4,16")
    parser.add_argument("--steps", default="eager")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    given = parser.parse_args()
    device = torch.device(given.device)
    recipe = replace(RECIPE, precision=given.precision)
    sizes = [int(size) for size in given.sizes.split(",")]
    steps = [step for step in STEPS if step in given.steps.split(",")]
    print(f"torch {torch.__version__}, {device_name(device)}, {given.precision}")
    for name in given.networks:
        shape = SHAPES.get(name, (3, 32, 32))
        net = build(name, {}, shape, 10, seed=0).to(device)
        work, data = flop(net, shape, recipe.batch_size), noise(shape, device)
        print(f"\n{name}: {work / 1e6:,.0f} MFLOP per step of one network\n")
        print("| back-end | at once | ms per network and step | GFLOP/s | loop / this |")
        print("|:--|--:|--:|--:|--:|")
        with as_in_a_worker(device):
            loop = step_seconds(LOOP, net, data, recipe)
            print(f"| loop | 1 | {1e3 * loop:.3f} | {work / loop / 1e9:,.1f} | 1.00 |", flush=True)
            for step in steps:
                for way in WAYS:
                    if refusal(net, shape, vmapped=way == "vmap"):
                        continue
                    problem = disagreement(Backend(way, 2, step), net, data, recipe)
                    if problem:
                        print(f"| {Backend(way, 2, step).label} | | {problem} | | |")
                        continue
                    for size in sizes:
                        spent = step_seconds(Backend(way, size, step), net, data, recipe)
                        label = Backend(way, size, step).label
                        rate = work / spent / 1e9
                        print(
                            f"| {label} | {size} | {1e3 * spent:.3f} | {rate:,.1f} "
                            f"| {loop / spent:.2f} |",
                            flush=True,
                        )


if __name__ == "__main__":
    main()
