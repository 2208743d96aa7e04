"""Exact affine pieces and activation regions of ReLU networks on a segment, and what rounding does to their number."""

from kinks.pieces.network import Layer, Network
from kinks.pieces.reading import CannotCountError, read
from kinks.pieces.segment import Counts, Segment, along, counts

__all__ = ["CannotCountError", "Counts", "Layer", "Network", "Segment", "along", "counts", "read"]
