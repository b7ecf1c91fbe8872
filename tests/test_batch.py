"""Batch, the way in: ZIPs that attack, lists in every dress, names, limits."""

import copy
import os
import struct
import zipfile
from pathlib import Path

import pytest

from resnet import images
from resnet.batch import BatchError, Limits, collect
from resnet.batch.archive import MAGIC, Archive, Budget
from resnet.batch.item import MAX_NAME, Item, shown_name, unique
from resnet.batch.lists import MAX_LIST, Line, match, read_list
from resnet.formats import MB
from resnet.images import ImageError


def reason(item: Item) -> str:
    """Why an item cannot be had: a sentence without a path or a Python name in it."""
    with pytest.raises(ImageError) as caught:
        item.open()
    words = str(caught.value)
    assert words.endswith(".") and "Error" not in words and "/" not in words
    return words


def pack(path: Path, members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def entry(path: Path, data: bytes, **changes) -> Path:
    """A ZIP of one member `a.jpg` whose directory entry says something else."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", data)
        for name, value in changes.items():
            setattr(archive.filelist[0], name, value)
    return path


def one(path: Path, **limits) -> Item:
    (item,) = collect([path], limits=Limits(**limits)).items
    return item


def test_a_server_s_own_limit_counts_in_a_zip_too(tmp_path):
    packed = pack(tmp_path / "some.zip", {"a.jpg": bytes(2000)})
    try:
        images.limit(max_bytes=1999)
        (item,) = collect([packed]).items
        with pytest.raises(ImageError, match="too large"):
            item.open()
        images.limit(max_bytes=2000)
        (item,) = collect([packed]).items
        assert item.open() == bytes(2000)
    finally:
        images.limit()


# --- what is collected


def test_photos_zips_and_folders_in_order(tmp_path, photo_jpeg):
    (tmp_path / "z.jpg").write_bytes(photo_jpeg)
    members = {"in/b.jpg": b"b", "in/": b"", "a.jpg": b"a", "__MACOSX/._a.jpg": b"x",
               ".hidden/c.jpg": b"x", "in/.DS_Store": b"x", "Thumbs.db": b"x"}  # fmt: skip
    packed = pack(tmp_path / "some.zip", members)
    with collect([tmp_path / "z.jpg", packed]) as found:
        assert [item.name for item in found] == ["z.jpg", "in/b.jpg", "a.jpg"]
        assert found.items[0].open() == str(tmp_path / "z.jpg")
        assert [item.open() for item in found.items[1:]] == [b"b", b"a"]
        assert len(found) == 3 and found.notes == ()
    assert found.archives[0]._file.closed


def test_a_zip_is_known_by_its_content_and_by_its_name(tmp_path):
    packed = pack(tmp_path / "photos", {"a.jpg": b"a"})
    assert [item.name for item in collect([packed])] == ["a.jpg"]
    (tmp_path / "not.zip").write_bytes(b"hello")
    assert "cut off or damaged" in reason(one(tmp_path / "not.zip"))


def test_duplicates_are_told_apart(tmp_path):
    folders = [tmp_path / str(i) for i in range(3)]
    for i, folder in enumerate(folders):
        folder.mkdir()
        (folder / "cat.jpg").write_bytes(bytes([i]))
    packed = pack(tmp_path / "p.zip", {"cat (2).jpg": b"", "x/cat.jpg": b""})
    names = [item.name for item in collect([*(f / "cat.jpg" for f in folders), packed])]
    assert names == ["cat.jpg", "cat (2).jpg", "cat (3).jpg", "cat (2) (2).jpg", "x/cat.jpg"]
    many = unique([Item("a", bytes)] * 2000)
    assert len({item.name for item in many}) == 2000


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/cat.jpg", "etc/cat.jpg"),
        ("/etc/passwd", "etc/passwd"),
        ("C:\\Windows\\cat.jpg", "Windows/cat.jpg"),
        ("..\\..\\cat.jpg", "cat.jpg"),
        ("a\nb\x1b[31m.jpg", "a�b�[31m.jpg"),
        ("gpj.\u202eexe", "gpj.�exe"),
        ("..", "unnamed"),
        ("", "unnamed"),
    ],
)
def test_names_are_safe_to_show(name, shown):
    assert shown_name(name) == shown


def test_a_long_name_keeps_its_end():
    name = shown_name("x" * 60_000 + "/cat.jpg")
    assert len(name) == MAX_NAME and name.startswith("…") and name.endswith("/cat.jpg")


def test_nothing_at_all_is_said(tmp_path):
    empty = pack(tmp_path / "e.zip", {"folder/": b""})
    for paths in ([], [empty]):
        with pytest.raises(BatchError, match="There is no photo"):
            collect(paths)


# --- attacks


def test_traversal_stays_in_memory(tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    packed = pack(inside / "t.zip", {"../../evil.jpg": b"1", "/abs.jpg": b"2", "C:\\w.jpg": b"3"})
    found = collect([packed])
    assert [item.name for item in found] == ["evil.jpg", "abs.jpg", "w.jpg"]
    assert [item.open() for item in found] == [b"1", b"2", b"3"]
    assert {path.name for path in tmp_path.rglob("*")} == {"in", "t.zip"}


def test_a_bomb_is_stopped_by_its_ratio_while_unpacking(tmp_path):
    packed = pack(tmp_path / "b.zip", {"a.jpg": bytes(19 * MB)})
    assert "more than 100 times" in reason(one(packed))
    assert one(packed, ratio=10_000).open() == bytes(19 * MB)
    blank = pack(tmp_path / "blank.zip", {"a.bmp": bytes(MB)})  # packs well, and is small
    assert len(one(blank).open()) == MB


def test_one_member_has_the_limit_of_a_photo(tmp_path):
    packed = pack(tmp_path / "b.zip", {"a.jpg": bytes(2000)}, zipfile.ZIP_STORED)
    assert "too large" in reason(one(packed, member=1999))
    assert len(one(packed, member=2000).open()) == 2000


def test_all_members_have_a_limit_together_whatever_the_headers_say(tmp_path):
    packed = pack(tmp_path / "b.zip", {f"{i}.jpg": bytes(1000) for i in range(4)}, 0)
    with pytest.raises(BatchError, match="unpack to"):  # what it claims is refused at once
        collect([packed], limits=Limits(total=3999))
    archive = Archive(packed, Limits(), Budget(2500))  # what comes out is counted
    first, second, third, fourth = archive.items()
    assert len(first.open()) == len(second.open()) == 1000
    assert "for one batch is reached" in reason(third)
    assert "for one batch is reached" in reason(fourth)
    assert archive.budget.left == 0


@pytest.mark.parametrize("claimed", [1, 999, 1001, 0xFFFFFF])
def test_a_header_that_lies_about_the_size_gives_no_more_bytes(claimed, tmp_path):
    item = one(entry(tmp_path / "l.zip", bytes(range(250)) * 4, file_size=claimed))
    if claimed < 1000:
        assert "damaged inside its ZIP" in reason(item)
    else:
        assert item.open() == bytes(range(250)) * 4


def overlapping(path: Path, copies: int, shift: int = 0) -> Path:
    """Members that all share one packed kernel, as in Fifield's bomb."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(range(256)) * 400)
        for i in range(1, copies):
            archive.filelist.append(info := copy.copy(archive.filelist[0]))
            info.header_offset += shift * i
    return path


@pytest.mark.parametrize("shift", [0, 5])
def test_overlapping_members_are_refused(shift, tmp_path):
    item = one(overlapping(tmp_path / "o.zip", 50, shift))
    assert item.name == "o.zip" and "ZIP bomb" in reason(item)


def test_the_running_limit_catches_overlaps_even_if_nothing_else_did(tmp_path, monkeypatch):
    monkeypatch.setattr(Archive, "_check", lambda self: None)
    archive = Archive(overlapping(tmp_path / "o.zip", 50), Limits(), Budget(350_000))
    results = []
    for item in archive.items():
        try:
            results.append(len(item.open()))
        except ImageError as error:
            results.append(str(error))
    assert results[:3] == [102_400] * 3
    assert all("for one batch is reached" in words for words in results[3:])


def test_a_zip_in_a_zip_is_not_opened(tmp_path):
    inner = pack(tmp_path / "inner.zip", {"a.jpg": b"a"}).read_bytes()
    packed = pack(tmp_path / "n.zip", {"deep.zip": inner, "photo.jpg": inner, "b.jpg": b"b"})
    deep, disguised, photo = collect([packed])
    assert "ZIP inside a ZIP" in reason(deep) and "ZIP inside a ZIP" in reason(disguised)
    assert photo.open() == b"b" and inner[:4] in MAGIC


def test_encrypted_members_links_and_odd_packings_are_refused(tmp_path):
    assert "encrypted" in reason(one(entry(tmp_path / "e.zip", b"x", flag_bits=1)))
    link = entry(tmp_path / "l.zip", b"/etc/passwd", external_attr=0o120777 << 16)
    assert "is a link" in reason(one(link))
    device = entry(tmp_path / "d.zip", b"", external_attr=0o060666 << 16)
    assert "not an ordinary file" in reason(one(device))
    for packing in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        packed = pack(tmp_path / f"{packing}.zip", {"a.jpg": bytes(9 * MB)}, packing)
        assert "not read here" in reason(one(packed))


def crowded(path: Path, entries: int, name: int = 8) -> Path:
    """A ZIP whose directory lists very many members; one is there."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", b"")
        first = archive.filelist[0]
        for i in range(1, entries):
            archive.filelist.append(info := copy.copy(first))
            info.filename = f"{i:0{name}}.jpg"
    return path


def test_ten_thousand_entries_are_refused_without_reading_any(tmp_path, monkeypatch):
    monkeypatch.setattr(Archive, "read", lambda *_: pytest.fail("a member was read"))
    packed = crowded(tmp_path / "c.zip", 10_000)
    with pytest.raises(BatchError, match=r"“c\.zip” has 10,000 entries"):
        collect([packed])
    data = bytearray(packed.read_bytes())
    data[-14:-10] = struct.pack("<HH", 3, 3)  # the end record claims three
    packed.write_bytes(data)
    with pytest.raises(BatchError, match=r"10,000 entries"):
        collect([packed])


def test_a_huge_directory_is_not_read(tmp_path):
    packed = crowded(tmp_path / "h.zip", 4_000, name=900)
    with pytest.raises(BatchError, match="table of contents is larger than"):
        collect([packed])


def test_too_many_photos_are_refused(tmp_path):
    packed = pack(tmp_path / "m.zip", {f"{i}.jpg": b"" for i in range(5)})
    assert len(collect([packed], limits=Limits(photos=5))) == 5
    with pytest.raises(BatchError, match="These are 5 photos; at most 4"):
        collect([packed], limits=Limits(photos=4))


@pytest.mark.parametrize("cut", [10, 60, 130, -1, -21, -60])
def test_a_damaged_zip_is_listed_and_the_others_still_come(cut, tmp_path, photo_jpeg):
    packed = pack(tmp_path / "d.zip", {"a.jpg": b"a" * 50, "b.jpg": bytes(range(256))})
    packed.write_bytes(packed.read_bytes()[:cut])
    (tmp_path / "good.jpg").write_bytes(photo_jpeg)
    *bad, good = collect([packed, tmp_path / "good.jpg"])
    assert good.open() == str(tmp_path / "good.jpg") and len(bad) == 1
    assert "Pack it again" in reason(bad[0])


def test_every_flipped_byte_gives_a_reason_or_bytes(tmp_path):
    whole = pack(tmp_path / "w.zip", {"a.jpg": bytes(range(200)), "b.jpg": b"b" * 90}).read_bytes()
    broken = tmp_path / "broken.zip"
    for at in range(len(whole)):
        broken.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            found = collect([broken])
        except BatchError:
            continue
        for item in found:
            try:
                assert len(item.open()) < 1000
            except ImageError as error:
                assert str(error).endswith(".")
        found.close()


def test_a_pipe_and_a_missing_file_do_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.zip")
    pipe, gone = collect([tmp_path / "pipe.zip", tmp_path / "gone.zip"])
    assert (pipe.name, gone.name) == ("pipe.zip", "gone.zip")  # read_photo says what they are


# --- lists


@pytest.mark.parametrize(
    "text",
    [
        "file,label\na.jpg,cat\nb.jpg,2\n",
        "a.jpg;cat\nb.jpg;2",
        "Label\tnr\tFile\ncat\t1\ta.jpg\n2\t2\tb.jpg\n",
        "\n\nfile , label\r\n a.jpg , cat \r\n\r\nb.jpg,2,more\r\n",
        '"a.jpg","cat"\n"b.jpg","2"\n',
    ],
)
@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_dress_of_a_list(text, code):
    assert read_list(text.encode(code), "l.csv", 9) == (Line("a.jpg", "cat"), Line("b.jpg", "2"))


def test_a_list_without_labels_and_with_odd_letters():
    assert read_list(b"a.jpg\nb.jpg\n", "l.csv", 9) == (Line("a.jpg", None), Line("b.jpg", None))
    assert read_list("käse.jpg,x".encode("cp1252"), "l.csv", 9) == (Line("käse.jpg", "x"),)
    assert read_list(b"file,label\n,cat\nb.jpg,\n", "l.csv", 9) == (Line("b.jpg", None),)
    assert read_list(b'"a, b.jpg";"x"\n', "l.csv", 9) == (Line("a, b.jpg", "x"),)
    assert read_list(b"", "l.csv", 9) == ()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\0\1\2", "not a text file"),
        (b"a.jpg\n" * 10, "lists more than 9 files"),
        (b'"' + b"a" * 200_000, "not a table"),
        (b"a" * (MAX_LIST + 1), "larger than 2 MB"),
    ],
)
def test_a_list_that_is_none_is_refused(data, says):
    with pytest.raises(BatchError, match=says):
        read_list(data, "l.csv", 9)


def test_lines_find_their_photos():
    names = ["x/a.jpg", "y/a.jpg", "y/b c.jpg", "IMG-1.jpg", "---.jpg"]
    lines = [Line(f, f) for f in ("x/a.jpg", "./y\\a.jpg", "b c.jpg", "img_1.jpg", "+++.jpg", "q")]
    said, missing, note = match(lines, names)
    assert said == {0: "x/a.jpg", 1: "./y\\a.jpg", 2: "b c.jpg", 3: "img_1.jpg"}
    assert [line.file for line in missing] == ["+++.jpg", "q"] and note == ""
    said, missing, note = match([Line("a.jpg", "cat")], names)
    assert (said, missing) == ({}, []) and "“a.jpg” fits several photos" in note


def test_a_list_labels_photos_in_zips(tmp_path):
    packed = pack(tmp_path / "p.zip", {"in/a.jpg": b"a", "in/b.jpg": b"b"})
    (tmp_path / "l.csv").write_text("file,label\nb.jpg,bee\nc.jpg,cat\n")
    found = collect([tmp_path / "l.csv", packed])
    assert [(item.name, item.said) for item in found] == [("in/a.jpg", None), ("in/b.jpg", "bee")]
    assert found.notes == (
        "“l.csv” names 2 photos and labels 1; 1 of them is not among the files.",
    )


def test_a_list_may_lie_in_the_zip_and_another_table_is_left_alone(tmp_path):
    inside = {"labels.csv": b"a.jpg,bee\n", "a.jpg": b"a", "prices.csv": b"tea,2\ncake,3\n"}
    photo, other = collect([pack(tmp_path / "p.zip", inside)])
    assert (photo.name, photo.said) == ("a.jpg", "bee")
    assert other.name == "prices.csv" and "names none of the photos" in reason(other)


def test_a_visitors_list_opens_nothing_on_the_server(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "l.csv").write_text(f"secret.jpg\n{tmp_path / 'secret.jpg'}\n../x.jpg\n")
    with pytest.raises(BatchError, match="names 3 photos and labels 0; 3 of them are not"):
        collect([tmp_path / "l.csv"])


def test_ones_own_list_opens_files_beside_it(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jpg").write_bytes(b"a")
    (tmp_path / "l.csv").write_text("data/a.jpg,bee\nb.jpg,ant\n")
    first, second = collect([tmp_path / "l.csv"], follow=True)
    assert (first.open(), first.said) == (str(tmp_path / "data" / "a.jpg"), "bee")
    assert second.name == "b.jpg"
    with pytest.raises(BatchError, match="no photo"):  # as `truth` it only labels
        collect([], truth=tmp_path / "l.csv", follow=True)


def test_a_list_that_cannot_be_read_is_listed(tmp_path, photo_jpeg):
    (tmp_path / "a.jpg").write_bytes(photo_jpeg)
    photo, gone = collect([tmp_path / "a.jpg", tmp_path / "gone.csv"])
    assert photo.name == "a.jpg" and "cannot be read" in reason(gone)
