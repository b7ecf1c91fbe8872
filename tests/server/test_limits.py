"""How much one visitor may ask for, and what the others notice of it."""

import threading

import gradio as gr
import httpx
import pytest

from resnet.engine import CALLER
from resnet.server import limits
from resnet.server.turns import owner_of
from server.attacks import wait_for
from server.conftest import COUNT, ECHO, SLOW, Visitor, guarded, web


def test_a_visitor_who_asks_too_much_waits_and_others_do_not(tmp_path):
    with (
        guarded(tmp_path / "photos", rate=0.5, burst=10) as site,
        Visitor(site) as greedy,
        Visitor(site) as other,
    ):
        answers = [greedy.get("/config") for _ in range(15)]
        codes = [answer.status_code for answer in answers]
        assert codes.count(200) == 9 and codes.count(429) == 6  # and the page before them
        refused = answers[-1]
        assert int(refused.headers["retry-after"]) >= 1
        assert "one visitor may ask for" in refused.json()["detail"]
        assert other.get("/config").status_code == 200
        assert greedy.get("/theme.css").status_code == 200  # what everybody has is free


def test_new_cookies_do_not_help(tmp_path):
    with guarded(tmp_path / "photos", rate=0.01, burst=1) as site:
        codes = [web.get(site.url).status_code for _ in range(30)]
        assert codes.count(200) == limits.ADDRESS_FACTOR


def test_jobs_of_one_visitor_are_bounded_and_the_queue_has_room_for_others(tmp_path):
    with (
        guarded(tmp_path / "photos", jobs_per_user=3) as site,
        Visitor(site) as greedy,
        Visitor(site) as other,
    ):
        codes = [greedy.join(SLOW, session=f"page{i}").status_code for i in range(5)]
        assert codes == [200, 200, 200, 429, 429]
        assert "waiting already" in greedy.join(SLOW).json()["detail"]
        assert other.join(SLOW).status_code == 200
        assert other.ask(ECHO, "quick", session="another")["success"]
        site.release.set()
        wait_for(lambda: not site.page._queue.event_ids_to_events)
        assert greedy.join(COUNT).status_code == 200


def test_jobs_sent_all_at_once_are_counted_too(tmp_path):
    with guarded(tmp_path / "photos", jobs_per_user=3) as site, Visitor(site) as greedy:
        codes: list[int] = []

        def join(i: int) -> None:
            with httpx.Client(
                verify=False, base_url=site.url, cookies=greedy.cookies, timeout=30
            ) as client:
                body = {"data": [], "fn_index": SLOW, "session_hash": f"page{i}"}
                codes.append(client.post("/gradio_api/queue/join", json=body).status_code)

        threads = [threading.Thread(target=join, args=(i,)) for i in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert codes.count(200) <= 3 and codes.count(429) >= 9


def test_the_queue_ends_somewhere(tmp_path):
    with guarded(tmp_path / "photos", queue_length=2) as site:
        visitors = [Visitor(site) for _ in range(5)]
        assert visitors[0].join(SLOW).status_code == 200
        wait_for(lambda: site.page._queue.get_active_worker_count())
        codes = [visitor.join(SLOW).status_code for visitor in visitors[1:]]
        assert codes == [200, 200, 503, 503]
        refused = visitors[4].join(SLOW)
        assert "2 others are waiting" in refused.json()["detail"]
        assert refused.headers["retry-after"] == "30"


def test_a_visitor_is_told_the_place_in_the_queue(tmp_path):
    with guarded(tmp_path / "photos") as site, Visitor(site) as first, Visitor(site) as second:
        first.join(SLOW)
        wait_for(lambda: site.page._queue.get_active_worker_count())
        second.join(SLOW)
        second.join(SLOW, session="page2")
        threading.Timer(0.3, site.release.set).start()
        news = [one["rank"] for one in second.events("page2") if one["msg"] == "estimation"]
        assert news[0] == 1 and news == sorted(news, reverse=True)


def test_one_visitors_many_jobs_do_not_hold_up_anothers_one(tmp_path):
    """Turns: each visitor's first job comes before anybody's second."""
    with (
        guarded(tmp_path / "photos", jobs_per_user=30) as site,
        Visitor(site) as greedy,
        Visitor(site) as light,
    ):
        for i in range(12):
            greedy.join(SLOW, session=f"page{i}").raise_for_status()
        wait_for(lambda: site.page._queue.get_active_worker_count())
        light.join(SLOW).raise_for_status()
        light.join(SLOW, session="again").raise_for_status()
        (line,) = (q.queue for q in site.page._queue.event_queue_per_concurrency_id.values())
        whose = [owner_of(job) for job in line]
        mine, theirs = whose[0], whose[1]
        assert whose == [mine, theirs, mine, *[theirs] * 10] and mine != theirs
        threading.Timer(0.1, site.release.set).start()
        ranks = [news["rank"] for news in light.events() if news["msg"] == "estimation"]
        assert ranks[0] == 0  # and not 11: it is told the place that it has


def test_a_job_that_takes_too_long_ends_and_frees_its_place(tmp_path):
    """It hears of it when it asks the engine for its next turn, as every job does."""
    asked, ended = [], threading.Event()

    def page(release: threading.Event) -> gr.Blocks:
        def work():
            try:
                while not release.wait(0.02):
                    asked.append(CALLER.get().owner)
                    if CALLER.get().gone():
                        raise gr.Error("It was stopped.")
            finally:
                ended.set()

        with gr.Blocks(analytics_enabled=False) as blocks:
            text = gr.Textbox()
            gr.Button().click(work, None, text)
        return blocks.queue(status_update_rate=2)

    with guarded(tmp_path / "photos", page, job_seconds=0.3) as site, Visitor(site) as anna:
        end = anna.ask(0)
        assert not end["success"] and "stopped" in end["output"]["error"]
        assert set(asked) == {next(iter(site.front.owners._owners))}
        wait_for(lambda: not site.page._queue.get_active_worker_count())
    asked.clear()
    ended.clear()
    with guarded(tmp_path / "again", page) as site, Visitor(site) as anna:
        anna.join(0).raise_for_status()
        with anna.stream("GET", "/gradio_api/queue/data", params={"session_hash": anna.session}):
            wait_for(lambda: asked)
        assert ended.wait(10)  # the visitor left, and nobody works for nobody
        assert not site.release.is_set()


def test_open_pages_of_one_visitor_are_bounded(tmp_path):
    with (
        guarded(tmp_path / "photos", streams_per_user=2) as site,
        Visitor(site) as anna,
        Visitor(site) as other,
    ):
        with (
            anna.stream("GET", "/gradio_api/heartbeat/page1") as one,
            anna.stream("GET", "/gradio_api/heartbeat/page2") as two,
        ):
            assert (one.status_code, two.status_code) == (200, 200)
            assert anna.get("/gradio_api/heartbeat/page3").status_code == 429
            with other.stream("GET", "/gradio_api/heartbeat/page1") as own:
                assert own.status_code == 200

        def open_again() -> bool:
            with anna.stream("GET", "/gradio_api/heartbeat/page3") as again:
                return again.status_code == 200

        wait_for(open_again)


def test_work_is_refused_before_memory_runs_out(tmp_path):
    with guarded(tmp_path / "photos", free_memory_mb=9e8) as site, Visitor(site) as anna:
        answer = anna.join(ECHO, "x")
        assert answer.status_code == 503 and "memory" in answer.json()["detail"]
        assert anna.get("/").status_code == 200


@pytest.mark.parametrize(
    ("most", "used", "cache", "left"),
    [("max", 10, 0, 4096000), ("3000000", 1000000, 500000, 2500000), ("1000", 5000, 0, 0)],
)
def test_memory_is_that_of_the_container_if_it_has_a_limit(tmp_path, most, used, cache, left):
    (tmp_path / "memory.max").write_text(f"{most}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {cache}\n")
    (tmp_path / "meminfo").write_text("MemTotal: 9999 kB\nMemAvailable:    4000 kB\n")
    assert limits.memory_left(tmp_path / "meminfo", tmp_path) == left
    assert limits.memory_left(tmp_path / "none", tmp_path / "none") is None
