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
    """What is trained, in this order; a stage `of` another experiment is taken from its folder of the same seed."""

    asks: str
    gan: Config | None = None
    denoiser: Config | None = None
    join: JointConfig | None = None
    of: str = ""  # whose finished `gan` and `denoiser` it goes on from


FIT = 55_000  # images: the other training images are held out, to choose by
QUARTER_GAN = dataclasses.replace(BEST[0], epochs=5, images=FIT)
QUARTER_DENOISER = dataclasses.replace(BEST[1], epochs=5, images=FIT)
QUARTER_JOIN = JointConfig(gan=QUARTER_GAN, denoiser=QUARTER_DENOISER, epochs=1, images=FIT)
# The join's two discriminators see its one epoch twice: seven epochs of the generator alone cost as many updates.
ALONE = dataclasses.replace(QUARTER_GAN, epochs=7)
HEAVY = dataclasses.replace(ALONE, generator_blocks=(6, 11, 0))  # the denoiser's operations, in the generator
# The denoiser has much to mend, so it answers first to its discriminator. The generator learns as if there were none.
YOUNG = JointConfig(
    gan=BEST[0],
    denoiser=BEST[1],
    from_scratch=True,
    through=False,
    adversarial_weight=30.0,
    generator_rate=4e-4,
    denoiser_rate=1e-3,
    decay=0.3,
    epochs=3,
    images=FIT,
)
SIXTEEN = dataclasses.replace(BEST[0], epochs=16)

# Small batches at a high rate, a short memory of Adam's, and no more pictures than it takes (docs/speedrun.md).
SPEEDRUN = dataclasses.replace(
    BEST[0],
    discriminator_widths=(32, 64, 128),
    learning_rate=3e-3,
    beta2=0.9,
    decay=0.7,
    averaging=2_000,
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
        asks="the joined system at a quarter of the budget",
        gan=QUARTER_GAN,
        denoiser=QUARTER_DENOISER,
        join=QUARTER_JOIN,
    ),
    "alone": Experiment(asks="is it the join, or the discriminators' updates that it costs?", gan=ALONE),
    "heavy": Experiment(asks="is it the join, or the operations that the denoiser adds?", gan=HEAVY),
    "sixteen": Experiment(
        asks="do 16 epochs and the join, with fewer updates, beat the 20 epochs of preset best alone?",
        gan=SIXTEEN,
        denoiser=BEST[1],
        join=JointConfig(gan=SIXTEEN, denoiser=BEST[1]),
    ),
    "squared": Experiment(
        asks="the join with squared error alone",
        join=dataclasses.replace(QUARTER_JOIN, adversarial=False),
        of="quarter",
    ),
    "adversarial": Experiment(
        asks="the join with the adversarial loss alone",
        join=dataclasses.replace(QUARTER_JOIN, squared_error=False),
        of="quarter",
    ),
    "apart": Experiment(
        asks="the join without training the generator through the denoiser",
        join=dataclasses.replace(QUARTER_JOIN, through=False),
        of="quarter",
    ),
    "young": Experiment(
        asks="does a denoiser of the same age help, one that is trained to deceive first and to restore second?",
        join=YOUNG,
    ),
    "speedrun": Experiment(asks="the shortest training to the distance of preset paper", gan=SPEEDRUN),
    "2014": Experiment(asks="the first GAN", gan=FullyConnectedGanConfig()),
    "paper": Experiment(asks="the paper's GAN, another seed", gan=GanConfig()),
    **{
        f"dncnn-{rate:g}": Experiment(asks=f"DnCNN on our noise, rate {rate:g}", denoiser=dncnn(rate))
        for rate in DNCNN_RATES
    },
    "noise2noise": Experiment(
        asks="DnCNN that never sees a clean picture",
        denoiser=dataclasses.replace(dncnn(1e-3), noisy_targets=True),
    ),
}
