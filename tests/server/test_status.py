"""What the page says about the server: true figures, and only to those who may see them."""

from types import SimpleNamespace

import pytest
from conftest import make_tiny

from resnet.draw.trend_figure import trend_figure
from resnet.engine import Engine
from resnet.server.app import create_app
from resnet.server.settings import Settings
from resnet.server.status import Status
from resnet.server.visit import KEY, Visit
from resnet.ui.page import build
from resnet.ui.status import status_html, who_html


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """(status, front) of a server that is not started."""
    folder = tmp_path_factory.mktemp("status")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        engine, status = Engine(make_tiny("v1")), Status()
        assert status.figures() == {} and "Nothing is known" in status_html({})
        page = build(engine, "auto", status)
        app = create_app(engine, Settings(), page, folder=folder, status=status)
    return status, app.state.front


def test_the_figures_are_those_of_the_server(watched):
    status, front = watched
    for _ in range(3):
        with front.metrics.running():
            pass
    front.metrics.waited(0.25)
    front.metrics.request("api", "POST", 503, 0.1, "disk")
    front.metrics.hear("cache", "hit", 1)
    status.sample()
    with front.metrics.running():
        pass
    found = status.figures()
    assert found["jobs"] == {"done": 4.0, "failed": 0.0} and found["times"]["wait"] == 0.25
    assert found["requests"] == {"503": 1.0} and found["refused"] == {"disk": 1.0}
    assert found["history"]["jobs"] == [3.0, 1.0]
    assert found["memory, MB"] > 50 and found["disk free, MB"] > 0
    html = status_html(found)
    assert "4 jobs done so far, none failed" in html and "disk: 1" in html
    assert "1 of 1" in html and str(front.owners.folder) not in html


def test_a_failed_job_is_counted_as_one(watched):
    status, front = watched
    with pytest.raises(ZeroDivisionError), front.metrics.running():
        raise ZeroDivisionError
    assert "1 failed" in status_html(status.figures())


@pytest.mark.parametrize(
    ("user", "address", "sees"),
    [("anna", "203.0.113.9", True), (None, "127.0.0.1", True), (None, "203.0.113.9", False)],
)
def test_only_those_who_run_it_or_sign_in_see_it(watched, user, address, sees):
    visit = Visit("x", address=address, user=user)
    assert watched[0].may_see({KEY: visit}) is sees
    event = next(
        fn.fn
        for fn in watched[1].page.fns.values()
        if fn.fn and fn.fn.__qualname__.startswith("status_panel")
    )
    asked = SimpleNamespace(request=SimpleNamespace(scope={KEY: visit}))
    html, _ = event(asked)
    assert ("Up for" in html) is sees and ("those who run the server" in html) is not sees


def test_the_way_out_is_shown_to_those_who_signed_in(watched):
    assert watched[0].signed_in({KEY: Visit("x", user="anna")}) is None  # nobody does here
    assert who_html(None) == ""
    html = who_html("<anna>")
    assert 'href="logout"' in html and "&lt;anna&gt;" in html and "<anna>" not in html


def test_a_trend_draws_each_minute_once_and_says_it_in_words():
    drawn = trend_figure("Jobs", [0.0, 3.0, 1.0], "jobs")
    assert drawn.count('class="column"') == 3 and "the oldest first: 0, 3, 1" in drawn
    assert "2 minutes ago: 0 jobs" in drawn and "now: 1 jobs" in drawn
    assert trend_figure("Jobs", range(500)).count('class="column"') == 60
    assert "nothing yet" in trend_figure("Jobs", [])
