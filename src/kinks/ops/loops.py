"""Compiled loops that read every number once: is there a zero, and what 2x2 windows side by side hold.

Rows of entries come in pairs `(rows, 2, W)`, of a contiguous tensor; windows are `(rows, W / 2)`. Which entries of a
window are maximal is a byte: 1, 2, 4 and 8 for its four entries in row-major order. Numbers are compared and copied and
never changed, so that every machine gives the same bits.

The compiler makes vector instructions of an inner loop that goes through whole rows by an index, reads them whatever
they hold, and fills one or two: two to six times as fast as any other, and the reason for the shape of these.
"""

import numpy as np
from numba import njit

BLOCK = 4096  # numbers between two looks whether a zero was found


@njit(cache=True)
def has_zero(numbers: np.ndarray) -> bool:
    """Whether there is a 0.0 or -0.0 among the numbers `(n,)`."""
    for start in range(0, numbers.size, BLOCK):
        block, zeros = numbers[start : start + BLOCK], 0
        for at in range(block.size):
            zeros += block[at] == 0
        if zeros:
            return True
    return False


@njit(cache=True)
def find(rows: np.ndarray, top: np.ndarray, which: np.ndarray) -> None:
    """Fill in the first maximum of each window and which entries equal it: none where an entry is NaN."""
    for row in range(len(rows)):
        upper, lower, most, found = rows[row, 0], rows[row, 1], top[row], which[row]
        for at in range(len(most)):
            a, b, c, d = upper[2 * at], upper[2 * at + 1], lower[2 * at], lower[2 * at + 1]
            above = a if a >= b else b  # the first of equal ones, which may be 0.0 and -0.0
            below = c if c >= d else d
            first = above if above >= below else below
            most[at] = first
            left = np.uint8(a == first) | np.uint8(4 * np.uint8(c == first))
            right = np.uint8(2 * np.uint8(b == first)) | np.uint8(8 * np.uint8(d == first))
            numbers = (a == a) & (b == b) & (c == c) & (d == d)
            found[at] = left | right if numbers else np.uint8(0)


@njit(cache=True)
def places(which: np.ndarray, height: int, found: np.ndarray) -> None:
    """Fill in where the first maximal entry of each window is in its image of `height` rows of windows, int64."""
    width = 2 * which.shape[1]
    for row in range(len(which)):
        corner, entries, place = 2 * width * (row % height), which[row], found[row]
        for at in range(len(place)):
            below = width if entries[at] & 3 == 0 else 0
            right = 1 if (entries[at] & 3 == 2) | (entries[at] == 8) else 0
            place[at] = corner + 2 * at + below + right


@njit(cache=True)
def to_first(shares: np.ndarray, which: np.ndarray, gradient: np.ndarray) -> None:
    """Fill in the gradient: the share of a window at the first of its maximal entries, 0 elsewhere."""
    nothing = shares.dtype.type(0)
    for row in range(len(which)):
        upper, lower, share, entries = gradient[row, 0], gradient[row, 1], shares[row], which[row]
        for at in range(len(share)):
            one, found = share[at], entries[at]
            upper[2 * at] = one if found & 1 else nothing
            upper[2 * at + 1] = one if found & 3 == 2 else nothing
        for at in range(len(share)):
            one, found = share[at], entries[at]
            lower[2 * at] = one if found & 7 == 4 else nothing
            lower[2 * at + 1] = one if found == 8 else nothing


@njit(cache=True)
def to_all(shares: np.ndarray, further: np.ndarray, which: np.ndarray, gradient: np.ndarray) -> None:
    """Fill in the gradient: the share of a window at its first maximal entry, `further` at the others, 0 elsewhere."""
    nothing = shares.dtype.type(0)
    for row in range(len(which)):
        upper, lower, share, other, entries = gradient[row, 0], gradient[row, 1], shares[row], further[row], which[row]
        for at in range(len(share)):
            one, more, found = share[at], other[at], entries[at]
            upper[2 * at] = one if found & 1 else nothing
            upper[2 * at + 1] = (one if found & 3 == 2 else more) if found & 2 else nothing
        for at in range(len(share)):
            one, more, found = share[at], other[at], entries[at]
            lower[2 * at] = (one if found & 7 == 4 else more) if found & 4 else nothing
            lower[2 * at + 1] = (one if found == 8 else more) if found & 8 else nothing
