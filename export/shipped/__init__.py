"""The embedded default model: graphs, weights, hashes and the figures that were measured on it."""
