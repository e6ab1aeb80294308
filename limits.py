"""What a command may be asked for. Imports nothing, so that the command line starts at once."""

from __future__ import annotations

BATCH = 64  # pictures a call of onnxruntime, where nobody says otherwise
MAX_SEED = 2**63 - 1  # torch and Philox take it alike
MAX_THREADS = 1024
DATA_VARIABLE = "GAN_DENOISE_DATA"  # in the environment: the folder of the data
