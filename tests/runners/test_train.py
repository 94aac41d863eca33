import copy
import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from runners.backends import LOOP
from runners.batches import training_batches
from runners.evaluation import mean_loss
from runners.masks import prunable_tensors
from runners.nets import build
from runners.recipe import Recipe, learning_rates
from runners.replicas import Replica
from runners.seeds import Streams
from tests.runners.studies import BACKENDS, train_replicas

RECIPE = Recipe(dense=((2, 0.1),), finetune=((1, 0.05),), batch_size=40)
STREAMS = Streams((0,))


def make_net():
    return build("mlp", {"widths": (24, 12)}, (1, 8, 8), 10, seed=0)


def make_masks(net, share):
    draw = torch.Generator().manual_seed(5)
    return tuple(
        (torch.rand(w.shape, generator=draw) < share).to(w.dtype) for w in prunable_tensors(net)
    )


def make_replica(share=1.0, streams=STREAMS):
    net = make_net()
    masks = make_masks(net, share)
    with torch.no_grad():
        for weight, mask in zip(prunable_tensors(net), masks, strict=True):
            weight.mul_(mask)
    return Replica(net, masks, streams)


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request):
    return request.param


def train_one(replica, data, backend, recipe=RECIPE, schedule=RECIPE.dense):
    [outcome] = train_replicas([replica], data, recipe, schedule, backend)
    return outcome


def state(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_pruned_weights_stay_zero_and_the_others_move(optimizer, digits, backend):
    replica = make_replica(share=0.3)
    before = [w.detach().clone() for w in prunable_tensors(replica.net)]
    train_one(replica, digits, backend, replace(RECIPE, optimizer=optimizer))
    for weight, mask, old in zip(prunable_tensors(replica.net), replica.masks, before, strict=True):
        assert not weight[mask == 0].any()
        assert (weight != old)[mask == 1].float().mean() > 0.9


def test_the_loop_is_plain_sgd(digits, backend):
    """Nesterov momentum and decay by their formulas, over the same batches."""
    recipe = replace(RECIPE, momentum=0.8, weight_decay=0.01)
    replica = make_replica()
    net = copy.deepcopy(replica.net)
    velocity = [torch.zeros_like(p) for p in net.parameters()]
    order = STREAMS.generator("order")
    for _ in range(2):
        for inputs, labels in training_batches(digits, recipe, [order], None):
            loss = functional.cross_entropy(net(inputs), labels[0])
            gradients = torch.autograd.grad(loss, list(net.parameters()))
            with torch.no_grad():
                for p, v, g in zip(net.parameters(), velocity, gradients, strict=True):
                    g = g + 0.01 * p
                    v.mul_(0.8).add_(g)
                    p -= 0.1 * (g + 0.8 * v)
    outcome = train_one(replica, digits, backend, recipe)
    torch.testing.assert_close(state(replica.net), state(net), rtol=1e-4, atol=1e-6)
    assert outcome.failure is None


def test_the_control_arm_is_fine_tuned_like_a_pruned_network_that_keeps_everything(digits, backend):
    control, everything = make_replica(), make_replica(share=2.0)
    unmasked = Replica(make_net(), (), STREAMS)
    train_one(control, digits, backend)
    train_one(everything, digits, backend)
    assert torch.equal(state(control.net), state(everything.net))
    error = train_one(unmasked, digits, backend).error  # no way around the masks
    assert isinstance(error, ValueError)


def test_a_replica_does_not_depend_on_its_company(digits, backend):
    alone, among = make_replica(), make_replica()
    other = make_replica(share=0.5, streams=STREAMS.child("other"))
    train_one(alone, digits, backend)
    outcomes = train_replicas([other, among], digits, RECIPE, RECIPE.dense, backend)
    assert all(outcome.is_sound for outcome in outcomes)
    assert torch.equal(state(among.net), state(alone.net))
    assert not torch.equal(state(other.net), state(alone.net))


def test_training_draws_from_its_streams_alone(digits, backend):
    torch.manual_seed(1)
    one, two = make_replica(), make_replica()
    train_one(one, digits, backend)
    torch.manual_seed(2)
    train_one(two, digits, backend)
    assert torch.equal(state(one.net), state(two.net))
    three = make_replica(streams=Streams((1,)))
    train_one(three, digits, backend)
    assert not torch.equal(state(one.net), state(three.net))


def test_divergence_is_an_outcome(digits, backend):
    outcome = train_one(make_replica(), digits, backend, schedule=((3, 1e9),))
    assert outcome.failure is not None
    assert "epoch" in outcome.failure
    assert not math.isfinite(outcome.train_loss)


def test_best_validation_keeps_the_epoch_with_the_lowest_validation_loss(digits, backend):
    # the second phase is far too fast, so the first one is better
    schedule = ((3, 0.05), (2, 3.0))
    last, best, short = make_replica(), make_replica(), make_replica()
    train_one(last, digits, backend, RECIPE, schedule)
    train_one(best, digits, backend, replace(RECIPE, checkpoint="best-validation"), schedule)
    train_one(short, digits, backend, RECIPE, ((3, 0.05),))
    losses = [mean_loss(r.net, digits, digits.validation) for r in (last, best, short)]
    assert losses[1] <= losses[2] < losses[0]


def test_the_test_images_play_no_part_in_training(digits, backend):
    scrambled = replace(digits, test=replace(digits.test, labels=digits.test.labels.flip(0)))
    one, two = make_replica(), make_replica()
    recipe = replace(RECIPE, checkpoint="best-validation")
    train_one(one, digits, backend, recipe)
    train_one(two, scrambled, backend, recipe)
    assert torch.equal(state(one.net), state(two.net))


def test_learning_rates_by_phase_and_shape():
    rates = learning_rates(((1, 0.1), (2, 0.01)), 3)
    assert rates == [0.1] * 3 + [0.01] * 6
    cosine = learning_rates(((2, 1.0, "cosine"),), 2)
    assert cosine == pytest.approx(
        [(1 + math.cos(math.pi * x)) / 2 for x in (1 / 8, 3 / 8, 5 / 8, 7 / 8)]
    )
    cycle = learning_rates(((4, 2.0, "one-cycle"),), 1)
    assert cycle == pytest.approx([1.0, 2 * 0.625 / 0.75, 2 * 0.375 / 0.75, 2 * 0.125 / 0.75])


def test_layers_that_draw_at_random_draw_from_the_streams_of_their_network(digits):
    """Dropout takes its numbers from torch's global generator; what came before must not matter."""

    def trained(disturbance):
        replica = make_replica()
        replica.net.insert(1, torch.nn.Dropout(0.5))
        torch.manual_seed(disturbance)
        train_one(replica, digits, LOOP)
        return torch.cat([parameter.flatten() for parameter in replica.net.parameters()])

    assert torch.equal(trained(1), trained(2))
