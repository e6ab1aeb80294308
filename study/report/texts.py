"""The report's standing texts: what was done, in the paper's words and for our own networks."""

from __future__ import annotations

TITLE = "Enhancing image generation with a denoising GAN"
ABSTRACT = (
    "A GAN was trained on Fashion-MNIST and, apart from it, a denoiser on the same images with Gaussian noise. "
    "{joined}Both were exported to ONNX, fused into one graph that generates and denoises, and measured there."
)
JOINED = "Then both were trained on as one system. "
PAPER_TEXTS = {
    "opening": "The networks are the paper's (section 3.1.1).",
    "discriminator": "The **discriminator** halves the image with convolutions, each followed by LeakyReLU and "
    "dropout, down to one number: positive says real.",
    "denoiser": "The **denoiser** adds the noise itself, in training only, then compresses the image and expands it "
    "again. A sigmoid ends it.",
    "generator": "The **generator** makes an image of 100 normal numbers: a dense layer, then transposed convolutions "
    "with batch norm and LeakyReLU. A sigmoid ends it.",
    "losses": "Losses and optimizer are the paper's: binary cross-entropy for the GAN (the generator's in its "
    "non-saturating form), mean squared error against the clean image for the denoiser, Adam for all three.",
}
BEST_TEXTS = {
    "opening": "The networks are ours, within the paper's budget of real images.",
    "discriminator": "The **discriminator** halves the image with convolutions and LeakyReLU, without any norm or "
    "dropout, down to one number a class (Miyato and Koyama 2018, arXiv:1802.05637): positive says real.",
    "denoiser": "The **denoiser** is a small U-Net on sub-pixels without biases and norms. It is not told the "
    "strength of the noise, which it finds and subtracts (Mohan et al. 2020, arXiv:1906.05478).",
    "generator": "The **generator** makes an image of 100 normal numbers, of which the largest of the last ten "
    "chooses the class: a dense layer, transposed convolutions and a residual block with batch norm and LeakyReLU.",
    "losses": "The GAN is trained on relativistic pairs of one class with lazy R1 and R2 penalties (Huang et al. 2025, "
    "arXiv:2501.05441), its generator's weights averaged; the denoiser on the logarithm of each image's squared "
    "error. Where the preset has a stage `join`, both then go on as one system: the denoiser has to deceive a "
    "discriminator of its own with what it makes of generated images, and the generator is trained through it.",
}
