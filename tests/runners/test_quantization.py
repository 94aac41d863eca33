import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from distortion.errors import StudyError
from runners.evaluation import logits
from runners.masks import size_of
from runners.methods.quantization import quantizable, quantize, rounded
from runners.nets import build
from tests.runners.studies import compressed, network, parent


def layer_of(weights):
    layer = nn.Linear(len(weights[0]), len(weights), bias=False)
    layer.weight.data = torch.tensor(weights)
    return layer


def spec(**options):
    return network(method=[{"name": "round-to-nearest", **options}])


def test_by_hand():
    # 3 bits: levels -3 .. 3. Channel 1: delta 6 / 3 = 2; channel 2: delta 0.5
    layer = layer_of([[6.0, -2.9, 0.9, 1.2], [1.5, -1.2, 0.2, -0.3]])
    assert quantize(layer, 3, "channel").flatten().tolist() == [2.0, 0.5]
    assert layer.weight.tolist() == [[6.0, -2.0, 0.0, 2.0], [1.5, -1.0, 0.0, -0.5]]
    whole = layer_of([[6.0, -2.9, 0.9, 1.2], [1.5, -1.2, 0.2, -0.3]])
    assert quantize(whole, 3, "tensor").tolist() == [[2.0]]
    assert whole.weight.tolist() == [[6.0, -2.0, 0.0, 2.0], [2.0, -2.0, 0.0, 0.0]]


@given(
    bits=st.integers(2, 8),
    per=st.sampled_from(["channel", "tensor"]),
    seed=st.integers(0, 5),
    scale=st.floats(1e-3, 1e3),
)
def test_weights_move_by_half_a_step_at_most_to_few_levels(bits, per, seed, scale):
    torch.manual_seed(seed)
    layer = nn.Conv2d(3, 5, 3)
    layer.weight.data.mul_(scale)
    before = layer.weight.detach().clone()
    step = quantize(layer, bits, per)
    slack = 1 + 1e-4  # single precision, 8 bits
    assert ((layer.weight - before).abs() <= step / 2 * slack).all()
    integers = layer.weight / step
    torch.testing.assert_close(integers, integers.round(), rtol=0, atol=1e-3)
    top = 2 ** (bits - 1) - 1
    assert integers.abs().max() <= top + 1e-3
    assert step.numel() == (5 if per == "channel" else 1)


def test_quantization_is_symmetric_and_does_nothing_twice():
    torch.manual_seed(0)
    layer = nn.Linear(20, 7)
    mirrored = copy.deepcopy(layer)
    mirrored.weight.data.neg_()
    quantize(layer, 4, "channel")
    quantize(mirrored, 4, "channel")
    assert torch.equal(mirrored.weight, -layer.weight)
    once = layer.weight.detach().clone()
    quantize(layer, 4, "channel")
    torch.testing.assert_close(layer.weight, once)


def test_a_channel_of_zeros_stays_zero():
    layer = layer_of([[0.0, 0.0], [1.0, 0.4]])
    quantize(layer, 8, "channel")
    assert layer.weight[0].tolist() == [0.0, 0.0]
    assert rounded(torch.zeros(2), torch.zeros(1), 8).tolist() == [0.0, 0.0]


def test_output_channels_of_transposed_convolutions_are_their_second_axis():
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(3, 5, 2)
    assert quantize(layer, 8, "channel").shape == (1, 5, 1, 1)


def test_ratios_are_bits_before_and_after(digits):
    made = compressed(spec(), digits)
    assert list(made) == [("round-to-nearest", 4.0), ("round-to-nearest", 8.0)]
    weights, biases, steps = 64 * 24 + 24 * 12 + 12 * 10, 24 + 12 + 10, 24 + 12 + 10
    for (_, ratio), copied in made.items():
        bits = 32 / ratio
        assert copied.n_remaining == math.ceil((bits * weights + 32 * (biases + steps)) / 32)
        assert copied.finetune is None
        assert 1 < size_of(copied.pruned).total / copied.n_remaining < ratio


@pytest.mark.parametrize("name", ["lenet", "resnet20"])
def test_all_linear_and_convolutional_weights_are_quantized_and_nothing_else(name, digits):
    net = build(name, {}, (3, 32, 32), 10, seed=0)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    [made] = compressed(spec(bits=[4]), digits, net=net).values()
    changed = {k for k, v in made.pruned.state_dict().items() if not torch.equal(v, before[k])}
    layers = [k for k, m in net.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert changed == {f"{key}.weight" for key in layers}
    assert len(quantizable(net)) == len(layers)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_with_many_bits_the_outputs_are_those_of_the_network(digits):
    made = compressed(spec(bits=[16], activation_bits=16), digits)
    net = parent(spec(), digits).net
    for copied in made.values():
        ours, theirs = (logits(n, digits, digits.train) for n in (copied.pruned, net))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)


def test_activations_take_few_values_and_cost_their_ranges(digits):
    [plain] = compressed(spec(bits=[8]), digits).values()
    [both] = compressed(spec(bits=[8], activation_bits=3), digits).values()
    assert both.n_remaining == plain.n_remaining + 2 * 3
    seen = []
    for layer in quantizable(both.pruned):
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    logits(both.pruned, digits, digits.test, batch=len(digits.test))
    assert len(seen) == 3
    for inputs in seen:
        levels = inputs.unique()
        assert len(levels) <= 8
        assert (levels == 0).any()
        assert float(levels.diff().min()) > 0


def test_activations_are_off_by_half_a_step_within_the_range_seen(digits):
    net = parent(spec(), digits).net
    inputs = digits.normalised(digits.train.pixels).flatten(1)
    [made] = compressed(spec(bits=[16], activation_bits=4), digits, net=net).values()
    first = quantizable(made.pruned)[0]
    [rounding] = first._forward_pre_hooks.values()
    [after] = rounding(first, (inputs,))
    step = (max(float(inputs.max()), 0.0) - min(float(inputs.min()), 0.0)) / 15
    # the zero point is rounded too, so the ends of the range may be cut off by half a step
    inside = (inputs > inputs.min() + step / 2) & (inputs < inputs.max() - step / 2)
    assert ((after - inputs).abs() <= step / 2 * (1 + 1e-5))[inside].all()
    assert ((after - inputs).abs() <= step * (1 + 1e-5)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": []}, r"\[\[method\]\] 1: bits must be different whole numbers from 2 to 16"),
        ({"bits": [8, 8]}, "bits must be different"),
        ({"bits": [1]}, r"not \[1\]"),
        ({"bits": 8}, "bits must be a list"),
        ({"activation_bits": 32}, "activation_bits must be from 2 to 16, not 32"),
        ({"per": "layer"}, "per must be 'channel' or 'tensor'"),
        ({"match": "magnitude"}, "remove the key 'match'"),
        ({"scope": "global"}, "unknown key 'scope'"),
        ({"mode": "train"}, "takes no gradient"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(StudyError, match=message):
        spec(**options)
