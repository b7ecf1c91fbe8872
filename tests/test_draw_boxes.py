"""Boxes over a photo: colours, labels that never collide, the page's layer, the picture to keep."""

import re
import shutil
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from resnet.draw import box_labels
from resnet.draw.box_colours import CLASSES, PALETTE, colour_of, contrast, ink_on
from resnet.draw.box_labels import SHOWN, fallback, leader, percent, place_tags, plans_for
from resnet.draw.box_picture import draw_boxes
from resnet.draw.boxes import boxes_figure, boxes_svg, hidden_note
from resnet.draw.contact_sheet import clipped, contact_sheet
from resnet.draw.mask_outline import mask_outlines

UI = Path(box_labels.__file__).parents[1] / "ui"
CSS = UI / "boxes.css"
WIDTHS = UI / "boxes_widths.css"
SVG = "{http://www.w3.org/2000/svg}"
BOXES = np.array([[20, 40, 380, 280], [60, 90, 160, 200], [300, 0, 400, 60.0]])
NAMES, SCORES = ["car", "dog", "person"], [0.9, 0.87, 0.6]
SIZE = (400, 300)
HOSTILE = "<script>\"&'</script>"

# Colours

# Machado, Oliveira & Fernandes 2009, "A physiologically-based model for simulation of color vision
# deficiency", IEEE TVCG 15(6), severity 1.0; for linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# Ottosson 2020, "A perceptual color space for image processing" (OKLab).
TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def seen(colours, vision: str) -> np.ndarray:
    """OKLab x 100 of "#rrggbb" colours as a kind of eye sees them; about 2 is just noticeable."""
    rgb = np.array([[int(c[at : at + 2], 16) / 255 for at in (1, 3, 5)] for c in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(VISION[vision]).T, 0, 1)
    return 100 * np.cbrt(linear @ TO_LMS.T) @ TO_LAB.T


def least_distance(colours, vision: str) -> float:
    return min(float(np.hypot(*(a - b)[1:]) ** 2 + (a - b)[0] ** 2) ** 0.5
               for a, b in combinations(seen(colours, vision), 2))  # fmt: skip


@pytest.mark.parametrize(
    ("vision", "least"), [("normal", 16), *((v, 10) for v in list(VISION)[1:])]
)
def test_any_two_colours_differ_for_every_kind_of_eye(vision, least):
    assert 10 <= len(PALETTE) <= 14
    assert least_distance(PALETTE, vision) >= least


def test_the_measure_tells_a_bad_palette():
    red_green = ("#d62728", "#7a7a00")
    assert least_distance(red_green, "deuteranopia") < 10 < least_distance(red_green, "normal")


def test_light_and_dark_colours_are_both_there():
    light = np.sort(seen(PALETTE, "normal")[:, 0])
    assert light[0] < 50 and light[-1] > 85 and np.diff(light).max() < 12


def test_text_on_every_colour_can_be_read():
    for colour in PALETTE:
        assert contrast(colour, ink_on(colour)) >= 4.5
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert ink_on("#ffff00") == "#000000" and ink_on("#000080") == "#ffffff"


def test_a_class_has_one_colour_however_it_is_written():
    assert colour_of("Person") == colour_of("person") == "#eb9a04"
    assert colour_of("motorbike") == colour_of("motorcycle")
    assert colour_of("sofa") == colour_of("couch")
    assert colour_of("wine_glass") == colour_of("wine glass") == colour_of(" Wine  glass ")
    # words that no detector of ours knows: fixed by the word alone, in every session
    assert [colour_of(w) for w in ("okapi", "Zug", "")] == [PALETTE[at] for at in (10, 8, 0)]


def test_frequent_classes_and_neighbours_have_different_colours():
    often = ["person", "car", "chair", "dog", "cat", "bottle", "bird", "bicycle", "cell phone"]
    assert len({colour_of(name) for name in often}) == len(often)
    for group in (
        ["car", "bus", "truck", "bicycle", "motorcycle", "train"],
        ["cup", "bottle", "fork", "knife", "spoon", "bowl", "dining table"],
        ["dog", "cat", "bird", "horse", "cow", "sheep"],
        ["tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "book"],
    ):
        shared = len(group) - len({colour_of(name) for name in group})
        assert shared == 0, group


def test_every_class_of_coco_is_dealt_out_once():
    from torchvision.models._meta import _COCO_CATEGORIES

    dealt = [name for names in CLASSES.values() for name in names.split(", ")]
    real = {name for name in _COCO_CATEGORIES if name not in ("__background__", "N/A")}
    assert sorted(dealt) == sorted(real) and len(real) == 80


# Labels


def layouts(count: int):
    """Random pictures from sparse to hopelessly crowded, some boxes tiny, some the whole."""
    rng = np.random.default_rng(7)
    for _ in range(count):
        size = tuple(rng.integers(120, 900, 2).tolist())
        many = int(rng.integers(1, 40))
        ends = np.sort(rng.uniform(0, 1, (many, 2, 2)) ** rng.uniform(0.4, 2), 1)
        if rng.random() < 0.5:  # a heap
            ends = ends * rng.uniform(0.1, 0.5) + rng.uniform(0, 0.5)
        boxes = ends.reshape(many, 4) * (*size, *size)
        yield boxes, rng.uniform(25, 130, many), size, rng.uniform(0, 1, many)


def overlaps(a, b) -> bool:
    return (
        min(a.x + a.width, b.x + b.width) - max(a.x, b.x) > 1e-6
        and min(a.y + a.height, b.y + b.height) - max(a.y, b.y) > 1e-6
    )


def test_tags_never_overlap_nor_leave_the_picture():
    placed = missing = 0
    for boxes, widths, size, scores in layouts(200):
        found = place_tags(boxes, widths, 17, size, scores)
        tags = [tag for tag in found.tags if tag is not None]
        assert len(found.tags) == len(boxes) and found.dropped == len(boxes) - len(tags)
        for tag in tags:
            assert tag.x >= 0 and tag.x + tag.width <= size[0] + 1e-6
            assert tag.y >= 0 and tag.y + tag.height <= size[1] + 1e-6
        assert not any(overlaps(a, b) for a, b in combinations(tags, 2))
        area = sum(tag.width * tag.height for tag in tags)
        assert area <= box_labels.MOST * size[0] * size[1] + 1e-6
        for row, tag in enumerate(found.tags):
            assert tag is None or tag.width == pytest.approx(widths[row])
        placed, missing = placed + len(tags), missing + found.dropped
    assert placed > 1500 and missing > 200  # the layouts try both


def test_a_leader_goes_from_its_tag_to_its_box_and_only_where_they_are_apart():
    threads = 0
    for boxes, widths, size, scores in layouts(120):
        for box, tag in zip(boxes, place_tags(boxes, widths, 17, size, scores).tags, strict=True):
            if tag is None:
                continue
            across = max(tag.x - box[2], box[0] - tag.x - tag.width, 0)
            down = max(tag.y - box[3], box[1] - tag.y - tag.height, 0)
            if tag.leader is None:
                assert max(across, down) < 1e-6
                continue
            threads += 1
            x, y, to_x, to_y = tag.leader
            assert tag.x - 1e-6 <= x <= tag.x + tag.width + 1e-6
            assert tag.y - 1e-6 <= y <= tag.y + tag.height + 1e-6
            assert box[0] - 1e-6 <= to_x <= box[2] + 1e-6
            assert box[1] - 1e-6 <= to_y <= box[3] + 1e-6
            assert np.hypot(to_x - x, to_y - y) == pytest.approx(np.hypot(across, down))
            assert np.hypot(across, down) <= box_labels.REACH * 17 + 1e-6
    assert threads > 50


def test_leaders_end_where_box_and_tag_are_nearest():
    box = np.array([100, 100, 200, 200])
    assert leader(np.array([10, 10, 60, 30]), box) == (60, 30, 100, 100)
    assert leader(np.array([240, 150, 290, 170]), box) == (240, 160, 200, 160)
    assert leader(np.array([110, 230, 160, 250]), box) == (135, 230, 135, 200)
    assert leader(np.array([110, 80, 160, 100]), box) is None


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ((100, 100, 200, 200), (100, 83)),  # above the top left corner
        ((0, 0, 400, 300), (0, 0)),  # no room above: inside
        ((350, 100, 400, 200), (330, 83)),  # above, but not out at the right
        ((100, 0, 150, 10), (100, 10)),  # it would hide the thing itself: below
    ],
)
def test_one_label_stands_where_it_is_looked_for(box, place):
    tag = place_tags(np.array([box]), [70], 17, SIZE).tags[0]
    assert (tag.x, tag.y) == pytest.approx(place) and tag.leader is None


def test_the_best_scores_keep_their_labels():
    boxes = np.tile([10, 10, 30, 30.0], (40, 1))
    scores = np.random.default_rng(0).permutation(np.linspace(0.1, 0.9, 40))
    found = place_tags(boxes, [60] * 40, 17, (300, 200), scores)
    with_tag = [s for s, tag in zip(scores, found.tags, strict=True) if tag is not None]
    without = [s for s, tag in zip(scores, found.tags, strict=True) if tag is None]
    assert found.dropped == len(without) > 0 and min(with_tag) > max(without)
    worst = int(np.argmin(scores))
    assert place_tags(boxes, [60] * 40, 17, (300, 200), scores, first=worst).tags[worst] is not None


def test_a_small_thing_is_not_hidden_by_its_neighbour_s_label():
    boxes = np.array([[100, 100, 200, 200], [100, 84, 120, 99.0]])
    tag = place_tags(boxes, [70, 70], 17, SIZE, [0.9, 0.8]).tags[0]
    assert not (tag.x < 120 and tag.y < 99 and tag.y + 17 > 84)


def test_no_boxes_and_no_room_are_normal():
    assert place_tags(np.empty((0, 4)), [], 17, SIZE).tags == ()
    assert place_tags(np.array([[0, 0, 10, 10]]), [70], 17, (60, 300)).dropped == 1
    tag = fallback(np.array([380, 5, 399, 20]), 70, 17, SIZE)
    assert tag.x + tag.width <= 400 and tag.y >= 0


def test_percentages_claim_no_certainty():
    said = [percent(p) for p in (0, 0.001, 0.874, 0.996, 0.9999, 1)]
    assert said == ["0 %", "<1 %", "87 %", "99 %", "99 %", "100 %"]


# The layer


def layer(**options) -> ElementTree.Element:
    return ElementTree.fromstring(
        boxes_svg(BOXES, options.pop("names", NAMES), SCORES, SIZE, **options)
    )


def groups(root: ElementTree.Element) -> list[ElementTree.Element]:
    return [g for g in root if g.get("class").startswith("box")]


def test_smaller_boxes_lie_on_larger_ones_and_say_what_they_are():
    found = groups(layer())
    assert [g.get("data-index") for g in found] == ["0", "1", "2"]  # by size
    for g, said in zip(found, ("car, 90 %", "dog, 87 %", "person, 60 %"), strict=True):
        assert (g.get("role"), g.get("tabindex"), g.get("aria-label")) == ("button", "0", said)
        assert g.get("aria-pressed") == "false"
    hit = found[1].find(f"{SVG}rect[@class='hit']")
    x, y, wide, high = (float(hit.get(name)) for name in ("x", "y", "width", "height"))
    assert (x, y, x + wide, y + high) == pytest.approx(BOXES[1] * 2.5)  # 1000 units wide


def test_lines_lie_under_every_label():
    root = layer()
    assert root[0].get("class") == "ground" and len(root[0]) == 3
    for line, name in zip(root[0], ("car", "dog", "person"), strict=True):
        assert [r.get("class") for r in line] == ["halo", "core"]
        assert f"--box:{colour_of(name)}" in line.get("style")
        for edge in line:
            assert 0 < float(edge.get("x")) < float(edge.get("x")) + float(edge.get("width")) < 1000


def test_ids_and_selection_travel():
    found = {g.get("data-index"): g for g in groups(layer(ids=[7, 3, 5], selected=3))}
    assert set(found) == {"3", "5", "7"}
    assert [i for i, g in found.items() if "selected" in g.get("class").split()] == ["3"]
    assert found["3"].get("aria-pressed") == "true"
    assert found["3"].get("aria-label") == "dog, 87 %"
    assert "selected" not in boxes_svg(BOXES, NAMES, SCORES, SIZE, selected=99)


def test_any_class_name_is_text():
    svg = boxes_svg(BOXES, [HOSTILE] * 3, SCORES, SIZE)
    assert "<script" not in svg
    assert groups(ElementTree.fromstring(svg))[0].get("aria-label") == f"{HOSTILE}, 90 %"
    photo = Image.new("RGB", SIZE)
    assert "<script" not in boxes_figure(photo, BOXES, [HOSTILE] * 3, SCORES, HOSTILE)


def test_each_width_has_its_labels_and_its_rule():
    for g in groups(layer()):
        kinds = [tag.get("class").split()[2] for tag in g.findall(f"{SVG}g[@transform]")]
        assert kinds == [f"at-{width}" for width in SHOWN]
    css = WIDTHS.read_text("utf-8")
    widths = list(SHOWN)
    steps = [int(w) for w in re.findall(r"@container boxes \(min-width: (\d+)px\)", css)]
    assert steps == widths[1:]
    for width in widths:
        assert f".at-{width} {{ display: inline; }}" in css


def test_letters_are_legible_wherever_their_layout_is_shown():
    widths = [*SHOWN, 1000]
    for (shown, letters), most in zip(SHOWN.items(), widths[1:], strict=True):
        assert letters >= 11 and letters * most / shown <= 15.5


def test_hidden_labels_are_counted_per_width():
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 300, (60, 2))
    boxes = np.hstack((corner, corner + rng.uniform(8, 60, (60, 2))))
    names, scores = ["person"] * 60, np.linspace(0.99, 0.3, 60)
    html = boxes_figure(Image.new("RGB", (400, 400)), boxes, names, scores, "Sixty")
    dropped = {w: plan.dropped for w, plan in plans_for(boxes, names, scores, (400, 400)).items()}
    assert dropped[320] > dropped[920] >= 0
    for width, count in dropped.items():
        unplaced = html.count(f'at-{width} unplaced"')
        assert unplaced == count
        assert (f'<span class="at at-{width}">{hidden_note(count)}</span>' in html) == (count > 0)
    assert hidden_note(0) == "" and hidden_note(1).startswith("1 label is")


def test_nothing_found_is_the_plain_photo():
    none = np.empty((0, 4))
    photo = Image.effect_noise(SIZE, 60).convert("RGB")
    assert groups(ElementTree.fromstring(boxes_svg(none, [], [], SIZE))) == []
    assert "0 detections" in boxes_svg(none, [], [], SIZE)
    assert np.array_equal(draw_boxes(photo, none, [], []), photo)


# Masks


def test_outlines_follow_a_mask_and_its_hole():
    mask = np.zeros((60, 80), bool)
    mask[10:50, 20:60] = True
    mask[25:35, 35:45] = False
    lines = mask_outlines(mask, 800, 600)
    around = sorted(((*line.min(0), *line.max(0)) for line in lines), key=lambda box: box[0])
    assert len(lines) == 2
    assert around[0] == pytest.approx((200, 100, 600, 500), abs=6)
    assert around[1] == pytest.approx((350, 250, 450, 350), abs=6)
    assert all(len(line) < 30 for line in lines)  # straight sides need few points
    assert mask_outlines(np.zeros((60, 80), bool), 800, 600) == []
    whole = mask_outlines(np.ones((6, 8), bool), 800, 600)
    assert (*whole[0].min(0), *whole[0].max(0)) == pytest.approx((0, 0, 800, 600), abs=1)


def test_masks_reach_both_pictures():
    masks = np.zeros((3, 30, 40), bool)
    masks[0, 10:25, 20:35] = True
    found = groups(layer(masks=masks))
    assert found[0].find(f"{SVG}path[@class='mask']").get("d").startswith("M")
    photo = Image.new("RGB", SIZE, "#808080")
    drawn = draw_boxes(photo, BOXES, NAMES, SCORES, masks=masks)
    tinted, plain = drawn.getpixel((280, 180)), drawn.getpixel((180, 260))
    car = np.array([0x2F, 0x12, 0xD6])
    assert np.allclose(tinted, 128 + 0.34 * (car - 128), atol=3) and plain == (128, 128, 128)


# The picture to keep


def test_the_picture_has_the_lines_where_the_boxes_are():
    photo = Image.new("RGB", SIZE, "#808080")
    drawn = draw_boxes(photo, BOXES[:1], ["car"], [0.9])
    car = (0x2F, 0x12, 0xD6)
    for at in ((20, 150), (379, 150), (200, 279), (300, 40)):
        assert drawn.getpixel(at) == car, at
    assert drawn.getpixel((200, 150)) == drawn.getpixel((5, 290)) == (128, 128, 128)
    thick = draw_boxes(photo, BOXES[:1], ["car"], [0.9], selected=0)
    count = [int((np.asarray(one) == car).all(2)[150].sum()) for one in (drawn, thick)]
    assert count[1] > count[0] >= 4


def test_boxes_shrink_with_the_photo_and_never_grow():
    photo = Image.new("RGB", (4000, 3000), "#808080")
    drawn = draw_boxes(photo, BOXES[:1] * 10, ["car"], [0.9], longest=800)
    assert drawn.size == (800, 600)
    assert drawn.getpixel((40, 300)) == (0x2F, 0x12, 0xD6)
    assert draw_boxes(photo.resize(SIZE), BOXES, NAMES, SCORES).size == SIZE


def test_the_photo_given_stays_as_it_was():
    photo = Image.new("RGB", SIZE, "#808080")
    draw_boxes(photo, BOXES, NAMES, SCORES, caption="x")
    assert photo.getcolors() == [(400 * 300, (128, 128, 128))]


def test_a_caption_stands_under_the_photo():
    photo = Image.new("RGB", SIZE, "#808080")
    with_words = draw_boxes(photo, BOXES, NAMES, SCORES, caption="offline · threshold 0.50")
    without = draw_boxes(photo, BOXES, NAMES, SCORES)
    assert with_words.width == 400 and with_words.height > 300
    assert np.array_equal(np.asarray(with_words)[:300], np.asarray(without))
    assert np.asarray(with_words)[300:].min() < 120
    assert clipped("a long line " * 40, 100, 12).endswith("…") and clipped("a", 100, 12) == "a"


def test_boxes_at_the_edge_and_without_area_can_be_drawn():
    boxes = np.array([[0, 0, 400, 300], [399, 299, 400, 300], [50, 50, 50, 50], [0, 0, 2, 300.0]])
    names, scores = ["person", "dog", "okapi", "tie"], [1.0, 0.9, 0.5, 0.0]
    assert draw_boxes(Image.new("RGB", SIZE), boxes, names, scores).size == SIZE
    assert len(groups(ElementTree.fromstring(boxes_svg(boxes, names, scores, SIZE)))) == 4


# The sheet


def test_rows_of_a_sheet_are_full_and_captioned():
    shapes = [(400, 300), (300, 400), (500, 300), (640, 360), (200, 200)]
    pictures = [Image.new("RGB", shape, "#ff0000") for shape in shapes]
    sheet = contact_sheet(pictures, 3, 900, ["one", "two", "three", "four", "five"])
    red = (np.asarray(sheet) == (255, 0, 0)).all(2)
    assert sheet.width == 900 and red[:, :9].sum() == red[:, 891:].sum() == 0
    first = red[20]
    assert first[9] and first[890]  # from margin to margin
    assert np.count_nonzero(np.diff(first.astype(int)) == 1) == 3
    rows = np.flatnonzero(np.diff(red.any(1).astype(int)))
    assert len(rows) == 4  # two rows of pictures
    assert rows[3] - rows[2] == rows[1] - rows[0]  # the shorter row is not blown up
    assert contact_sheet(pictures, 3, 900).height < sheet.height
    dark = (np.asarray(sheet).max(2) < 120)[rows[1] + 1 : rows[2]]
    assert dark[:, :300].any() and dark[:, -400:].any()


def test_a_sheet_says_what_it_needs():
    picture = Image.new("RGB", (10, 10))
    for images, columns, captions in (([], 2, ()), ([picture], 0, ()), ([picture], 1, ("a", "b"))):
        with pytest.raises(ValueError, match="a sheet needs"):
            contact_sheet(images, columns, 500, captions)


# In a browser


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium (apt install chromium)")
    args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    return {"executable_path": chromium, "args": [*args, "--disable-background-networking"]}


@pytest.mark.browser
def test_hover_focus_and_widths_in_a_browser(page):
    html = boxes_figure(Image.new("RGB", SIZE, "#888888"), BOXES, NAMES, SCORES, "Three")
    css = CSS.read_text("utf-8") + WIDTHS.read_text("utf-8")
    page.set_content(f"<style>body{{margin:0}}{css}</style>{html}")
    page.emulate_media(reduced_motion="reduce")
    for wide, kind in ((360, 320), (700, 700), (1000, 920)):
        page.set_viewport_size({"width": wide, "height": 1200})
        shown = page.evaluate(
            "() => [...document.querySelectorAll('.tag')].filter(t => t.getClientRects().length)"
            ".map(t => t.getAttribute('class'))"
        )
        assert len(shown) == 3 and all(f"at-{kind}" in name for name in shown)
        spill = page.evaluate(
            "() => [...document.querySelectorAll('.tag text')].filter(t => t.getClientRects()"
            ".length).map(t => t.getBBox().width - t.parentNode.querySelector('rect')"
            ".getBBox().width)"
        )
        assert max(spill) < 0  # every text inside its tag
    opacity = "(where) => getComputedStyle(document.querySelector(where)).opacity"
    picture = page.locator(".boxes-stage").bounding_box()
    page.mouse.move(picture["x"] + 110 * 2.5, picture["y"] + 150 * 2.5)  # the dog in the car's box
    dog, car = '.box[data-index="1"]', '.box[data-index="0"]'
    assert page.evaluate(opacity, f"{dog} .lit") == "1"
    assert page.evaluate(opacity, f"{car} .lit") == "0"
    assert float(page.evaluate(opacity, ".ground")) < 0.5
    assert float(page.evaluate(opacity, f"{car} .at-920")) < 0.5
    page.mouse.move(0, 1100)
    assert page.evaluate(opacity, ".ground") == "1"
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.dataset.index") == "0"
    assert page.evaluate(opacity, f"{car} .lit") == "1"
