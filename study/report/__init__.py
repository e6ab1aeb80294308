"""From a study's results to markdown and HTML."""
