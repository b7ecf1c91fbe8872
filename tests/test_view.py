"""The crop that the network sees, pixel for pixel torchvision's, and the way back to the photo."""

import io

import numpy as np
import pytest
import torch
from conftest import draw_photo, tiny_spec
from torchvision import transforms

from resnet import weights
from resnet.analysis import place
from resnet.images import read_photo
from resnet.view import View, look, to_tensor

SIZES = [
    (224, 224), (256, 256), (255, 257), (500, 375), (375, 500), (333, 500), (640, 427),
    (1023, 769), (301, 300), (100, 75), (75, 100), (31, 29), (1, 1), (900, 50), (50, 900),
    (257, 1001), (224, 300), (232, 260), (2000, 1333),
]  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["he2015", "imagenet1k-v2"])
def test_same_pixels_as_torchvision(size, name):
    spec = weights.named()[name]
    photo = read_photo(draw_photo(*size))
    theirs = transforms.Compose(
        [
            transforms.Resize(spec.resize, transforms.InterpolationMode(spec.interpolation)),
            transforms.CenterCrop(spec.crop),
        ]
    )
    seen = look(photo, spec)
    assert seen.image.size == (224, 224)
    assert np.array_equal(np.array(seen.image), np.array(theirs(photo.image)))


@pytest.mark.parametrize("resize, crop", [(64, 80), (63, 80), (61, 80), (80, 80), (99, 80)])
@pytest.mark.parametrize("size", [(60, 60), (61, 90), (130, 67)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest", "lanczos"])
def test_other_presets_and_crops_larger_than_the_photo(size, resize, crop, interpolation):
    spec = tiny_spec("v1", resize=resize, crop=crop, interpolation=interpolation)
    photo = read_photo(draw_photo(*size))
    theirs = transforms.Compose(
        [
            transforms.Resize(resize, transforms.InterpolationMode(interpolation)),
            transforms.CenterCrop(crop),
        ]
    )
    assert np.array_equal(np.array(look(photo, spec).image), np.array(theirs(photo.image)))


@pytest.mark.parametrize("name", ["he2015", "imagenet1k-v1", "imagenet1k-v2"])
def test_same_tensor_as_torchvision(name):
    spec = weights.named()[name]
    seen = look(read_photo(draw_photo(400, 300)), spec)
    ours = to_tensor(seen.image, spec)
    theirs = transforms.Compose([transforms.ToTensor(), transforms.Normalize(spec.mean, spec.std)])(
        seen.image
    )[None]
    assert ours.shape == (1, 3, 224, 224) and ours.dtype == torch.float32
    assert torch.allclose(ours, theirs, rtol=1e-6, atol=1e-5)


def test_he2015_sees_caffes_numbers():
    """BGR 0-255 minus Caffe's means, told in RGB order."""
    image = draw_photo(224, 224)
    ours = to_tensor(image, weights.named()["he2015"])[0].permute(1, 2, 0).numpy()
    wanted = np.array(image, np.float32) - np.float32([123.68, 116.779, 103.939])
    assert np.abs(ours - wanted).max() < 1e-3


@pytest.mark.parametrize("size", [s for s in SIZES if min(s) > 20])
def test_box_is_the_centre_of_the_photo(size):
    spec = weights.named()["he2015"]
    seen = look(read_photo(draw_photo(*size)), spec)
    x0, y0, x1, y1 = seen.box
    pixel = min(size) / spec.resize  # one pixel of the resized picture, in the photo's
    assert seen.size == size
    assert 0 <= x0 < x1 <= size[0] + 1e-9 and 0 <= y0 < y1 <= size[1] + 1e-9
    assert (x0 + x1) / 2 == pytest.approx(size[0] / 2, abs=pixel)
    assert (y0 + y1) / 2 == pytest.approx(size[1] / 2, abs=pixel)
    assert min(x1 - x0, y1 - y0) == pytest.approx(min(size) * 224 / 256, rel=1e-6)


def test_box_leads_back_to_the_same_pixels():
    """Each quarter of the crop shows the quarter of the photo that the box says."""
    photo = read_photo(draw_photo(700, 500))
    seen = look(photo, weights.named()["he2015"])
    again = photo.image.resize((224, 224), 2, box=seen.box)
    gap = np.abs(np.array(again, int) - np.array(seen.image, int))
    # The two resampling grids differ by less than a pixel, which shows on the stripes' edges only.
    assert gap.mean() < 3


def test_box_of_a_shrunk_jpeg_is_in_the_files_own_pixels():
    file = io.BytesIO()
    draw_photo(2400, 1602).save(file, "JPEG")
    photo = read_photo(file.getvalue())
    full = read_photo(file.getvalue(), full=True)
    assert photo.size == full.size == (2400, 1602)
    assert photo.image.width < full.image.width
    spec = weights.named()["he2015"]
    assert look(photo, spec).size == (2400, 1602)
    assert look(photo, spec).box == pytest.approx(look(full, spec).box, abs=2400 / 256)


def test_place_puts_the_grid_on_the_crop_and_nothing_beside_it():
    grid = np.float32([[1, 2], [3, 4]])
    seen = View(image=None, box=(2, 1, 6, 5), size=(8, 6))
    wanted = np.zeros((6, 8), np.float32)
    wanted[1:3, 2:4], wanted[1:3, 4:6], wanted[3:5, 2:4], wanted[3:5, 4:6] = 1, 2, 3, 4
    assert np.array_equal(place(grid, seen, (8, 6), smooth=False), wanted)


def test_place_smooth_is_bilinear_between_cell_centres():
    seen = View(image=None, box=(0, 0, 4, 4), size=(4, 4))
    found = place(np.float32([[0, 4], [0, 4]]), seen, (4, 4))
    assert np.array_equal(found, np.tile(np.float32([0, 1, 3, 4]), (4, 1)))


def test_place_at_half_the_size():
    seen = View(image=None, box=(4, 2, 12, 10), size=(16, 12))
    found = place(np.ones((2, 2), np.float32), seen, (8, 6), smooth=False)
    wanted = np.zeros((6, 8), np.float32)
    wanted[1:5, 2:6] = 1
    assert np.array_equal(found, wanted)


def test_place_when_the_crop_hangs_over_the_photo():
    seen = View(image=None, box=(-1, -1, 5, 5), size=(4, 4))
    grid = np.arange(9, dtype=np.float32).reshape(3, 3)  # cells of 2 x 2, the first at -1
    found = place(grid, seen, (4, 4), smooth=False)
    assert found.shape == (4, 4)
    assert found.tolist() == [[0, 1, 1, 2], [3, 4, 4, 5], [3, 4, 4, 5], [6, 7, 7, 8]]


@pytest.mark.parametrize("size", [(320, 240), (61, 90), (30, 30)])
def test_heatmap_lies_on_the_photos_own_pixels(tiny_v1, size):
    found = tiny_v1.analyze(draw_photo(*size))
    whole = found.heatmap("bee", "layercam", "2.0", smooth=False)
    assert whole.shape == size[::-1] and whole.dtype == np.float32
    x0, y0, x1, y1 = (round(edge) for edge in found.view.box)
    inside = np.zeros(whole.shape, bool)
    inside[max(0, y0) : y1, max(0, x0) : x1] = True
    assert not whole[~inside].any() and whole[inside].any()
    assert whole.min() >= 0 and whole.max() <= 1
