"""The users file, and the counting of guesses."""

import os
import stat

import pytest

from resnet.__main__ import main
from resnet.server import users
from resnet.server.sign_ins import PER_USER, SignIns
from resnet.server.throttle import Buckets, Guesses
from resnet.server.users import Users, UsersError
from server.conftest import STRONG


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_only_a_salted_hash_is_kept_and_others_cannot_read_it(tmp_path):
    path = tmp_path / "users"
    assert users.add(path, "Anna", "correct horse")
    assert not users.add(path, "anna", "correct horse")  # a new password
    first = path.read_text()
    users.add(path, "bob", "correct horse")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    hashes = [line.split(":")[1] for line in path.read_text().splitlines() if ":$" in line]
    assert len(set(hashes)) == 2 and all(h.startswith("$argon2id$") for h in hashes)
    assert "correct horse" not in first


def test_a_hash_costs_what_rfc_9106_says():
    assert (STRONG.memory_cost, STRONG.time_cost) == (65536, 3)


def test_the_right_password_and_no_other(tmp_path, users_file):
    found = Users(users_file)
    assert found.check("Anna", "anna's own long password") == "anna"
    for name, password in (
        ("anna", "another long password"), ("anna", ""), ("nobody", "nobody"), ("", ""),
        ("anna:x", "x"), ("anna", "x" * 10_000), ("anna\n", "anna's own long passwor"),
    ):  # fmt: skip
        assert found.check(name, password) is None


def test_an_unknown_name_costs_a_hash_too(users_file, monkeypatch):
    checked = []
    found = Users(users_file)
    monkeypatch.setattr(users, "_matches", lambda hashed, _: checked.append(hashed) or True)
    assert found.check("stranger", "x") is None
    assert found.check("not a name!", "x") is None
    assert checked == [found._nobody] * 2


def test_a_change_of_the_file_is_seen_at_once(tmp_path):
    path = tmp_path / "users"
    users.add(path, "anna", "correct horse")
    found = Users(path)
    before = found.stamp("anna")
    users.add(path, "anna", "battery staple")
    assert found.check("anna", "battery staple") and found.stamp("anna") != before
    users.remove(path, "anna")
    assert found.check("anna", "battery staple") is None and found.stamp("anna") is None
    users.add(path, "anna", "battery staple")
    found.stamp("anna")
    path.unlink()  # while it is being copied somewhere, say
    assert found.stamp("anna")


@pytest.mark.parametrize("text", ["anna", "anna:plain", "anna:$argon2id$x", "a b:$argon2id$v=19$"])
def test_a_damaged_file_is_refused(tmp_path, text):
    path = tmp_path / "users"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(UsersError, match="Line 1"):
        Users(path)


def test_a_file_that_others_may_write_to_is_refused(tmp_path):
    path = tmp_path / "users"
    users.add(path, "anna", "correct horse")
    path.chmod(0o662)
    with pytest.raises(UsersError, match="chmod 600"):
        Users(path)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "../x", "ä" * 70, "-a", "a\nb", "\x00"])
def test_what_cannot_be_a_name(name):
    with pytest.raises(UsersError):
        users.user_name(name)


@pytest.mark.parametrize("password", ["short", "annaanna1"[:9], "x" * 257, "anna-the-1"[:4] * 2])
def test_what_cannot_be_a_password(tmp_path, password):
    with pytest.raises(UsersError):
        users.add(tmp_path / "users", "anna", password)


def test_the_command_line(tmp_path, capsys, monkeypatch):
    import io

    path = str(tmp_path / "users")
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert main(["user", "add", "Anna", "--stdin", "--auth", path]) == 0
    assert main(["user", "list", "--auth", path]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "anna"
    assert main(["user", "remove", "anna", "--auth", path]) == 0
    assert main(["user", "remove", "anna", "--auth", path]) == 2
    assert "There is no user “anna”." in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["user", "add", "anna", "--auth", path]) == 2
    assert "--stdin" in capsys.readouterr().err
    assert main(["user", "list", "--auth", path + "x"]) == 2
    assert os.listdir(tmp_path).count("users") == 1


def test_api_keys_are_kept_as_hashes_and_end_with_the_user(tmp_path, capsys):
    path = tmp_path / "users"
    users.add(path, "anna", "correct horse")
    assert main(["user", "key", "anna", "--auth", str(path)]) == 0
    key = capsys.readouterr().out.strip()
    assert len(key) > 40 and key not in path.read_text()
    found = users.Users(path)
    assert found.by_key(key) == "anna" and found.check("anna", "correct horse") == "anna"
    assert found.by_key(key[:-1]) is None and found.by_key("") is None
    users.add(path, "anna", "another correct horse")
    assert found.by_key(key) == "anna"  # a new password does not break her programs
    other = users.add_key(path, "anna")
    assert main(["user", "key", "anna", "--end", "--auth", str(path)]) == 0
    assert capsys.readouterr().out == "2 API keys of anna ended.\n"
    assert found.by_key(key) is None and found.by_key(other) is None
    third = users.add_key(path, "anna")
    assert found.by_key(third) == "anna"
    users.remove(path, "anna")
    assert found.by_key(third) is None
    assert main(["user", "key", "anna", "--auth", str(path)]) == 2


# Sign-ins


def test_a_sign_in_ends_by_time_by_sign_out_and_with_the_password():
    clock, stamps = Clock(), {"anna": "1"}
    found = SignIns(1, stamps.get, clock)
    for token in "abc":
        found.begin(token, "anna")
    assert found.user("a") == "anna" and found.user("x") is None
    found.end("a")
    assert found.user("a") is None
    stamps["anna"] = "2"
    assert found.user("b") is None
    stamps["anna"] = "1"
    clock.now += 3601
    assert found.user("c") is None
    assert len(found) == 0


def test_sign_ins_of_one_user_are_bounded():
    found = SignIns(1, {"anna": "1"}.get, Clock())
    for number in range(PER_USER + 5):
        found.begin(str(number), "anna")
    assert len(found) == PER_USER and found.user("0") is None and found.user("24") == "anna"


# Throttling


def test_a_bucket_empties_and_fills():
    clock = Clock()
    buckets = Buckets(2.0, 3, clock=clock)
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a") == 0.5
    assert buckets.take("b") == 0
    clock.now += 0.5
    assert buckets.take("a") == 0 and buckets.take("a") == 0.5
    clock.now += 100
    assert [bool(buckets.take("a")) for _ in range(4)] == [False, False, False, True]
    clock.now -= 50  # a clock that jumps back gives nothing, and breaks nothing
    assert buckets.take("a") > 0


def test_buckets_take_bounded_memory():
    buckets = Buckets(1, 1, most=10)
    for number in range(1000):
        buckets.take(str(number))
    assert len(buckets) == 10


def test_guesses_are_counted_by_address_and_by_user():
    clock = Clock()
    guesses = Guesses(clock)
    one = [guesses.begin("1.1.1.1", f"user{i}") for i in range(300)]
    assert sum(wait == 0 for wait in one) == 10  # of 300 names from one address
    many = [guesses.begin(f"2.2.{i}.2", "anna") for i in range(300)]
    assert sum(wait == 0 for wait in many) == 10  # of 300 addresses at one name


def test_guessing_does_not_lock_out_the_user_at_home():
    guesses = Guesses(Clock())
    assert guesses.begin("9.9.9.9", "anna") == 0
    guesses.right("9.9.9.9", "anna")
    for i in range(300):
        guesses.begin(f"2.2.{i}.2", "anna")
    assert guesses.begin("8.8.8.8", "anna") > 0
    assert guesses.begin("9.9.9.9", "anna") == 0


def test_right_passwords_are_not_counted():
    guesses = Guesses(Clock())
    for _ in range(50):
        assert guesses.begin("9.9.9.9", "anna") == 0
        guesses.right("9.9.9.9", "anna")
