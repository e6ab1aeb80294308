"""The generation benchmark: generated images against real ones."""
