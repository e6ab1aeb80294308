"""Train a feature network, that of FFD-1 or the second: a classifier whose penultimate layer gives the features."""

from __future__ import annotations

import math
from pathlib import Path
from typing import assert_never

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torch.optim import SGD, Optimizer

from gan_denoise.data.dataset import Dataset, Split, split_classifier_fit
from gan_denoise.data.dataset_options import FASHION_MNIST
from gan_denoise.data.fashion_mnist import CLASSES
from gan_denoise.errors import InputError
from gan_denoise.export.convert import weights
from gan_denoise.export.run_folder import RunFolder
from gan_denoise.models.classifier import FeatureNetwork, ResidualFeatureNetwork
from gan_denoise.study.config import AnyClassifierConfig, ClassifierConfig, ResidualClassifierConfig, RunOptions
from gan_denoise.study.run import ranks
from gan_denoise.study.run.device import on_device, prepare_torch, training_precision
from gan_denoise.study.run.metadata import run_fingerprint
from gan_denoise.study.run.stage import Stage
from gan_denoise.study.train.architecture import write_architecture
from gan_denoise.study.train.batches import batch_indices, mirror_half, scale_pixels, seed_step, steps_per_epoch
from gan_denoise.study.train.image_shape import channel_kwargs
from gan_denoise.study.train.optim import optimizer_step, set_lr

SHIFT = 2  # pixels, the largest shift of the augmentation


def train_classifier(config: AnyClassifierConfig, dataset: Dataset, run: Path, options: RunOptions) -> None:
    """Train in `run`/classifier and write `classifier.safetensors` there; resumes from the last checkpoint.

    Trains on the first 50,000 training images at most; the log gets the accuracy on the other 10,000.
    Raises what Stage.open raises, and DivergedError if a loss or a gradient is not finite.
    """
    folder = RunFolder(run).classifier
    device = prepare_torch(options)
    torch.manual_seed(options.seed)
    image_kwargs = classifier_kwargs(dataset)
    network = on_device(build_classifier(config, **image_kwargs), device)
    sgd = SGD(
        network.parameters(), config.learning_rate, config.momentum, nesterov=True, weight_decay=config.weight_decay
    )
    fit, unseen = split_classifier_fit(dataset.train)
    images = torch.from_numpy(fit.images[: config.images]).to(device)
    labels = torch.from_numpy(fit.labels[: config.images].astype(np.int64)).to(device)
    fingerprint = run_fingerprint(config, dataset, options)
    epoch_steps = steps_per_epoch(len(images), config.batch)
    total_steps = config.epochs * epoch_steps
    is_fashion_mnist = dataset.name == FASHION_MNIST  # whose classes look the same in a mirror

    with Stage.open(
        folder, fingerprint, {"network": network, "sgd": sgd}, config.epochs, epoch_steps, len(images), options
    ) as stage:
        write_architecture(folder)
        for step in stage.steps():
            # batch
            seed_step(options.seed, step)
            indices = batch_indices(options.seed, step, len(images), config.batch).to(device)
            image = augment(scale_pixels(images[indices]), dataset.flip or is_fashion_mnist)  # (B, C, H, W) in [0, 1]

            # step
            set_lr(sgd, one_cycle_lr(step, total_steps, config.learning_rate))
            with training_precision(device, options):
                loss, accuracy = classifier_step(network, sgd, image, labels[indices], config.label_smoothing)
            stage.accumulate(loss=loss, accuracy_training=accuracy)

            # log
            if stage.is_epoch_end(step):
                stage.log_epoch(step, len(images), accuracy_unseen=measure_accuracy(network, unseen))

            # save
            stage.end_step(step)
        if stage.is_first:
            weights.save_weights(folder.weights("classifier"), network, {"widths": config.widths, **image_kwargs})


def classifier_kwargs(dataset: Dataset) -> dict[str, int]:
    """The arguments `classes` and `channels` of a classifier, where they are not the defaults.

    Raises InputError for a data set without two classes.
    """
    count = len(dataset.classes)
    if count < 2:
        raise InputError.expected(dataset.source, "two classes or more", count, "a folder for each class, or --labels")
    return {**channel_kwargs(dataset), **({} if count == len(CLASSES) else {"classes": count})}


def build_classifier(config: AnyClassifierConfig, **image_kwargs: int) -> FeatureNetwork | ResidualFeatureNetwork:
    """The untrained network of `config`; `image_kwargs` are `classes` and `channels`."""
    match config:
        case ClassifierConfig():
            return FeatureNetwork(config.widths, **image_kwargs)
        case ResidualClassifierConfig():
            return ResidualFeatureNetwork(config.widths, **image_kwargs)
        case _:
            assert_never(config)


def classifier_step(
    network: nn.Module, sgd: Optimizer, image: Tensor, label: Tensor, label_smoothing: float
) -> tuple[float, float]:
    """One update from images (B, C, H, W) and labels (B,). Returns the loss and the accuracy in [0, 1]."""
    image, label = ranks.rows(image, label)
    logits = network(image)[1].float()  # (B, classes)
    loss = cross_entropy(logits, label, label_smoothing=label_smoothing)
    optimizer_step(sgd, loss)
    return loss.item(), (logits.argmax(1) == label).float().mean().item()


def augment(image: Tensor, flip: bool = True) -> Tensor:
    """Mirror half of the images if `flip`, and shift the batch by up to 2 pixels; the shape (B, C, H, W) stays."""
    image = mirror_half(image) if flip else image
    down, right = (int(shift) for shift in torch.randint(0, 2 * SHIFT + 1, (2,)))
    height, width = image.shape[-2:]
    return pad(image, (SHIFT,) * 4)[..., down : down + height, right : right + width]


def one_cycle_lr(step: int, total_steps: int, peak: float) -> float:
    """The learning rate of a one-cycle schedule: a cosine from 1/25 of the peak up to it, and one down to 0.

    The first 30 % of the steps go up.
    Source: Smith and Topin 2017, arXiv:1708.07120.
    """
    rise = 0.3 * total_steps
    if step < rise:
        return peak * (1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * step / rise)) / 2)
    return peak * (1 + math.cos(math.pi * (step - rise) / (total_steps - rise))) / 2


@torch.no_grad()
def measure_accuracy(network: nn.Module, split: Split, batch: int = 500) -> float:
    """The accuracy in [0, 1], with the network in evaluation mode."""
    device = next(network.parameters()).device
    network.eval()
    correct = 0
    for start in range(0, len(split), batch):
        image = scale_pixels(torch.from_numpy(split.images[start : start + batch]).to(device))
        label = torch.from_numpy(split.labels[start : start + batch]).to(device)
        correct += int((network(image)[1].argmax(1) == label).sum())
    network.train()
    return correct / len(split)
