"""The study: configurations, training, comparison of runs, and the report."""
