"""Experiments beside the study: ablations of joint training, controls of equal cost, and baselines."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from gan_denoise.study.config import (
    BlindDenoiserConfig,
    Config,
    DenoiserConfig,
    DnCNNShape,
    FullyConnectedGanConfig,
    GanConfig,
    JointConfig,
    ResidualClassifierConfig,
)
from gan_denoise.study.presets import BEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """The stages to train, in this order. With `base`, `gan` and `denoiser` are those of that experiment and seed."""

    description: str
    gan: Config | None = None
    denoiser: Config | None = None
    joint: JointConfig | None = None
    classifier: Config | None = None
    base: str = ""  # the experiment whose finished `gan` and `denoiser` it starts from


FIT = 55_000  # training images; the others are held out, for choices between experiments
QUARTER_GAN = dataclasses.replace(BEST[0], epochs=5, images=FIT)
QUARTER_DENOISER = dataclasses.replace(BEST[1], epochs=5, images=FIT)
QUARTER_JOINT = JointConfig(gan=QUARTER_GAN, denoiser=QUARTER_DENOISER, epochs=1, images=FIT)
# Joint training updates two discriminators in its epoch, so seven epochs of the GAN only have as many updates.
GAN_ONLY = dataclasses.replace(QUARTER_GAN, epochs=7)
LARGE_GAN = dataclasses.replace(GAN_ONLY, generator_blocks=(1, 6, 0))  # as many operations as with the denoiser
# Early images need large changes, so the adversarial loss dominates; the generator gets no gradient from the denoiser.
JOINT_FROM_SCRATCH = JointConfig(
    gan=BEST[0],
    denoiser=BEST[1],
    from_scratch=True,
    backprop_through_denoiser=False,
    adversarial_weight=30.0,
    generator_learning_rate=4e-4,
    denoiser_learning_rate=1e-3,
    lr_decay_fraction=0.3,
    epochs=3,
    images=FIT,
)
SIXTEEN = dataclasses.replace(BEST[0], epochs=16)

# Small batches, a high learning rate, a small beta2, and no more images than needed (docs/speedrun.md).
SPEEDRUN = dataclasses.replace(
    BEST[0],
    discriminator_widths=(32, 64, 128),
    learning_rate=3e-3,
    beta2=0.9,
    lr_decay_fraction=0.7,
    ema_half_life_images=2_000,
    batch=32,
    epochs=1,
    images=24_000,
)

DNCNN_RATES = (3e-4, 1e-3, 3e-3)


def dncnn(rate: float) -> BlindDenoiserConfig:
    """DnCNN with the training cost of preset best's denoiser: 5 epochs take as long as 20 of the U-Net."""
    return BlindDenoiserConfig(network=DnCNNShape(), learning_rate=rate, epochs=5, images=FIT)


EXPERIMENTS = {
    "quarter": Experiment(
        description="joint training with a quarter of the budget",
        gan=QUARTER_GAN,
        denoiser=QUARTER_DENOISER,
        joint=QUARTER_JOINT,
    ),
    "gan-only": Experiment(
        description="control: the GAN only, with as many discriminator updates as quarter", gan=GAN_ONLY
    ),
    "large-gan": Experiment(
        description="control: the GAN only, with as many operations as generator and denoiser", gan=LARGE_GAN
    ),
    "sixteen": Experiment(
        description="16 epochs and joint training: fewer updates than 20 epochs of the GAN only",
        gan=SIXTEEN,
        denoiser=BEST[1],
        joint=JointConfig(gan=SIXTEEN, denoiser=BEST[1]),
    ),
    "joint-l2-only": Experiment(
        description="ablation: joint training with the L2 loss only",
        joint=dataclasses.replace(QUARTER_JOINT, adversarial=False),
        base="quarter",
    ),
    "adversarial": Experiment(
        description="ablation: joint training with the adversarial loss only",
        joint=dataclasses.replace(QUARTER_JOINT, squared_error=False),
        base="quarter",
    ),
    "joint-no-backprop": Experiment(
        description="ablation: joint training without gradients from the denoiser to the generator",
        joint=dataclasses.replace(QUARTER_JOINT, backprop_through_denoiser=False),
        base="quarter",
    ),
    "joint-from-scratch": Experiment(
        description="generator and denoiser trained jointly from scratch, 3 epochs",
        joint=JOINT_FROM_SCRATCH,
    ),
    "speedrun": Experiment(description="the shortest training that reaches the FFD-1 of preset paper", gan=SPEEDRUN),
    "2014": Experiment(description="baseline: the fully connected GAN of 2014", gan=FullyConnectedGanConfig()),
    "paper": Experiment(
        description="the paper's GAN and denoiser, for more seeds", gan=GanConfig(), denoiser=DenoiserConfig()
    ),
    "classifier-2": Experiment(
        description="the second feature network, which ships with seed 1", classifier=ResidualClassifierConfig()
    ),
    **{
        f"dncnn-{rate:g}": Experiment(description=f"baseline: DnCNN, learning rate {rate:g}", denoiser=dncnn(rate))
        for rate in DNCNN_RATES
    },
    "noise2noise": Experiment(
        description="DnCNN trained on noisy targets only (Noise2Noise)",
        denoiser=dataclasses.replace(dncnn(1e-3), noisy_targets=True),
    ),
}
