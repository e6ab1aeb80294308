"""The training step of the feature network."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from gan_denoise.models.classifier import FeatureNetwork
from gan_denoise.study.train.classifier import classifier_step


def test_a_step_returns_loss_and_accuracy_of_its_batch_and_lowers_the_loss() -> None:
    torch.manual_seed(0)
    network = FeatureNetwork((4, 8))
    sgd = torch.optim.SGD(network.parameters(), lr=0.1)
    image = torch.rand(8, 1, 28, 28)
    logits = network(image)[1]
    label = logits.argmax(1)
    label[:2] = (label[:2] + 1) % 10  # two of eight are wrong
    expected = cross_entropy(logits, label, label_smoothing=0.1).item()
    steps = [classifier_step(network, sgd, image, label, label_smoothing=0.1) for _ in range(10)]
    assert steps[0][0] == pytest.approx(expected, rel=1e-5)
    assert steps[0][1] == 0.75
    assert steps[-1][0] < steps[0][0]
