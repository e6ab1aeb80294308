"""Images and data sets: find, download, verify, read, summarise."""
