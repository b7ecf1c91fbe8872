"""Options, variables, and the one sentence for each wrong setting."""

import argparse

import pytest

from resnet.server import settings as module
from resnet.server.settings import Settings, SettingsError


def read(*arguments: str, **environ: str) -> Settings:
    parser = argparse.ArgumentParser()
    module.add_options(parser, environ)
    return module.from_options(parser.parse_args(list(arguments)), environ)


def test_by_default_only_this_machine_can_open_the_page():
    settings = read()
    assert settings == Settings() and settings.open
    assert (settings.host, settings.port) == ("127.0.0.1", 7860)
    assert not settings.warnings()


def test_every_setting_is_an_option_and_a_variable_and_the_command_line_wins():
    assert read(RESNET_KEEP_MINUTES="5").keep_minutes == 5
    assert read("--keep-minutes", "7.5", RESNET_KEEP_MINUTES="5").keep_minutes == 7.5
    assert read(RESNET_HOSTS="a.org, b.org").hosts == ("a.org", "b.org")
    assert read("--allow-open", "--host", "0.0.0.0").allow_open
    assert read(RESNET_ALLOW_OPEN="1", RESNET_HOST="0.0.0.0").host == "0.0.0.0"


def test_a_hugging_face_space_says_where_to_listen_and_under_which_name():
    found = read(GRADIO_SERVER_NAME="0.0.0.0", SPACE_HOST="me.hf.space")
    assert found.host == "0.0.0.0" and "me.hf.space" in found.hosts
    assert found.open and found.allow_open and found.frame_origins == ("https://huggingface.co",)


@pytest.mark.parametrize("text", ["1.5", "-3", "http", "", "99999999999"])
def test_a_port_that_is_no_number_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        read("--port", text)
    assert "--port" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": "0.0.0.0"}, "--allow-open"),
        ({"host": "::"}, "--allow-open"),
        ({"host": "photos.example.org"}, "--allow-open"),
        ({"port": 65536}, "65535"),
        ({"keep_minutes": 0.0}, "--keep-minutes"),
        ({"rate": float("nan")}, "--rate"),
        ({"disk_mb": -1.0}, "--disk-mb"),
        ({"max_file_mb": 3000.0}, "--max-request-mb"),
        ({"grace_seconds": 60.0}, "at most 20"),
        ({"auth": "/nowhere/users"}, "user add"),
        ({"auth": __file__, "auth_header": "X-User"}, "not both"),
        ({"auth_header": "X-User"}, "--trusted-proxy"),
        ({"auth_header": "X User", "trusted_proxy": ("10.0.0.1",)}, "header"),
        ({"trusted_proxy": ("proxy.local",)}, "10.0.0.0/24"),
        ({"trusted_proxy": ("0.0.0.0/0",)}, "every address"),
        ({"metrics_from": ("x",)}, "--metrics-from"),
        ({"cors_origins": ("*",)}, "--cors-origins"),
        ({"cors_origins": ("https://a.org/",)}, "--cors-origins"),
        ({"frame_origins": ("https://a.org; script-src *",)}, "--frame-origins"),
        ({"hosts": ("a.org/x",)}, "--hosts"),
        ({"root_path": "resnet"}, "--root-path"),
        ({"root_path": "/a\r\nb"}, "--root-path"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(changes, words):
    with pytest.raises(SettingsError) as refused:
        Settings(**changes)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_an_open_public_server_is_possible_but_warned_about():
    (said,) = Settings(host="0.0.0.0", allow_open=True).warnings()
    assert "no sign-in" in said


def test_passwords_without_tls_are_warned_about():
    (said,) = Settings(host="0.0.0.0", auth=__file__).warnings()
    assert "unencrypted" in said
    assert not Settings(host="0.0.0.0", auth=__file__, trusted_proxy=("10.0.0.1",)).warnings()


@pytest.mark.parametrize("root", ["/resnet", "/resnet/", "https://a.org/resnet"])
def test_the_prefix_of_a_root_path(root):
    assert Settings(root_path=root).prefix == "/resnet"
