"""Missing pixels from their neighbours, as ROAD fills them (Rong et al. 2022, 2202.00449, 4.2).

Every missing pixel shall be the weighted mean of the neighbours that it has,
    (sum of w_j) x_i = sum of w_j x_j,   w = 1/6 beside it, 1/12 diagonally,
which is one sparse linear system for all of them.  The equations are the `grad-cam` package's, the
solution is the same to rounding; the package builds and factors the system in twice the time, as it
does not use that it is symmetric.  Its noise is left out: see `measures.road`.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from torch import Tensor

NEIGHBOURS = tuple(
    ((dy, dx), 1 / 12 if dy and dx else 1 / 6)
    for dy, dx in product((-1, 0, 1), repeat=2)
    if dy or dx
)


def filled(pixels: Tensor, missing: np.ndarray) -> Tensor:
    """The picture with its missing pixels filled in.

    Args:
        pixels: [channels, H, W].
        missing: bool [H, W]; some pixel must be there.

    Returns:
        float32, like `pixels`.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import splu

    height, width = missing.shape
    values = pixels.double().numpy()
    ys, xs = np.nonzero(missing)
    count = len(ys)
    if not count:
        return pixels.float()
    place = np.full(missing.shape, -1)
    place[ys, xs] = np.arange(count)
    total, known = np.zeros(count), np.zeros((count, len(values)))
    rows, columns, entries = [np.arange(count)], [np.arange(count)], []
    for (dy, dx), weight in NEIGHBOURS:
        y, x = ys + dy, xs + dx
        inside = np.nonzero((y >= 0) & (x >= 0) & (y < height) & (x < width))[0]
        total[inside] += weight
        other = place[y[inside], x[inside]]
        there = inside[other < 0]
        known[there] += weight * values[:, y[there], x[there]].T
        rows.append(inside[other >= 0])
        columns.append(other[other >= 0])
        entries.append(np.full(len(rows[-1]), -weight))
    system = coo_matrix(
        (np.concatenate([total, *entries]), (np.concatenate(rows), np.concatenate(columns))),
        shape=(count, count),
    )
    solver = splu(
        system.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )  # fmt: skip
    result = pixels.float().clone()
    result[:, ys, xs] = torch.from_numpy(solver.solve(known).T).float()
    return result
