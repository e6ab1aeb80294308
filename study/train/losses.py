"""Losses: relativistic pairs with gradient penalties (R3GAN, arXiv:2501.05441), and the denoiser's log squared error."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import Optimizer

from gan_denoise.study.train.optim import optimizer_step

ERROR_FLOOR = 1e-6  # a squared error that counts as none: 60 dB


def discriminator_step(
    discriminator: nn.Module, adam: Optimizer, real: Tensor, label: Tensor, fake: Tensor, penalty: float
) -> tuple[Tensor, dict[str, float]]:
    """One update of a conditional discriminator, each fake paired with a real image of its class.

    Takes real images and fakes (B, C, H, W) in [0, 1] and their classes (B,). A `penalty` above 0 weighs the gradient
    penalty of this step. Returns the gradient of the generator's loss to the fakes, as the updated discriminator sees
    them, and numbers to log: both losses, and the share of pairs whose real image has the higher logit. A logit by
    itself says nothing here: the losses see differences alone, so zero is no border between real and fake.
    """
    pair, labels = torch.cat([real, fake.detach()]), torch.cat([label, label])
    real_logits, fake_logits = discriminator(pair, labels).chunk(2)
    loss = total = discriminator_loss(real_logits, fake_logits)
    if penalty:
        pair.requires_grad_()
        with torch.autocast(real.device.type, enabled=False):  # second derivatives want the precision
            total = loss + penalty * gradient_penalty(discriminator(pair, labels), pair)
    optimizer_step(adam, total)

    discriminator.requires_grad_(False)  # only the gradient to the image is needed
    with torch.no_grad():
        reference = discriminator(real, label)
    image = fake.detach().requires_grad_()
    fooled = generator_loss(reference, discriminator(image, label))
    (gradient,) = torch.autograd.grad(fooled, image)
    discriminator.requires_grad_(True)
    return gradient, {
        "discriminator_loss": loss.item(),
        "generator_loss": fooled.item(),
        "pair_accuracy": (real_logits > fake_logits).float().mean().item(),
    }


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """How badly the discriminator tells pairs apart, from logits (B,) each: 0 when each real one is far above its fake.

    Source: Jolicoeur-Martineau 2018, arXiv:1807.00734, without its average; the pairs are as they come.
    """
    return softplus(fake - real).mean()


def generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The same seen from the other side: 0 when each fake is far above its real one."""
    return softplus(real - fake).mean()


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """The mean squared length of the logits' gradient to the images, in units of [-1, 1]; images want gradients.

    On a batch of as many real images as fakes it is (R1 + R2) / 2. Source: Mescheder et al. 2018, arXiv:1801.04406.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return (gradient / 2).square().sum(dim=(1, 2, 3)).mean()  # pixels are in [0, 1], half as wide as [-1, 1]


def set_class(z: Tensor, label: Tensor, classes: int = 10) -> Tensor:
    """Latents (N, latent_size) whose last `classes` entries name the classes `label` (N,), int64.

    The largest of those entries changes places with the class's own, so z stays normal over all classes.
    """
    entries = z[:, -classes:]  # (N, classes)
    rows = torch.arange(len(z), device=z.device)
    largest = entries.argmax(dim=1)
    swapped = entries.clone()
    swapped[rows, largest], swapped[rows, label] = entries[rows, label], entries[rows, largest]
    return torch.cat([z[:, :-classes], swapped], dim=1)


def log_squared_error(restored: Tensor, target: Tensor, floor: float = ERROR_FLOOR) -> Tensor:
    """The mean over images of log(mean squared error + floor), which is PSNR but for scale: all strengths count alike.

    An error below the floor counts as none.
    """
    error = (restored - target).square().mean(dim=(1, 2, 3))  # (B,)
    return (error + floor).log().mean()
