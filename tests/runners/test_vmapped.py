"""Networks of layers that no rule knows, stacked by vmap."""

import pytest
import torch
from torch import nn

from runners.backends import LOOP, Backend
from runners.masking import whole
from runners.recipe import Recipe
from runners.seeds import Streams
from runners.stacking import make_stack, refusal
from tests.runners.studies import train_replicas

RECIPE = Recipe(dense=((2, 0.02),), finetune=((1, 0.1),), batch_size=24)


class Mixer(nn.Module):
    """A forward pass of its own, layer normalisation, attention over rows of pixels."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.query, self.key = nn.Linear(8, 6), nn.Linear(8, 6)
        self.classifier = nn.Linear(64, 10)

    def forward(self, x):
        rows = self.norm(x.squeeze(1))
        weights = torch.softmax(self.query(rows) @ self.key(rows).mT, -1)
        return self.classifier((weights @ rows).flatten(1))


class Counting(nn.Linear):
    """Its forward pass depends on the images."""

    def forward(self, x):
        return super().forward(x) * (2 if x.sum() > 0 else 1)


def flat(*layers):
    return nn.Sequential(nn.Flatten(), *layers)


def net_of(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Mixer()


def test_a_stack_is_the_loop_to_rounding(digits):
    def trained(backend):
        replicas = [whole(net_of(seed), Streams((seed,))) for seed in range(3)]
        outcomes = train_replicas(replicas, digits, RECIPE, RECIPE.dense, backend)
        assert all(outcome.is_sound for outcome in outcomes)
        return [torch.cat([p.detach().flatten() for p in r.net.parameters()]) for r in replicas]

    before = torch.cat([p.detach().flatten() for p in net_of(0).parameters()])
    alone, together = trained(LOOP), trained(Backend("vmap", 8))
    assert (alone[0] - before).abs().max() > 1e-2
    for one, other in zip(alone, together, strict=True):
        # float32 over 14 steps; weights are of order 0.1
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_running_statistics_are_those_of_each_network():
    def nets():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return [
                nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), flat(nn.Linear(72, 10)))
                for _ in range(2)
            ]

    inputs = torch.rand(5, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    alone, together = nets(), nets()
    stack = make_stack(together, "vmap")
    outputs = stack(inputs)
    stack.write_back()
    for i, (net, other) in enumerate(zip(alone, together, strict=True)):
        torch.testing.assert_close(net(inputs[:, i : i + 1]).T, outputs[i])
        torch.testing.assert_close(net[1].running_var, other[1].running_var)
        assert net[1].num_batches_tracked == other[1].num_batches_tracked == 1


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (flat(nn.Linear(64, 8), nn.Dropout(), nn.Linear(8, 10)), "random"),
        (flat(Counting(64, 10)), "data-dependent"),
    ],
)
def test_what_cannot_be_mapped_is_refused_with_its_reason(net, words):
    assert words in refusal(net, (1, 8, 8), vmapped=True)


def test_what_rules_refuse_may_be_mapped():
    assert "no rule" in refusal(Mixer(), (1, 8, 8))
    assert refusal(Mixer(), (1, 8, 8), vmapped=True) is None
