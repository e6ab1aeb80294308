"""Fashion-MNIST: find, fetch, verify, read."""
