"""The speed benchmark: backends in turn, each in a process of its own."""
