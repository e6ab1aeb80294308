"""What is trained beside the study: the join with a part taken out or its cost spent elsewhere, and rivals."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from gan_denoise.study.config import (
    BlindDenoiserConfig,
    Config,
    DnCNNShape,
    FullyConnectedGanConfig,
    GanConfig,
    JointConfig,
)
from gan_denoise.study.presets import BEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is trained, in this order; a stage of the experiment `base` experiment is taken from its folder of the same seed."""

    description: str
    gan: Config | None = None
    denoiser: Config | None = None
    joint: JointConfig | None = None
    base: str = ""  # whose finished `gan` and `denoiser` it goes on from


FIT = 55_000  # images: the other training images are held out, to choose by
QUARTER_GAN = dataclasses.replace(BEST[0], epochs=5, images=FIT)
QUARTER_DENOISER = dataclasses.replace(BEST[1], epochs=5, images=FIT)
QUARTER_JOINT = JointConfig(gan=QUARTER_GAN, denoiser=QUARTER_DENOISER, epochs=1, images=FIT)
# The join's two discriminators see its one epoch twice: seven epochs of the generator alone cost as many updates.
ALONE = dataclasses.replace(QUARTER_GAN, epochs=7)
HEAVY = dataclasses.replace(ALONE, generator_blocks=(6, 11, 0))  # the denoiser's operations, in the generator
# The denoiser has much to mend, so it answers first to its discriminator. The generator learns as if there were none.
YOUNG = JointConfig(
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

# Small batches at a high rate, a short memory of Adam's, and no more images than it takes (docs/speedrun.md).
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
    """DnCNN for as long as our denoiser takes: five epochs cost as much as the other's twenty."""
    return BlindDenoiserConfig(network=DnCNNShape(), learning_rate=rate, epochs=5, images=FIT)


EXPERIMENTS = {
    "quarter": Experiment(
        description="the joined system at a quarter of the budget",
        gan=QUARTER_GAN,
        denoiser=QUARTER_DENOISER,
        joint=QUARTER_JOINT,
    ),
    "gan-only": Experiment(description="is it the join, or the discriminators' updates that it costs?", gan=ALONE),
    "large-gan": Experiment(description="is it the join, or the operations that the denoiser adds?", gan=HEAVY),
    "sixteen": Experiment(
        description="do 16 epochs and the join, with fewer updates, beat the 20 epochs of preset best alone?",
        gan=SIXTEEN,
        denoiser=BEST[1],
        joint=JointConfig(gan=SIXTEEN, denoiser=BEST[1]),
    ),
    "joint-l2-only": Experiment(
        description="the join with squared error alone",
        joint=dataclasses.replace(QUARTER_JOINT, adversarial=False),
        base="quarter",
    ),
    "adversarial": Experiment(
        description="the join with the adversarial loss alone",
        joint=dataclasses.replace(QUARTER_JOINT, squared_error=False),
        base="quarter",
    ),
    "joint-no-backprop": Experiment(
        description="the join without training the generator through the denoiser",
        joint=dataclasses.replace(QUARTER_JOINT, backprop_through_denoiser=False),
        base="quarter",
    ),
    "joint-from-scratch": Experiment(
        description="does a denoiser of the same age help, one that is trained to deceive first and to restore second?",
        joint=YOUNG,
    ),
    "speedrun": Experiment(description="the shortest training to the distance of preset paper", gan=SPEEDRUN),
    "2014": Experiment(description="the first GAN", gan=FullyConnectedGanConfig()),
    "paper": Experiment(description="the paper's GAN, another seed", gan=GanConfig()),
    **{
        f"dncnn-{rate:g}": Experiment(description=f"DnCNN on our noise, rate {rate:g}", denoiser=dncnn(rate))
        for rate in DNCNN_RATES
    },
    "noise2noise": Experiment(
        description="DnCNN that never sees a clean image",
        denoiser=dataclasses.replace(dncnn(1e-3), noisy_targets=True),
    ),
}
