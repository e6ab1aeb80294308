"""Time training steps of the paper's GAN in Keras and print images/s as JSON, for scripts/benchmarks.py.

Runs in a separate environment with tensorflow-cpu and without this package. The step is that of TensorFlow's DCGAN
tutorial: one forward pass of the generator, the discriminator on real and fake images, and both gradients from these.
"""

from __future__ import annotations

import argparse
import json
import os
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
from keras import Sequential, layers, mixed_precision, optimizers

BATCH = 256
LATENT_SIZE = 100
WARMUP_STEPS = 5


def main() -> None:
    """Set the threads and the precision, then time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--xla", action="store_true")
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    mixed_precision.set_global_policy("mixed_bfloat16" if arguments.precision == "bfloat16" else "float32")
    step = tf.function(_step(_generator(), _discriminator()), jit_compile=arguments.xla)
    real = tf.random.uniform([BATCH, 28, 28, 1])
    for _ in range(WARMUP_STEPS):
        step(real)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < arguments.seconds:
        step(real)[0].numpy()
        steps += 1
    print(json.dumps({"images_per_s": steps * BATCH / (time.perf_counter() - start)}))


def _generator() -> Sequential:
    return Sequential(
        [
            layers.Input([LATENT_SIZE]),
            layers.Dense(64 * 49, use_bias=False),
            layers.Reshape([7, 7, 64]),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.2),
            layers.Conv2DTranspose(64, 4, 2, "same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.2),
            layers.Conv2DTranspose(16, 4, 2, "same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.2),
            layers.Conv2DTranspose(1, 3, 1, "same", activation="sigmoid", dtype="float32"),
        ]
    )


def _discriminator() -> Sequential:
    halvings = [
        layer
        for width in (32, 64, 128)
        # 7 pixels become 3, as in models/dcgan.py
        for layer in (
            layers.ZeroPadding2D(1),
            layers.Conv2D(width, 4, 2),
            layers.LeakyReLU(0.2),
            layers.Dropout(0.3),
        )
    ]
    return Sequential([layers.Input([28, 28, 1]), *halvings, layers.Flatten(), layers.Dense(1, dtype="float32")])


def _step(generator: Sequential, discriminator: Sequential):
    generator_adam, discriminator_adam = optimizers.Adam(1e-3, 0.5), optimizers.Adam(1e-3, 0.5)
    for adam, network in zip((generator_adam, discriminator_adam), (generator, discriminator), strict=True):
        adam.build(network.trainable_variables)

    def step(real):
        z = tf.random.normal([BATCH, LATENT_SIZE])
        with tf.GradientTape() as generator_tape, tf.GradientTape() as discriminator_tape:
            fake = generator(z, training=True)
            real_logits = discriminator(real * 2 - 1, training=True)
            fake_logits = discriminator(fake * 2 - 1, training=True)
            generator_loss = _cross_entropy(fake_logits, 1.0)
            discriminator_loss = _cross_entropy(real_logits, 1.0) + _cross_entropy(fake_logits, 0.0)
        for adam, tape, loss, network in (
            (generator_adam, generator_tape, generator_loss, generator),
            (discriminator_adam, discriminator_tape, discriminator_loss, discriminator),
        ):
            adam.apply_gradients(
                zip(tape.gradient(loss, network.trainable_variables), network.trainable_variables, strict=True)
            )
        return generator_loss, discriminator_loss

    return step


def _cross_entropy(logits, target: float):
    return tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.fill(tf.shape(logits), target), logits=logits)
    )


if __name__ == "__main__":
    main()
