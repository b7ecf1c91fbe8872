"""Compare: damages; strength 0 is nothing, full is what it says, a seed is a seed."""

import numpy as np
import pytest
import torch
from conftest import draw_photo, tiny_spec
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional as ops

from resnet.cam import HeatMap
from resnet.compare import DAMAGES, CompareError, apply, damaged, scene
from resnet.compare.operations import FILL, blurred, quality
from resnet.images import Photo, read_photo
from resnet.view import look

BOX = (20.0, 30.0, 80.0, 70.0)
HEAT = np.arange(12, dtype=np.float32).reshape(3, 4)


def damage(image, name, strength, **changes):
    return apply(image, name, strength, **({"box": BOX, "heat": HEAT} | changes))


def pixels(image):
    return np.asarray(image).astype(int)


def covered(image):
    return (pixels(image) == FILL).all(2)


@pytest.fixture(scope="module")
def picture():
    return draw_photo(96, 80)


@pytest.mark.parametrize("name", DAMAGES)
def test_nothing_is_nothing_and_full_is_repeatable(name, picture):
    before = pixels(picture)
    assert (pixels(damage(picture, name, 0)) == before).all()
    state = torch.random.get_rng_state()
    once, again = (damage(picture, name, 0.7, seed=3) for _ in range(2))
    assert (pixels(once) == pixels(again)).all() and (pixels(once) != before).any()
    assert once.size == picture.size and once.mode == "RGB"
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (pixels(picture) == before).all()


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2)])
def test_tiny_pictures(name, size):
    image = Image.new("RGB", size, (200, 10, 60))
    for strength in (0.01, 1):
        assert damage(image, name, strength, box=(0, 0, 1, 1)).size == size


@pytest.mark.parametrize(
    "name", ["noise", "blur", "jpeg", "darken", "brighten", "contrast", "grey"]
)
def test_more_is_more(name, picture):
    before = pixels(picture)
    strengths = (0.1, 0.3, 0.5, 0.8, 1.0)
    far = [np.square(pixels(damage(picture, name, s)) - before).mean() for s in strengths]
    assert far == sorted(far) and far[0] > 0


def test_noise_is_one_field_turned_up():
    grey = Image.new("RGB", (200, 200), (128, 128, 128))
    weak, strong = (pixels(damage(grey, "noise", s, seed=5)) - 128.0 for s in (0.1, 0.2))
    assert np.abs(strong - 2 * weak).max() <= 3  # rounding
    assert weak.std() == pytest.approx(0.1 * 0.5 * 255, rel=0.02)
    other = pixels(damage(grey, "noise", 0.1, seed=6)) - 128.0
    assert abs(np.corrcoef(weak.ravel(), other.ravel())[0, 1]) < 0.02


def test_blur_is_torchvisions_and_scales_with_the_picture(picture):
    x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    sigma = 10 * 0.5 * 80 / 256
    expected = ops.gaussian_blur(x, [11, 11], [sigma, sigma]).permute(1, 2, 0).numpy()
    assert np.abs(pixels(damage(picture, "blur", 0.5)) - expected).max() <= 1
    assert blurred(x.float(), 3.0, 4).shape == x.shape


def test_full_strength(picture):
    assert not pixels(damage(picture, "darken", 1)).any()
    assert np.ptp(pixels(damage(picture, "contrast", 1))) == 0
    grey = pixels(damage(picture, "grey", 1))
    assert (grey == grey[..., :1]).all()
    assert np.abs(grey[..., 0] - pixels(picture.convert("L"))).max() <= 1
    assert (pixels(damage(picture, "flip", 0.2)) == pixels(ImageOps.mirror(picture))).all()
    turned = pixels(picture.transpose(Image.Transpose.ROTATE_180))
    assert np.abs(pixels(damage(picture, "rotate", 1)) - turned).max() <= 1
    assert [quality(s) for s in (0, 0.5, 1)] == [100, 10, 1]


def test_half_a_turn_of_a_square_is_the_quarter_turn():
    square = draw_photo(64, 64)
    turned = pixels(square.transpose(Image.Transpose.ROTATE_90))  # counter-clockwise
    assert np.abs(pixels(damage(square, "rotate", 0.5)) - turned).max() <= 1


def test_a_box_grows_from_its_centre(picture):
    masks = [covered(damage(picture, "box", s)) for s in (0.25, 0.5, 1)]
    rows, columns = np.nonzero(masks[0])
    assert (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) == (35, 65, 40, 60)
    assert masks[0].sum() == 0.25 * 60 * 40 and masks[2].sum() == 60 * 40
    assert masks[2][30:70, 20:80].all()
    assert (masks[0] <= masks[1]).all() and (masks[1] <= masks[2]).all()
    outside = ~masks[2]
    assert (pixels(damage(picture, "box", 1))[outside] == pixels(picture)[outside]).all()
    # corners in any order, and over the edge
    assert (covered(damage(picture, "box", 1, box=(80, 70, 20, 30))) == masks[2]).all()
    assert covered(damage(picture, "box", 1, box=(90, -50, 500, 10))).sum() == 6 * 10


def test_hottest_and_rest_are_two_halves(picture):
    for share in (0.25, 0.5, 0.9):
        hot = covered(damage(picture, "hottest", share))
        cold = covered(damage(picture, "rest", 1 - share))
        assert hot.sum() == round(share * 96 * 80) and (hot ^ cold).all()
    half = covered(damage(picture, "hottest", 0.25))
    assert (half <= covered(damage(picture, "hottest", 0.5))).all()
    assert half[-1, -1] and not half[0].any()  # HEAT rises to the lower right
    assert (
        covered(damage(picture, "hottest", 1)).all() and covered(damage(picture, "rest", 1)).all()
    )


def test_a_map_without_heat_still_has_an_order(picture):
    flat = np.zeros((7, 7), np.float32)
    one, other = (covered(damage(picture, "hottest", 0.5, heat=flat)) for _ in range(2))
    assert one.sum() == 96 * 80 / 2 and (one == other).all()
    assert 0.05 < one[:, :48].mean() < 0.95  # not one side first


@pytest.mark.parametrize(
    ("name", "strength", "changes", "says"),
    [
        ("melt", 0.5, {}, "no damage “melt”"),
        ("noise", 1.5, {}, "0 to 1"),
        ("noise", -0.1, {}, "0 to 1"),
        ("noise", float("nan"), {}, "0 to 1"),
        ("box", 0.5, {"box": None}, "Draw the box"),
        ("box", 0.5, {"box": (100, 0, 200, 50)}, "nothing of the photo"),
        ("box", 0.5, {"box": (5, 5, 5, 9)}, "nothing of the photo"),
        ("box", 0.5, {"box": (0, 0, float("nan"), 9)}, "four numbers"),
        ("box", 0.5, {"box": (0, 0, 9)}, "four numbers"),
        ("hottest", 0.5, {"heat": None}, "needs a heat map"),
        ("rest", 0.5, {"heat": None}, "needs a heat map"),
    ],
)
def test_what_cannot_be_done(picture, name, strength, changes, says):
    with pytest.raises(CompareError, match=says):
        damage(picture, name, strength, **changes)


@pytest.mark.parametrize("size", [(320, 240), (200, 333), (96, 50)])
def test_the_undamaged_copy_looks_the_same(size):
    spec, photo = tiny_spec("v1"), read_photo(draw_photo(*size))
    copy, seen = damaged(photo, spec, "noise", 0), look(photo, spec)
    again = look(copy, spec)
    assert (pixels(again.image) == pixels(seen.image)).all()
    assert again.box == pytest.approx(seen.box) and again.size == seen.size == size
    assert copy.notes == () and copy.image.size == scene(photo, spec).size


def test_a_box_is_in_the_photos_own_pixels():
    """The file had four times the pixels of what was decoded."""
    spec, small = tiny_spec("v1"), draw_photo(200, 100)
    photo = Photo(small, (800, 400), "JPEG", (), "0")
    copy = damaged(photo, spec, "box", 1, box=(400, 0, 800, 200))
    mask = covered(copy.image)
    assert copy.size == (800, 400) and copy.image.size == (200, 100)
    assert mask.sum() == 100 * 50 and mask[:50, 100:].all()
    assert copy.notes == ("Damaged: Cover a box, 100.0 % of the box covered.",)


def test_heat_lies_on_the_view_and_the_rest_stays():
    spec, photo = tiny_spec("v1"), read_photo(draw_photo(320, 240))
    heat = HeatMap(HEAT, 0, "gradcam", "4.1", signed=False)
    copy = damaged(photo, spec, "hottest", 1, heat=heat)
    assert covered(look(copy, spec).image).all()
    untouched = covered(copy.image)
    assert untouched.sum() == 96 * 96 and copy.image.size == (133, 100)
    half = damaged(photo, spec, "hottest", 0.5, heat=HEAT)
    assert covered(look(half, spec).image).sum() == 96 * 96 / 2


def test_copies_differ_in_their_digest():
    spec, photo = tiny_spec("v1"), read_photo(draw_photo(320, 240))
    made = [damaged(photo, spec, "noise", s, seed) for s, seed in ((0.5, 0), (0.5, 1), (0.6, 0))]
    assert len({copy.digest for copy in made}) == 3
    assert damaged(photo, spec, "noise", 0.5).digest == made[0].digest


def test_every_damage_says_its_parameter():
    for damage in DAMAGES.values():
        said = [damage.parameter(k / 4) for k in range(5)]
        assert all(said) and len(set(said)) >= 2
    assert DAMAGES["noise"].parameter(1) == "σ = 128 of 255"
    assert DAMAGES["rotate"].parameter(0.5) == "90°"
