"""Names of methods, image sets and backends that tables, reports and tests share."""

from __future__ import annotations

FUSED, PLAIN, TWO_GRAPHS = "fused", "one plain session", "two graphs"
EAGER, COMPILED = "eager PyTorch", "torch.compile"
LATENCY, THROUGHPUT = "OpenVINO, latency", "OpenVINO, throughput"
SGEMM = "sgemm"

BLACK_LEVEL, GAUSSIAN, NLM = "raw, black-level threshold", "raw, Gaussian filter", "raw, non-local means"
MIXTURE, REAL_DENOISED = "Gaussian mixture", "real, denoised"

RAW, DENOISED = "raw", "denoised"
REAL_BASELINE = "real (unseen training images)"

NOISY, NETWORK = "noisy", "network"
