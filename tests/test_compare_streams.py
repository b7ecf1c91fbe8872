"""Compare: cosine and linear CKA against independent forms, and where two streams part."""

from itertools import pairwise, permutations

import numpy as np
import pytest
import torch
from conftest import make_tiny
from PIL import ImageFilter

from resnet.compare import linear_cka, where_they_part
from resnet.compare.streams import _largest_fall, same_weights
from resnet.images import read_photo
from resnet.localize import analyze_whole


def hsic_cka(x, y):
    """Kornblith et al. 2019, eq. 1 and 3, from centred Gram matrices."""
    n = len(x)
    centre = np.eye(n) - 1 / n

    def hsic(k, l):
        return np.trace(k @ centre @ l @ centre) / (n - 1) ** 2

    k, l = x @ x.T, y @ y.T
    return hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))


def values(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("n", "p", "q"), [(40, 5, 9), (7, 30, 20), (12, 3, 50), (9, 9, 9)])
def test_cka_equals_the_gram_form(n, p, q):
    x = values(n, p) + 3
    y = values(n, q, seed=1) + x[:, :1]
    found = linear_cka(x, y)
    assert found.cka == pytest.approx(hsic_cka(x.numpy(), y.numpy()), abs=1e-12)
    assert linear_cka(y, x) == pytest.approx(found, abs=1e-12)


def test_cka_does_not_mind_rotation_scale_and_offset():
    x = values(20, 6)
    rotation, _ = torch.linalg.qr(values(6, 6, seed=2))
    assert linear_cka(x, 7 * x @ rotation - 5).cka == pytest.approx(1, abs=1e-12)
    assert linear_cka(x, x @ torch.diag(torch.tensor([9.0] + 5 * [1.0]).double())).cka < 0.9


def test_chance_is_the_mean_over_all_shuffles():
    x, y = values(5, 3), values(5, 8, seed=1)
    all_orders = [hsic_cka(x.numpy(), y.numpy()[list(order)]) for order in permutations(range(5))]
    assert linear_cka(x, y).chance == pytest.approx(np.mean(all_orders), abs=1e-12)


def test_a_flat_stream_has_no_cka():
    assert linear_cka(torch.ones(6, 3), values(6, 2)) == (None, None)
    assert linear_cka(values(1, 3), values(1, 3)) == (None, None)


def test_rows_are_the_streams_themselves(tiny_v1, photo):
    a, b = (tiny_v1.analyze(p) for p in (photo, photo.filter(ImageFilter.GaussianBlur(3))))
    found = where_they_part(a, b)
    assert [row.block for row in found.rows] == list(tiny_v1.block_names)
    for row in found.rows:
        x, y = (s.blocks[row.block].output[0].double().numpy() for s in (a, b))
        angle = (x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum())
        assert row.cosine == pytest.approx(angle, abs=1e-12)
        x, y = (s.reshape(len(s), -1).T for s in (x, y))
        assert row.cka == pytest.approx(hsic_cka(x, y), abs=1e-9)
        assert not row.pooled and not row.identical and row.grid[0] * row.grid[1] == len(x)
    cosines = [found.before, *(row.cosine for row in found.rows)]
    falls = [before - after for before, after in pairwise(cosines)]
    assert found.measure == "cosine" and found.same_weights
    assert found.block == tiny_v1.block_names[int(np.argmax(falls))]
    assert found.fall == pytest.approx(max(falls))
    assert f"falls most at block {found.block}" in found.sentence
    assert found.to_dict()["rows"][0]["cosine"] == found.rows[0].cosine


def test_the_same_twice(tiny_v1, photo):
    a = tiny_v1.analyze(photo)
    found = where_they_part(a, a)
    assert found.block is None and found.fall == 0
    assert all(row.identical for row in found.rows)
    assert [row.cosine for row in found.rows] == pytest.approx([1] * 6)
    assert [row.cka for row in found.rows] == pytest.approx([1] * 6)
    assert found.sentence == "The two streams are identical in every block."


def test_a_cut_parts_them_at_its_block(tiny_v1, photo):
    a = tiny_v1.analyze(photo)
    found = where_they_part(a, a.with_gains({("2.1", "branch"): 0.0}))
    names = list(tiny_v1.block_names)
    first = names.index("2.1")
    assert [row.identical for row in found.rows] == [True] * first + [False] * (6 - first)
    assert found.rows[first].cosine < 1 - 1e-3
    assert found.sentence.startswith("The two streams are identical up to 2.0. The cosine falls")


def test_other_weights_have_no_cosine(photo):
    a, b = (make_tiny("v1", seed).analyze(photo) for seed in (0, 1))
    found = where_they_part(a, b)
    assert {row.cosine for row in found.rows} == {None}
    assert all(0 < row.cka < 1 for row in found.rows)
    assert found.measure == "cka" and not found.same_weights
    assert "channels have no common meaning" in found.sentence
    assert found.to_dict()["rows"][0]["cosine"] is None


def test_same_weights_is_about_the_values(tiny):
    spec_variant = "v1" if tiny.spec.stride_in_1x1 else "v1.5"
    assert same_weights(tiny, make_tiny(spec_variant))
    assert not same_weights(tiny, make_tiny(spec_variant, seed=1))
    assert not same_weights(make_tiny("v1"), make_tiny("v1.5"))
    assert not same_weights(tiny, make_tiny(spec_variant, labels=("a", "b")))


def test_other_sizes_are_pooled_to_the_smaller_grid(tiny_v1, photo):
    a, b = tiny_v1.analyze(photo), analyze_whole(tiny_v1, read_photo(photo))
    found = where_they_part(a, b)
    shapes = [a.blocks[row.block].output.shape[2:] for row in found.rows]
    assert [row.grid for row in found.rows] == [tuple(shape) for shape in shapes]
    assert all(row.pooled for row in found.rows) and "different grids" in found.sentence
    x = a.blocks["4.1"].output[0].double()
    y = b.blocks["4.1"].output
    assert tuple(y.shape[2:]) == (3, 4) and tuple(x.shape[1:]) == (3, 3)
    # Adaptive pooling of 4 columns to 3: each the mean of two neighbours.
    y = (y[0, :, :, :-1] + y[0, :, :, 1:]).double() / 2
    expected = float((x * y).sum() / (x.norm() * y.norm()))
    assert found.rows[-1].cosine == pytest.approx(expected, abs=1e-6)


def test_the_first_of_equal_falls_and_none_at_all():
    assert _largest_fall(1.0, [("a", 0.75), ("b", 0.5), ("c", 0.9)]) == ("a", 0.25)
    assert _largest_fall(0.5, [("a", 0.5), ("b", 0.8)]) == (None, 0.0)
    assert _largest_fall(None, [("a", 0.9), ("b", None), ("c", 0.1)]) == (None, 0.0)
