"""Times training steps of the paper's GAN in Keras and prints images/s as JSON, for scripts/benchmarks.py.

Runs in an environment of its own, with tensorflow-cpu and without this package. The step is that of TensorFlow's DCGAN
tutorial: one generation, real and fake through the discriminator, both gradients from the same passes.
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
WARM_UP = 5  # steps


def main() -> None:
    """Set the threads and the precision, then time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--xla", action="store_true")
    asked = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(asked.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    mixed_precision.set_global_policy("mixed_bfloat16" if asked.precision == "bfloat16" else "float32")
    step = tf.function(_step(_generator(), _discriminator()), jit_compile=asked.xla)
    real = tf.random.uniform([BATCH, 28, 28, 1])
    for _ in range(WARM_UP):
        step(real)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < asked.seconds:
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
        # of 7 pixels three are left, as in ours
        for layer in (
            layers.ZeroPadding2D(1),
            layers.Conv2D(width, 4, 2),
            layers.LeakyReLU(0.2),
            layers.Dropout(0.3),
        )
    ]
    return Sequential([layers.Input([28, 28, 1]), *halvings, layers.Flatten(), layers.Dense(1, dtype="float32")])


def _step(generator: Sequential, discriminator: Sequential):
    adams = optimizers.Adam(1e-3, 0.5), optimizers.Adam(1e-3, 0.5)
    for adam, network in zip(adams, (generator, discriminator), strict=True):
        adam.build(network.trainable_variables)

    def step(real):
        z = tf.random.normal([BATCH, LATENT_SIZE])
        with tf.GradientTape() as of_generator, tf.GradientTape() as of_discriminator:
            fake = generator(z, training=True)
            real_logits = discriminator(real * 2 - 1, training=True)
            fake_logits = discriminator(fake * 2 - 1, training=True)
            generator_loss = _cross_entropy(fake_logits, 1.0)
            discriminator_loss = _cross_entropy(real_logits, 1.0) + _cross_entropy(fake_logits, 0.0)
        for adam, tape, loss, network in (
            (adams[0], of_generator, generator_loss, generator),
            (adams[1], of_discriminator, discriminator_loss, discriminator),
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
