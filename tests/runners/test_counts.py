import pytest
import torch

from runners.counts import class_counts
from runners.evaluation import logits, mean_loss
from runners.nets import build


def test_counts_by_hand():
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    dense = torch.tensor([0, 0, 1, 1, 2, 2])
    here = torch.tensor([0, 1, 0, 1, 1, 1])
    counts = class_counts(here, labels, dense, n_classes=4)
    assert counts.n.tolist() == [3, 2, 1, 0]
    assert counts.correct.tolist() == [2, 2, 0, 0]
    assert counts.predicted.tolist() == [2, 4, 0, 0]
    assert counts.kept.tolist() == [1, 1, 0, 0]  # correct here and in the dense network


@pytest.mark.parametrize("name", ["mlp-small", "resnet20"])
def test_counts_do_not_depend_on_the_batch_size(name, digits):
    net = build(name, {}, digits.train.shape, 10, seed=0)
    # running statistics that are not those of the batch, so that a forgotten eval() shows
    net.train()(digits.normalised(digits.train.pixels))
    net.train()
    predictions = [logits(net, digits, digits.test, batch).argmax(1) for batch in (7, 100, 899)]
    assert torch.equal(predictions[0], predictions[1])
    assert torch.equal(predictions[0], predictions[2])


def test_the_mean_loss_of_equal_logits_is_the_log_of_the_number_of_classes(digits):
    net = build("mlp", {}, digits.train.shape, 10, seed=0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    assert mean_loss(net, digits, digits.test) == pytest.approx(
        torch.log(torch.tensor(10.0)).item()
    )
