"""Training: one module per network, each with one visible loop."""
