"""Random numbers that are functions of (seed, step, layer, neuron): Philox 4x32-10, a counter-based generator (c5).

Runs in different formats or at different noise levels share them, whatever the order or the number of draws.
Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kinks.pieces.network import Float, Network

MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(counter: ArrayLike, key: ArrayLike) -> NDArray[np.uint64]:
    """Return four 32-bit words for each counter: uint64 `(4, ...)` for four counter words `(4, ...)` and two of key."""
    a, b, c, d = (np.asarray(word, dtype=np.uint64) for word in counter)
    first, second = (np.asarray(word, dtype=np.uint64) for word in key)
    for _ in range(10):
        left, right = MULTIPLIERS[0] * a, MULTIPLIERS[1] * c
        a, b, c, d = (right >> HALF) ^ b ^ first, right & LOW, (left >> HALF) ^ d ^ second, left & LOW
        first, second = (first + WEYL[0]) & LOW, (second + WEYL[1]) & LOW
    return np.stack(np.broadcast_arrays(a, b, c, d))


def theta(seed: ArrayLike, step: ArrayLike, layer: ArrayLike, neuron: ArrayLike, source: ArrayLike = 0) -> Float:
    """Return noise uniform on [-1/2, 1/2), a multiple of 2^-53; arguments, whole numbers below 2^32, broadcast.

    Args:
        source: 0 for a neuron's bias, 1 + i for its weight of input i.
    """
    words = np.broadcast_arrays(*(np.asarray(word, dtype=np.uint64) for word in (neuron, layer, step, seed, source)))
    if any((word >> HALF).any() for word in words):
        raise ValueError("seed, step, layer, neuron and source must be whole numbers from 0 to 2^32 - 1")
    first, second, _, _ = philox(words[:4], (words[4], np.uint64(0)))
    whole = (first << np.uint64(21)) | (second >> np.uint64(11))
    return whole.astype(np.float64) * 2.0**-53 - 0.5


def thetas(sizes: ArrayLike, seeds: ArrayLike, step: int) -> list[Float]:
    """Return the noise of the biases of hidden layers of `sizes` neurons, `(draws, N)` each, one draw for each seed."""
    seeds = np.asarray(seeds)[:, None]
    return [theta(seeds, step, layer, np.arange(size)) for layer, size in enumerate(np.asarray(sizes).tolist())]


def shaken(network: Network, eta: float, seeds: ArrayLike, step: int = 0) -> Network:
    """Return draws of a network whose hidden biases got noise uniform of absolute width `eta` (K4a)."""
    sizes = [len(layer.weight) for layer in network.hidden]
    noise = thetas(sizes, seeds, step)
    return network.with_biases([layer.bias + eta * one for layer, one in zip(network.hidden, noise, strict=True)])


def scaled(network: Network, size: float, seed: int, step: int = 0) -> Network:
    """Return a network with every weight and bias multiplied by 1 + U(-size, size) (a8, third row)."""
    weights, biases = [], []
    for number, layer in enumerate(network.layers):
        neuron = np.arange(len(layer.weight))
        source = 1 + np.arange(layer.weight.shape[1])
        weights.append(layer.weight * (1 + 2 * size * theta(seed, step, number, neuron[:, None], source)))
        biases.append(layer.bias[0] * (1 + 2 * size * theta(seed, step, number, neuron)))
    return Network.of(weights, biases)
