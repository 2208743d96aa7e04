"""Times of this package beside those of the algorithms it replaces; `python -m benchmarks` runs them all."""
