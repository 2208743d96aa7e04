"""A slow, independent reference for pools: plain Python loops over numbers, windows written out entry by entry."""

import math
from fractions import Fraction

import torch


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def starts(length, size, stride, padding, dilation, ceil_mode):
    """Window starts along one axis: all that fit, and with ceil_mode one more if it begins before the padding ends."""
    last = length + padding - (dilation * (size - 1) + 1)
    found = [s for s in range(-padding, length + padding) if (s + padding) % stride == 0 and s <= last]
    extra = found[-1] + stride if found else -padding
    if ceil_mode and extra < length and extra - stride < last < extra:
        found.append(extra)
    return found


def plane_windows(height, width, size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Rows of windows; each window is the list of (row, column) of its entries, in row-major order."""
    size, padding, dilation = pair(size), pair(padding), pair(dilation)
    stride = size if stride is None else pair(stride)
    rows, columns = (
        starts(length, size[a], stride[a], padding[a], dilation[a], ceil_mode)
        for a, length in enumerate((height, width))
    )
    return [
        [
            [
                (r, c)
                for r in range(top, top + size[0] * dilation[0], dilation[0])
                for c in range(left, left + size[1] * dilation[1], dilation[1])
                if 0 <= r < height and 0 <= c < width
            ]
            for left in columns
        ]
        for top in rows
    ]


def planes(x):
    """Each channel of `x`, as nested lists."""
    return x.double().reshape(-1, *x.shape[-2:]).tolist()


def maximal_places(plane, window):
    """(place that PyTorch chooses, places of all maximal entries): a NaN wins over all, the last NaN over the first."""
    values = [plane[r][c] for r, c in window]
    nans = [place for place, value in zip(window, values, strict=True) if math.isnan(value)]
    if nans:
        return nans[-1], [nans[-1]]
    places = [place for place, value in zip(window, values, strict=True) if value == max(values)]
    return places[0], places


def pool_gradient(x, upstream, beta, *arguments, **windows):
    """The gradient of the exact forward for fp64 numbers, each share rounded once; sums of overlaps in fp64."""
    beta, result = Fraction(beta), torch.zeros(x.shape, dtype=torch.float64)
    flat, ups = result.view(-1, *x.shape[-2:]), upstream.double().reshape(-1, *upstream.shape[-2:]).tolist()
    grid = plane_windows(*x.shape[-2:], *arguments, **windows)
    for gradient, plane, up in zip(flat, planes(x), ups, strict=True):
        for row, up_row in zip(grid, up, strict=True):
            for window, u in zip(row, up_row, strict=True):
                first, places = maximal_places(plane, window)
                for place in places:
                    share = (1 - beta if place == first else 0) + beta / len(places)
                    gradient[place] += float(share * Fraction(u))
    return result


def tie_counts(x, *arguments, **windows):
    """The number of maximal entries of each window."""
    grid = plane_windows(*x.shape[-2:], *arguments, **windows)
    counts = [[[len(maximal_places(plane, window)[1]) for window in row] for row in grid] for plane in planes(x)]
    return torch.tensor(counts).reshape(*x.shape[:-2], len(grid), len(grid[0]))


def norm_gradient(x, upstream, at_zero, rule, *arguments):
    """The gradient of the norm-pool for fp64 numbers without underflow."""
    result = torch.zeros(x.shape, dtype=torch.float64)
    flat, ups = result.view(-1, *x.shape[-2:]), upstream.double().reshape(-1, *upstream.shape[-2:]).tolist()
    grid = plane_windows(*x.shape[-2:], *arguments)
    for gradient, plane, up in zip(flat, planes(x), ups, strict=True):
        for row, up_row in zip(grid, up, strict=True):
            for window, u in zip(row, up_row, strict=True):
                norm = math.sqrt(sum(plane[r][c] ** 2 for r, c in window))
                for r, c in window:
                    zero = at_zero * u if rule == "chain" else at_zero
                    gradient[r, c] += u * plane[r][c] / norm if norm else zero
    return result
