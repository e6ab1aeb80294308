"""The networks: no data, no training, no files."""
