import pytest
import torch
from torch.nn import functional

from runners.masks import largest, prunable_tensors
from runners.methods.method import Training
from tests.runners.studies import compressed, flat, mask, network, parent

SNIP = [{"name": "snip"}]


def trained_as(net, value):
    """Return a network with other weights than at initialisation."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(value)
    return net


def initial(spec, digits):
    return parent(spec, digits).initial()


def test_the_score_is_the_sensitivity_to_switches_on_one_batch_of_initial_weights(digits):
    """|dL/dc| at c = 1, by putting a switch on every weight."""
    spec = network(method=SNIP)
    net = initial(spec, digits)
    order = torch.randperm(len(digits.train), generator=spec.streams.generator("gradient"))[:40]
    inputs, labels = digits.normalised(digits.train.pixels[order]), digits.train.labels[order]
    weights = dict(net.named_parameters())
    names = [n for n, w in weights.items() if any(w is t for t in prunable_tensors(net))]
    switches = {name: torch.ones_like(weights[name], requires_grad=True) for name in names}
    switched = {name: switches.get(name, 1) * weight for name, weight in weights.items()}
    outputs = torch.func.functional_call(net.train(), switched, inputs)
    loss = functional.cross_entropy(outputs, labels)
    gradients = torch.autograd.grad(loss, list(switches.values()))
    sensitivity = torch.cat([g.flatten() for g in gradients]).abs()
    made = compressed(spec, digits, net=trained_as(initial(spec, digits), 0.5))
    for ratio in (2, 10):
        found = mask(made["snip", ratio])
        assert torch.equal(found, largest(sensitivity, int(found.sum())))


def test_training_starts_from_the_initial_weights_that_stay(digits):
    spec = network(method=SNIP)
    theta = flat(initial(spec, digits))
    made = compressed(spec, digits, net=trained_as(initial(spec, digits), 0.5))["snip", 2]
    assert made.pruned is None
    assert isinstance(made.finetune, Training)
    assert made.finetune.schedule == spec.recipe.dense
    assert torch.equal(flat(made.finetune.replica.net), theta * mask(made))


def test_masks_are_exact_and_only_shrink(digits):
    made = compressed(network(method=SNIP), digits)
    small, large = mask(made["snip", 10]), mask(made["snip", 2])
    total = 64 * 24 + 24 + 24 * 12 + 12 + 12 * 10 + 10
    for ratio in (2, 10):
        assert made["snip", ratio].n_remaining == round(total / ratio)
    assert not (small & ~large).any()


def test_one_batch_in_train_mode_unless_the_study_says_otherwise(digits):
    [one] = network(method=SNIP).methods
    assert (one.gradient.batches, one.gradient.mode) == (1, "train")
    spec = network(method=[{"name": "snip"}, {"name": "snip", "label": "all", "batches": "all"}])
    made = compressed(spec, digits)
    assert not torch.equal(mask(made["snip", 10]), mask(made["all", 10]))
    assert made["all", 10].mean_theta_grad == pytest.approx(made["snip", 10].mean_theta_grad, rel=1)
