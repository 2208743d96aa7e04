"""Summaries, figures and sentences of the notebooks on "Numerical influence of ReLU'(0) on backpropagation"."""
