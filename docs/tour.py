# %% [markdown]
# # A tour of gan-denoise
#
# What can the shipped model do? A generator makes images of clothes, a denoiser removes their artefacts, and both are
# one ONNX graph. Nothing here needs PyTorch or the data set. `make docs` writes this notebook from `docs/tour.py`.

# %%
from gan_denoise.export import latents, runtime
from gan_denoise.export.generate import parse_label
from gan_denoise.export.images import paired_grid

graph = runtime.load_graph(runtime.FUSED)  # the shipped model; a path as second argument loads another
print("input", graph.signature.input, graph.input_shape)
print("outputs", *zip(graph.signature.outputs, graph.output_shapes, strict=True))

# %% [markdown]
# Row i of `latents` depends on the seed and on i alone, so image 7 is the same in any batch on any machine. Each row of
# raw images is above the same images denoised.

# %%
image, denoised = graph(latents.latents(seed=0, start=0, count=32))
paired_grid({"raw": image, "denoised": denoised})

# %% [markdown]
# The largest of the last ten entries of z chooses the class. The other entries are the style, which does not change.

# %%
z, classes = latents.latents(seed=3, start=0, count=10), int(graph.metadata["classes"])
rows = {name: graph(latents.set_class(z, parse_label(graph, name), classes))[1] for name in ("dress", "sneaker", "bag")}
paired_grid(rows)

# %% [markdown]
# The denoiser is also a separate graph. It removes Gaussian noise of unknown level.

# %%
import numpy as np

clean = denoised[:16]
noisy = clean + 0.2 * np.random.default_rng(0).standard_normal(clean.shape, dtype=np.float32)
(restored,) = runtime.load_graph(runtime.DENOISER)(noisy)
for name, pixels in (("noisy", noisy), ("restored", restored)):
    print(f"{name:8} {-10 * np.log10(np.square(pixels - clean).mean()):.1f} dB")
paired_grid({"noisy": noisy.clip(0, 1), "restored": restored.clip(0, 1)})

# %% [markdown]
# FFD-1 is a Fréchet distance to the test images on the features of a shipped classifier: lower is better. Its reference
# is in the package. It is higher for 1,000 images than for the 10,000 of published results.

# %%
from gan_denoise.data.images import to_uint8
from gan_denoise.eval.metrics import ffd

raw, denoised_many = graph.batched(latents.latents(seed=0, start=0, count=1000))
network = ffd.load_network()
for name, pixels in (("raw", raw), ("denoised", denoised_many)):
    print(f"{name:8} {ffd.distance(to_uint8(pixels), network):.3f}")

# %% [markdown]
# `fused.onnx` does not need this package. Any ONNX runtime runs it:

# %%
import onnxruntime

session = onnxruntime.InferenceSession(str(runtime.SHIPPED / "fused.onnx"))
for value in (*session.get_inputs(), *session.get_outputs()):
    print(value.name, value.type, value.shape)

# %% [markdown]
# Next: [Python API](api.md), [how it works](how_it_works.md), [replace a part](replace.md), [commands](cli.md).
