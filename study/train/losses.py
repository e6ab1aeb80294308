"""Losses: relativistic pairs with gradient penalties (R3GAN, arXiv:2501.05441), and log squared error."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import Optimizer

from gan_denoise.models.z_layout import split_z
from gan_denoise.study.run.ranks import as_whole_batch
from gan_denoise.study.train.augmentation import augment
from gan_denoise.study.train.optim import optimizer_step

ERROR_FLOOR = 1e-6  # added to a mean squared error before the logarithm: 60 dB


def discriminator_step(
    discriminator: nn.Module,
    adam: Optimizer,
    real: Tensor,
    label: Tensor,
    fake: Tensor,
    penalty: float,
    augmented: bool = False,
) -> tuple[Tensor, dict[str, float]]:
    """One update of a conditional discriminator, each fake image paired with a real one of its class.

    Takes real and fake images (B, C, H, W) in [0, 1] and their classes (B,); `penalty` is the weight of the gradient
    penalty, 0 for none. If `augmented`, the discriminator sees all images as `augment` changes them. Returns the
    gradient of the generator's loss with respect to the fake images, (B, C, H, W), computed with the updated
    discriminator, and scalars for the log: both losses, and the fraction of pairs whose real image has the higher
    logit. The losses depend on differences of logits only, so the sign of one has no meaning.
    """
    see: Callable[[Tensor], Tensor] = partial(as_whole_batch, augment) if augmented else lambda images: images
    pair, labels = see(torch.cat([real, fake.detach()])), torch.cat([label, label])
    real_logits, fake_logits = discriminator(pair, labels).chunk(2)
    loss = total = discriminator_loss(real_logits, fake_logits)
    if penalty:
        pair.requires_grad_()
        with torch.autocast(real.device.type, enabled=False):  # second derivatives need float32
            total = loss + penalty * gradient_penalty(discriminator(pair, labels), pair)
    optimizer_step(adam, total)

    discriminator.requires_grad_(False)  # only the gradient with respect to the image is needed
    with torch.no_grad():
        real_logits_after = discriminator(see(real), label)
    image = fake.detach().requires_grad_()
    loss_of_generator = generator_loss(real_logits_after, discriminator(see(image), label))
    (gradient,) = torch.autograd.grad(loss_of_generator, image)
    discriminator.requires_grad_(True)
    return gradient, {
        "discriminator_loss": loss.item(),
        "generator_loss": loss_of_generator.item(),
        "pair_accuracy": (real_logits > fake_logits).float().mean().item(),
    }


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The relativistic loss of real and fake logits, (B,) each; near 0 if each real logit is far above its fake one.

    Source: Jolicoeur-Martineau 2018, arXiv:1807.00734, on pairs instead of averages.
    """
    return softplus(fake - real).mean()


def generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The relativistic loss of the generator; near 0 if each fake logit is far above its real one."""
    return softplus(real - fake).mean()


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """The mean squared norm of the gradient of the logits (B,) with respect to the images, with pixels in [-1, 1].

    `images` must require gradients. On a batch of as many real as fake images it is (R1 + R2) / 2.
    Source: Mescheder et al. 2018, arXiv:1801.04406.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return (gradient / 2).square().sum(dim=(1, 2, 3)).mean()  # the images are in [0, 1], half as wide as [-1, 1]


def set_class(z: Tensor, label: Tensor, classes: int = 10) -> Tensor:
    """Latents (N, latent_size) whose last `classes` entries choose the classes `label` (N,), int64.

    Swaps the largest of these entries with the entry of the class, so z stays normal over all classes.
    """
    free, entries = split_z(z, classes)
    rows = torch.arange(len(z), device=z.device)
    largest = entries.argmax(dim=1)
    swapped = entries.clone()
    swapped[rows, largest], swapped[rows, label] = entries[rows, label], entries[rows, largest]
    return torch.cat([free, swapped], dim=1)


def log_squared_error(restored: Tensor, target: Tensor, floor: float = ERROR_FLOOR) -> Tensor:
    """The mean over images of log(mean squared error + floor), a scaled PSNR: all noise levels have equal weight.

    `floor` bounds the loss for images that are restored almost perfectly.
    """
    error = (restored - target).square().mean(dim=(1, 2, 3))  # (B,)
    return (error + floor).log().mean()
