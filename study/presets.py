"""The presets as Python constants."""

from __future__ import annotations

from gan_denoise.study.config import (
    BlindDenoiserConfig,
    ClassifierConfig,
    ConditionalGanConfig,
    DenoiserConfig,
    GanConfig,
    JointConfig,
    Preset,
    UNetShape,
)

BEST = ConditionalGanConfig(), BlindDenoiserConfig()
BEST_TINY = (
    ConditionalGanConfig(
        generator_widths=(8, 8, 4), discriminator_widths=(8, 8, 8), penalty_interval=4, epochs=2, batch=32, images=256
    ),
    BlindDenoiserConfig(network=UNetShape((8, 8), (1, 1, 1)), warmup_steps=4, epochs=2, batch=32, images=256),
)

PRESETS = {
    "smoke": Preset(  # seconds, for tests of the code; the results are poor
        GanConfig(generator_widths=(8, 8, 4), discriminator_widths=(8, 8), epochs=2, batch=32, images=256),
        DenoiserConfig(widths=(8, 8), epochs=2, batch=32, images=256),
        ClassifierConfig(widths=(8, 8, 64), epochs=1, batch=32, images=256),
    ),
    "smoke-best": Preset(  # the same for the networks of preset best
        *BEST_TINY,
        ClassifierConfig(widths=(8, 8, 64), epochs=1, batch=32, images=256),
        JointConfig(
            gan=BEST_TINY[0], denoiser=BEST_TINY[1], denoising_batch=16, warmup_steps=4, epochs=2, batch=32, images=256
        ),
    ),
    "quick": Preset(  # minutes: narrow networks, 3 epochs of all training images
        GanConfig(generator_widths=(48, 32, 16), discriminator_widths=(24, 48, 96), epochs=3),
        DenoiserConfig(widths=(32, 64), epochs=3),
        ClassifierConfig(epochs=2),
    ),
    "paper": Preset(GanConfig(), DenoiserConfig(), ClassifierConfig()),
    "best": Preset(  # class-conditional GAN, blind U-Net and joint training, within the paper's budget
        *BEST, ClassifierConfig(), JointConfig(gan=BEST[0], denoiser=BEST[1])
    ),
}
