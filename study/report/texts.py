"""The report's fixed texts: what was done, for the paper's networks and for our own."""

from __future__ import annotations

TITLE = "Enhancing image generation with a denoising GAN"
ABSTRACT = (
    "A GAN was trained on Fashion-MNIST. A denoiser was trained separately, on the same images with Gaussian noise. "
    "{joint}Both were exported to ONNX, fused into one graph that generates and denoises, and measured there."
)
JOINT_TRAINING = "Then both were trained jointly. "
PAPER_TEXTS = {
    "opening": "The networks are the paper's (section 3.1.1).",
    "discriminator": "The **discriminator** downsamples the image with strided convolutions, each followed by "
    "LeakyReLU and dropout. Its output is one logit, positive for real.",
    "denoiser": "The **denoiser** is a convolutional autoencoder. A noise layer, active in training only, adds "
    "Gaussian noise to its input. Its output is a sigmoid.",
    "generator": "The **generator** maps 100 standard normal numbers to an image: a dense layer, then transposed "
    "convolutions with batch norm and LeakyReLU. Its output is a sigmoid.",
    "losses": "Losses and optimizer are the paper's: binary cross-entropy for the GAN (non-saturating for the "
    "generator), mean squared error to the clean image for the denoiser, Adam for all three networks.",
}
BEST_TEXTS = {
    "opening": "The networks are our own, trained within the paper's budget of real images.",
    "discriminator": "The **discriminator** downsamples the image with strided convolutions and LeakyReLU, without "
    "normalization and dropout. Its output is one logit for each class (projection discriminator, Miyato and Koyama "
    "2018, arXiv:1802.05637), positive for real.",
    "denoiser": "The **denoiser** is a small U-Net on space-to-depth pixels, without biases and normalization. Its "
    "blocks are inverted bottlenecks with a depthwise convolution (Sandler et al. 2018, arXiv:1801.04381). It is "
    "blind: it gets no noise level, and predicts the noise, which is subtracted (Mohan et al. 2020, arXiv:1906.05478).",
    "generator": "The **generator** maps 100 standard normal numbers to an image; the largest of the last ten selects "
    "the class. It has a dense layer, transposed convolutions and a residual block, with batch norm and LeakyReLU.",
    "losses": "The GAN has a relativistic pairing loss on pairs of one class, with lazy R1 and R2 penalties (Huang et "
    "al. 2025, arXiv:2501.05441), and an EMA of the generator's weights. The denoiser minimizes the logarithm of each "
    "image's mean squared error. Where the preset has a stage `joint`, both are then trained jointly: the denoiser "
    "also has an adversarial loss, from a discriminator of its own that sees denoised generated images, and the "
    "gradient of that loss reaches the generator through the denoiser.",
}
DATA = (
    "Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747; MIT licence): 60,000 training and 10,000 test images of "
    "clothes, 28x28 pixels, grey, ten classes. Pixels are divided by 255. Hyperparameters were chosen on the last "
    "5,000 training images; the test images are used only for the tables below."
)
METRICS = (
    "FFD-1 is the Fréchet distance to the test images on the features {features} of a Fashion-MNIST classifier. It is "
    "not FID, and its values cannot be compared with FID. KID is the kernel distance on the same features, ± its "
    "standard error. Precision and density measure how many images look real, recall and coverage how much of the "
    "diversity of real images is reached. Class preserved: the fraction of images that the classifier assigns to "
    "the same class before and after denoising."
)
LIMITS = (
    "The images are small and grey. The denoiser is trained on Gaussian noise only; the noise of cameras differs.",
    "With only a squared-error loss, a denoiser predicts the mean of the possible clean images, which is blurred. "
    "Sharpness, the variance of the Laplacian, rises with noise and with edges: a lower value means less noise, less "
    "detail or both.",
    "The wavelet estimate counts fine texture as noise, in real images too. It can disagree with the power spectra.",
    "A number without ± or brackets has no interval: it is from one set of images, or from one training run.",
    "Times are for the machine and the number of threads given below each table.",
)
