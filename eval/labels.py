"""Names of methods, image sets, controls and backends that tables, reports and tests share."""

from __future__ import annotations

NOT_MEASURED = "not measured"

# image sets of the generation tables
RAW, DENOISED = "raw", "denoised"
REAL_BASELINE = "real (unseen training images)"
BASELINE_SET = "test images"  # of `eval copies`

# controls: what else can be done to raw images, or generated in their place
BLACK_LEVEL, GAUSSIAN, NLM = "raw, black-level threshold", "raw, Gaussian filter", "raw, non-local means"
MIXTURE, REAL_DENOISED = "Gaussian mixture", "real, denoised"

# methods of the denoising table; filters.FILTERS names the filters
NOISY, NETWORK = "noisy", "network"
SUPPORT_VECTORS = "support-vector regression"

# backends of the speed benchmark
FUSED, PLAIN, TWO_GRAPHS = "fused", "one plain session", "two graphs"
EAGER, COMPILED = "eager PyTorch", "torch.compile"
LATENCY, THROUGHPUT = "OpenVINO, latency", "OpenVINO, throughput"
OWN_PRECISION = "OpenVINO, its own precision"
SGEMM = "sgemm"
