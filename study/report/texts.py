"""The report's fixed texts: what was done, for the paper's networks and for our own."""

from __future__ import annotations

from collections import Counter

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import format_shape
from gan_denoise.export.run_folder import GAN
from gan_denoise.export.training_data import TITLES, from_fingerprint
from gan_denoise.markdown import escape_markdown
from gan_denoise.study.report.results import Study

TITLE = "Enhancing image generation with a denoising GAN"
ABSTRACT = (
    "A GAN was trained on {data}. A denoiser was trained separately, on the same images with Gaussian noise. "
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
    "generator": "The **generator** maps 100 standard normal numbers to an image; the largest of the last ones, one "
    "for each class, selects the class. It has a dense layer, transposed convolutions and a residual block, with batch "
    "norm and LeakyReLU.",
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
OWN_METRICS = (
    "The distance is the Fréchet distance to the test images on the features {features}; it is not FID unless these "
    "are Inception's, and it is left out where there are fewer images than features. KID is the kernel distance on the "
    "same features, ± its standard error. Precision and density measure how many images look real, recall and coverage "
    "how much of the diversity of real images is reached. Class preserved: the fraction of images that the classifier "
    "assigns to the same class before and after denoising; class accuracy: to the class that was asked for."
)
LIMIT_OF_FASHION_MNIST = (
    "The images are small and grey. The denoiser is trained on Gaussian noise only; the noise of cameras differs."
)
LIMIT_OF_OWN_DATA = (
    "The denoiser is trained on Gaussian noise only; the noise of cameras and of other instruments differs. A model of "
    "medical images is no medical device: do not use it for a diagnosis."
)
LIMITS = (
    "With only a squared-error loss, a denoiser predicts the mean of the possible clean images, which is blurred. "
    "Sharpness, the variance of the Laplacian, rises with noise and with edges: a lower value means less noise, less "
    "detail or both.",
    "The wavelet estimate counts fine texture as noise, in real images too. It can disagree with the power spectra.",
    "A number without ± or brackets has no interval: it is from one set of images, or from one training run.",
    "Times are for the machine and the number of threads given below each table.",
)


def data_name(study: Study) -> str:
    """The data set in words."""
    name = from_fingerprint(study.fingerprint(GAN)).name if study.fingerprint(GAN) else "fashion-mnist"
    return TITLES.get(str(name), escape_markdown(name or "unnamed data"))


def describe_data(study: Study) -> str:
    """The images of a study on own data: number, size, classes and how the test images were chosen."""
    if study.dataset is None:
        return f"{data_name(study).capitalize()}; the images were not at hand for this report."
    dataset, (channels, *sides) = study.dataset, study.dataset.train.shape
    kind = f"{format_shape(tuple(sides))} pixels, {'grey' if channels == 1 else 'in colour'}"
    others = f", {len(dataset.validation):,} for validation" if dataset.validation is not None else ""
    return (
        f"{data_name(study)[:1].upper()}{data_name(study)[1:]}, {escape_markdown(dataset.source)}: "
        f"{len(dataset.train):,} training and {len(dataset.test):,} test images{others}, {kind}, "
        f"{_describe_classes(dataset)}. Pixels are divided by 255. Test split: {dataset.split or 'as given'}."
    )


def _describe_classes(dataset: Dataset) -> str:
    if not dataset.classes:
        return "without classes"
    counts = Counter(dataset.train.labels.tolist())
    named = [f"{escape_markdown(name)} ({counts[i]:,})" for i, name in enumerate(dataset.classes[:20])]
    more = f" and {len(dataset.classes) - 20} more" if len(dataset.classes) > 20 else ""
    return f"{len(dataset.classes)} classes (training images): {', '.join(named)}{more}"
