"""The speed benchmark: backends take turns, each in its own process."""
