"""The networks, nothing else: no data, no training, no files."""
