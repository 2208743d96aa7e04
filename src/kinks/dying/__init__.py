"""Dying ReLUs: how target scale and momentum end the learning of a unit (arXiv 2005.06195)."""
