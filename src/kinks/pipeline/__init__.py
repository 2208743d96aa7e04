"""Notebook runner, parameters, shards, progress and executors; knows nothing of the science it runs."""
