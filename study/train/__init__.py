"""One module a network, each with one visible training loop."""
