"""One block in pictures and in words: the maps' values, what is drawn of them, what is said."""

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from resnet import view
from resnet.draw.block_sentence import block_sentence
from resnet.draw.blockpanel import Look, WireCams, blockpanel_html, map_note
from resnet.draw.overlay import SIGNED_MAP, palette
from resnet.images import read_photo
from resnet.residual import evidence, lesions, plan_of_gains, run, signal_budget
from resnet.residual.backward import backward
from resnet.residual.gains import delivered
from resnet.residual.maps import (
    PICTURES,
    MapError,
    block_maps,
    colour_limit,
    strongest_channels,
)

GAINS = {("2.0", "branch"): 0.5, ("2.1", "shortcut"): 2.0, ("4.1", "branch"): 0.0}
NASTY = '<img src=x onerror="alert(1)">'


@pytest.fixture
def tiny_trace(tiny, photo):
    return tiny.trace(view.to_tensor(view.look(read_photo(photo), tiny.spec).image, tiny.spec))


@pytest.fixture(params=["as trained", "rewired"])
def trace(request, tiny, tiny_trace):
    gains = GAINS if request.param == "rewired" else {}
    return run(tiny, tiny_trace, plan_of_gains(tiny.block_names, gains))


def signals(trace) -> dict[str, list[torch.Tensor]]:
    """By block: what arrived on both wires, their sum and the output, [C, h, w] each."""
    outputs = [wires.output for wires in trace.blocks.values()]
    return {
        name: [t[0] for t in (s, f, s + f, h)]
        for (name, s, f), h in zip(delivered(trace), outputs, strict=True)
    }


# The maps


def test_mean_rms_and_one_channel_are_torchs(trace):
    for name, four in signals(trace).items():
        wanted = {
            "mean": [t.mean(0) for t in four],
            "rms": [t.square().mean(0).sqrt() for t in four],
            "channel": [t[3] for t in four],
        }
        for how, pictures in wanted.items():
            found = block_maps(trace, name, how, channel=3 if how == "channel" else None)
            for picture, tensor in zip(found.pictures.values(), pictures, strict=True):
                assert picture.dtype == np.float32
                np.testing.assert_allclose(picture, tensor.numpy(), rtol=1e-5, atol=1e-6)
        assert torch.equal(four[3], four[2].relu())  # the gains are in the pictures


def test_means_add_up_and_sizes_do_not(trace):
    for name in trace.blocks:
        mean, rms = block_maps(trace, name), block_maps(trace, name, "rms")
        np.testing.assert_allclose(mean.sum, mean.shortcut + mean.branch, atol=1e-5)
        assert not rms.signed
    rms = block_maps(trace, "3.0", "rms")
    assert np.abs(rms.sum - rms.shortcut - rms.branch).max() > 0.1


def test_the_strongest_channels_are_those_of_the_evidence(tiny, trace):
    passed = backward(tiny, trace, 2)
    split = evidence(tiny, trace, 2)
    for name, (s, f, z, h) in signals(trace).items():
        step = passed[name]
        each = (step.gradient[0] * step.output[0]).double().sum((1, 2))  # G H = G m (S + F)
        order = sorted(range(len(each)), key=lambda c: -abs(float(each[c])))
        channels, share = strongest_channels(step, 4)
        assert sorted(channels) == sorted(order[:4])
        assert share == pytest.approx(float(each[order[:4]].abs().sum() / each.abs().sum()))
        assert float(each.sum()) == pytest.approx(split[name].total, abs=1e-5)
        found = block_maps(trace, name, "class", passed=passed, k=4)
        assert (found.channels, found.share, found.count) == (channels, share, len(each))
        for picture, t in zip(found.pictures.values(), (s, f, z, h), strict=True):
            np.testing.assert_allclose(picture, t[order[:4]].mean(0).numpy(), atol=1e-5)


@pytest.mark.parametrize("how", ["mean", "rms", "class", "channel"])
def test_one_scale_for_all_pictures_in_scope(tiny, trace, how):
    options = {
        "channel": 33,  # stage 1 has 32, so no such channel; and only "channel" may care
        "passed": backward(tiny, trace, 2) if how == "class" else None,
    }
    names = [n for n in trace.blocks if how != "channel" or n[0] != "1"]
    largest = {}
    for name in names:
        maps = block_maps(trace, name, how, **options)
        largest[name] = max(float(np.abs(p).max()) for p in maps.pictures.values())
        assert colour_limit(trace, name, how, "local", **options) == largest[name] == maps.limit
    for name in names:
        stage = max(v for other, v in largest.items() if other[0] == name[0])
        assert colour_limit(trace, name, how, "stage", **options) == stage
        assert colour_limit(trace, name, how, "global", **options) == max(largest.values())


def test_a_cut_wire_is_blank_and_said_to_be(tiny, tiny_trace):
    assert block_maps(tiny_trace, "2.1").blank == ()
    cut = run(tiny, tiny_trace, plan_of_gains(tiny.block_names, {("2.1", "branch"): 0.0}))
    maps = block_maps(cut, "2.1")
    assert maps.blank == ("branch",)
    np.testing.assert_array_equal(maps.shortcut, maps.sum)
    both = {("2.1", "branch"): 0.0, ("2.1", "shortcut"): 0.0}
    dead = run(tiny, tiny_trace, plan_of_gains(tiny.block_names, both))
    assert block_maps(dead, "2.1").blank == PICTURES
    assert colour_limit(dead, "2.1") == 0
    html = blockpanel_html(crop(), block_maps(dead, "2.1").pictures, 0.0, False, gains=(0, 0))
    assert html.count("blank: all zero") == 4
    assert html.count(">cut</span>") == 2
    assert "<img" not in html


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"block": "5.0"}, "no block 5.0"),
        ({"how": "median"}, "no map 'median'"),
        ({"how": "channel"}, "channels 0 to 63"),
        ({"how": "channel", "channel": 64}, "channels 0 to 63"),
        ({"how": "channel", "channel": -1}, "channels 0 to 63"),
        ({"how": "class"}, "need a class"),
        ({"k": 0}, "At least one channel"),
    ],
)
def test_what_does_not_exist_is_refused_in_words(tiny_trace, wrong, says):
    asked = {"block": "2.0"} | wrong
    for ask in (block_maps, colour_limit):
        with pytest.raises(MapError, match=re.escape(says)):
            ask(tiny_trace, **asked)
    with pytest.raises(MapError, match="scales are local, stage, global"):
        colour_limit(tiny_trace, "2.0", scope="world")


def test_maps_of_the_shipped_weights(net, photo):
    trace = net.analyze(photo).trace
    for name in net.block_names:
        maps = block_maps(trace, name)
        np.testing.assert_allclose(maps.sum, maps.shortcut + maps.branch, atol=1e-4)
        assert maps.blank == () and maps.output.min() >= 0
    side = {"1.0": 56, "2.3": 28, "3.2": 14, "4.2": 7}
    assert {name: block_maps(trace, name).sum.shape[0] for name in side} == side
    limits = [colour_limit(trace, "3.2", scope=scope) for scope in ("local", "stage", "global")]
    assert 0 < limits[0] <= limits[1] <= limits[2]


# The panel


def crop() -> Image.Image:
    return Image.new("RGB", (224, 224), (200, 30, 60))


def ramp(scale: float = 1.0) -> dict[str, np.ndarray]:
    """Four grids of 2 x 2; the sum is the sum."""
    s = np.array([[1, 0], [0.5, 0]], np.float32) * scale
    f = np.array([[-2, 0], [0.5, 1]], np.float32) * scale
    return {"shortcut": s, "branch": f, "sum": s + f, "output": np.maximum(s + f, 0)}


def pictures(html: str) -> list[np.ndarray]:
    """The maps of a panel as RGB arrays."""
    found = re.findall(r'<img class="bp-map[^"]*" src="data:image/png;base64,([^"]+)"', html)
    return [np.array(Image.open(io.BytesIO(base64.b64decode(f))).convert("RGB")) for f in found]


def test_all_pictures_share_one_scale_of_colours():
    colours = palette(SIGNED_MAP)
    drawn = pictures(blockpanel_html(crop(), ramp(), 2.0, True, look=Look(raw=True)))
    assert [p.shape for p in drawn] == [(2, 2, 3)] * 4
    for picture, values in zip(drawn, ramp().values(), strict=True):
        levels = ((values / 2 + 1) / 2 * 255).round().astype(int)
        np.testing.assert_array_equal(picture, colours[levels])


def test_beyond_the_scale_and_beyond_numbers_the_colour_is_the_strongest():
    maps = ramp() | {"shortcut": np.array([[9, -9], [np.inf, -np.inf]], np.float32)}
    first = pictures(blockpanel_html(crop(), maps, 2.0, True, look=Look(raw=True)))[0]
    ends = palette(SIGNED_MAP)[[255, 0]]
    np.testing.assert_array_equal(first, np.stack([ends, ends]))


def test_a_smooth_picture_interpolates_values():
    flat = ramp() | {"shortcut": np.array([[-1, 1], [-1, 1]], np.float32)}
    first = pictures(blockpanel_html(crop(), flat, 1.0, True))[0]
    assert first.shape == (224, 224, 3)
    colours = palette(SIGNED_MAP)
    row = [int(np.abs(colours.astype(int) - pixel).sum(1).argmin()) for pixel in first[100]]
    assert row == sorted(row)
    assert (row[0], row[-1]) == (0, 255)
    assert abs(row[111] - 127) <= 2


def test_the_equation_reads_and_has_words_for_those_who_do_not_see_it():
    html = blockpanel_html(crop(), ramp(), 2.0, True, gains=(0.5, 1.0))
    plain = re.sub(r"<[^>]+>", " ", html)
    order = ["shortcut", " S ", "× 0.5", "+", "branch", " F ", "=", "S + F", "→", "relu(S + F)"]
    places = [plain.index(order[0])]
    for word in order[1:]:
        places.append(plain.index(word, places[-1]))
    assert 'alt="Map of the branch, from −2.00 to 1.00"' in html
    assert "−2</span>" in html and "+2</span>" in html
    assert html.count("data:image/jpeg") == 1  # the photo is sent once for all pictures


def test_a_faint_map_is_told_from_a_blank_one():
    maps = ramp() | {"shortcut": np.full((2, 2), 0.01, np.float32)}
    html = blockpanel_html(crop(), maps, 2.0, True)
    assert html.count("· faint</div>") == 1
    assert "blank" not in html


def test_sizes_get_a_one_sided_scale():
    maps = {name: np.abs(values) for name, values in ramp().items()}
    html = blockpanel_html(crop(), maps, 2.0, False, adds=False)
    assert "<span>0</span>" in html and "<span>2</span>" in html and "−" not in html
    assert "bp-row apart" in html


def test_wire_cams_share_a_scale_and_print_their_error():
    maps = ramp()
    cams = WireCams("bee", maps["shortcut"], maps["branch"], (1.5, -0.5, 1.0 + 2e-8))
    html = blockpanel_html(crop(), maps, 2.0, True, cams=cams, look=Look(raw=True))
    drawn = pictures(html)
    assert len(drawn) == 7
    for i in range(3):  # the scale of the three is theirs, here 2 as well
        np.testing.assert_array_equal(drawn[i], drawn[4 + i])
    assert "<b>+1.50</b>" in html and "<b>−0.50</b>" in html and "<b>+1.00</b>" in html
    assert "adds to ⟨G, H⟩ = +1.00: error 2·10⁻⁸" in html.replace("\u00a0", " ")


def test_everything_is_escaped():
    maps = ramp()
    cams = WireCams(NASTY, maps["shortcut"], maps["branch"], (1.0, 1.0, 2.0))
    words = dict.fromkeys(("heading", "sentence", "note", "scale"), NASTY)
    html = blockpanel_html(crop(), maps, 2.0, True, cams=cams, **words)
    assert "<img src=x" not in html
    assert html.count("&lt;img src=x") == 6


def test_notes_say_what_a_point_is():
    assert "all 64 channels, sign kept" in map_note("mean", 64)
    assert "do not" in map_note("rms", 64)
    assert map_note("channel", 64, (7,)) == "Channel 7 of 64 (counted from 0) alone."
    strongest = map_note("class", 64, (7, 3), 0.256, "bee")
    assert "2 of 64" in strongest and "26 %" in strongest
    assert "“bee”" in strongest and "7, 3" in strongest


# The sentence


def row(ratio=0.82, cos=-0.18, norm_s=1.0, norm_f=0.82) -> dict:
    return {"block": "3.2", "norm_s": norm_s, "norm_f": norm_f, "ratio": ratio, "cos": cos}


def cut(wire: str, index: int, label: str, probability: float, block: str = "3.2") -> dict:
    answer = {"index": index, "label": label, "probability": probability}
    return {"block": block, "wire": wire, "answer": answer, "flips": index != 1}


CAT = ("Egyptian cat", 0.88)


def test_branch_stays_and_shortcut_changes():
    cuts = [cut("branch", 1, "Egyptian cat", 0.741), cut("shortcut", 2, "dishrag", 0.126)]
    assert block_sentence(row(), [cut("branch", 3, "x", 1.0, "3.3"), *cuts], before=CAT) == (
        "Block 3.2 adds 0.82 times as much as it receives and points slightly against it "
        "(cos −0.18). Cut its branch and this network still answers “Egyptian cat” (74.1 %, "
        "88.0 % before); cut its shortcut and it answers “dishrag” (12.6 %)."
    )


def test_the_other_ways_it_can_go():
    both = [cut("branch", 1, "cat", 0.7), cut("shortcut", 1, "cat", 0.05)]
    assert "Cut either wire and this network still answers “cat”: 70.0 % without its branch, " in (
        said := block_sentence(row(), both)
    )
    assert "only 5.0 % without its shortcut" in said
    same = [cut("branch", 2, "rug", 0.5), cut("shortcut", 2, "rug", 0.4)]
    assert "Cut either wire and this network answers “rug” instead: 50.0 %" in (
        block_sentence(row(), same, before=CAT)
    )
    turned = [cut("branch", 2, "rug", 0.5), cut("shortcut", 1, "cat", 0.4)]
    said = block_sentence(row(), turned, before=CAT, rewired=True)
    assert said.endswith(
        "With your changes kept, cut its branch and this network answers “rug” (50.0 %); "
        "cut its shortcut and it still answers “cat” (40.0 %, 88.0 % before)."
    )


@pytest.mark.parametrize(
    ("cos", "words"),
    [
        (-0.9, "points mostly against it (cos −0.90)"),
        (-0.5, "points partly against it (cos −0.50)"),
        (0.2, "points slightly the same way (cos 0.20)"),
        (0.8, "points mostly the same way (cos 0.80)"),
        (-0.001, "points almost at right angles to it (cos 0.00)"),
        (0.049, "points almost at right angles to it (cos 0.05)"),
    ],
)
def test_directions(cos, words):
    assert words in block_sentence(row(cos=cos))


def test_projection_cut_and_dead():
    assert block_sentence(row(), projection=True) == (
        "Block 3.2 changes the shape of the stream, so its shortcut is a projection. Its branch "
        "adds 0.82 times as much as the projection brings and points slightly against it "
        "(cos −0.18)."
    )
    assert "as much as arrives on its shortcut" in block_sentence(row(), gains=(0.5, 1.0))
    cuts = [cut("branch", 1, "cat", 0.7), cut("shortcut", 2, "rug", 0.4)]
    none = {"ratio": None, "cos": None}
    said = block_sentence(row(norm_s=0.0, **none), cuts, gains=(0.0, 1.0))
    assert said.startswith("The shortcut of block 3.2 brings nothing (cut); only its branch")
    assert "cut its shortcut" not in said and "Cut its branch" in said
    said = block_sentence(row(0.0, None, norm_f=0.0), cuts, gains=(1.0, 0.0))
    assert said.startswith("The branch of block 3.2 adds nothing (cut); only its shortcut arrives.")
    assert "Cut its shortcut and this network answers “rug” (40.0 %)." in said
    assert block_sentence(row(norm_s=0.0, norm_f=0.0, **none), cuts, gains=(0.0, 0.0)) == (
        "Nothing arrives at the addition of block 3.2: both its wires carry zero."
    )


def test_it_speaks_of_real_results(tiny, trace):
    cuts = lesions(tiny, trace).to_dict()["rows"]
    for entry in signal_budget(trace).to_dict()["blocks"]:
        said = block_sentence(entry, cuts)
        assert f"lock {entry['block']} " in said
        for label in {c["answer"]["label"] for c in cuts if c["block"] == entry["block"]}:
            assert f"“{label}”" in said
