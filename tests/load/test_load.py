"""A class without browsers, in short; `make load` takes ten minutes for each of two classes."""

import asyncio

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg

from core.lessons import LESSONS
from core.ui.state import knobs_in_link
from tests.load import classroom
from tests.load.visitor import Visitor


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with classroom.serving(tmp_path_factory.mktemp("load"), warm=False) as server:
        yield server


def test_a_class_at_work_loses_no_session_and_no_run(server):
    tally = classroom.in_class(server, sessions=8, seconds=3.0, arrive=1.0, think=(0.1, 0.8))
    assert tally.failed == [], server.said
    assert len(tally.opened) == 8
    assert tally.presses >= 1
    assert len(tally.scripts) > 16
    assert len(tally.refreshes) > 8
    assert classroom.lost(server, tally) == []
    assert max(tally.scripts) < 30.0


def test_run_and_a_turned_knob_draw_what_follows_from_the_knobs_and_not_the_knobs(server):
    lesson = LESSONS["dying-relu"]
    width, player = "dying-relu/width", "player/dying-relu"

    async def visit():
        async with Visitor(server.port, lesson.slug, knobs_in_link(lesson, classroom.small(lesson))) as visitor:
            await visitor.open()
            assert {width, player, "run"} <= visitor.drawn
            await visitor.press("run")
            assert {player, "run"} <= visitor.drawn
            assert width not in visitor.drawn
            assert width in visitor.widgets
            while await visitor.look() != "done":
                await asyncio.sleep(0.1)
            await visitor.finished(lesson.slug)
            assert player in visitor.drawn
            assert width not in visitor.drawn
            await visitor.turn("dying-relu/seed", 77)
            assert {player, "run"} <= visitor.drawn
            assert width not in visitor.drawn
            assert width in visitor.widgets
            await visitor.press("dying-relu/preset/Classroom")
            assert {width, player, "run"} <= visitor.drawn

    asyncio.run(visit())


def test_a_rush_of_browsers_is_served(server):
    last, failed = classroom.burst(server, opens=10, within=0.5)
    assert failed == [], server.said
    assert last < 60.0


def test_who_comes_and_goes_leaves_no_thread_behind(server):
    threads = server.threads
    assert classroom.come_and_go(server, times=40) == []
    assert server.threads <= threads + classroom.AT_ONCE


def test_no_browser_empties_the_caches_that_hold_the_runner_and_the_door(server):
    """For Streamlit every browser is a developer's; a runner that is made anew would start a process to train in."""
    before = server.children
    assert before

    async def visit():
        async with Visitor(server.port, "dropout", {}) as visitor:
            await visitor.open()
            for kind in ("clear_cache", "load_git_info"):
                await visitor.say(BackMsg(**{kind: True}))
            await visitor.run()
            await visitor.look()

    asyncio.run(visit())
    assert server.children == before


def test_a_lost_run_would_be_noticed(server):
    tally = classroom.Tally(done={"0" * 32})
    assert classroom.lost(server, tally) == [f"{'0' * 32} was done and is lost"]
