"""Several runs in one set of charts: whose points stand where, under which name, in which colour."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest

from core.frames import Frame
from core.panels import COLOURS, DASHES, Panel, Switch, lines, reference
from core.runs.run import Run, State
from core.ui.overlay import MOST, MOST_LINES, chosen, compared, pick, shared, usual

TWO = ("h=8", "h=32")


def panels(series, *, end=10, band=False, level=2.3, also=()):
    """A chart that grows, one that switches, and what `also` says."""
    guess = reference([0, end], [level, level], "guessing")
    axes = {"xaxis": {"range": [0, end]}, "yaxis": {"type": "log"}}
    grown = lines(
        "Loss", "It falls. Dotted: theirs.", "loss", series, x="pass", y="nats", band=band, extra=[guess], **axes
    )
    return [grown, Panel("Weights", "Now.", [Switch({"type": "histogram"}, {"x": "weights"})]), *also]


LESSON = SimpleNamespace(title="Width", axis="pass")


def run(steps, series=TWO, *, start=0.0, seeds=None, key="a" * 32, lesson=LESSON, state=State.DONE, **how):
    """A run whose line number s is at `start` + step + 100 s, the seeds 1 apart around it; charts as `how` says."""
    charts = panels(series, band=seeds is not None, **how)
    own = SimpleNamespace(**{**vars(lesson), "panels": lambda knobs: charts})
    made = Run(own, None, key, state=state)
    for step in steps:
        loss = start + step + 100.0 * np.arange(len(series))
        if seeds is not None:
            loss = loss[:, None] + np.arange(seeds) - (seeds - 1) / 2
        made.recording.append(Frame(step, {"loss": loss}, {"weights": np.arange(3.0)}))
    return made


def one_lesson(*runs):
    """The same runs, of one lesson object whose charts are each run's own."""
    each = {id(made): made.lesson.panels(None) for made in runs}
    lesson = SimpleNamespace(**vars(LESSON), panels=lambda knobs: each[knobs])
    for made in runs:
        made.knobs, made.lesson = id(made), lesson
    return list(runs)


def drawn(answer, panel=0):
    """The lines of a chart: label → step → height, as the player will draw them."""
    spec = answer["panels"][panel]
    found = {}
    for entry in spec["delta"]:
        name = spec["figure"]["data"][entry["trace"]].get("name")
        if name:
            at = [answer["steps"][frame] for frame in entry["frames"]]
            found[name] = dict(zip(at, entry["y"], strict=True))
    return found


def test_the_scrubber_has_every_step_of_any_run_and_each_run_stands_at_its_own():
    short, long = run([0, 1, 2]), run([0, 2, 4, 8], start=0.5, key="b" * 32)
    answer = compared(one_lesson(short, long))
    assert answer["steps"] == [0, 1, 2, 4, 8]
    assert answer["frames"] == 5
    assert drawn(answer) == {
        "A h=8": {0: 0, 1: 1, 2: 2},
        "A h=32": {0: 100, 1: 101, 2: 102},
        "B h=8": {0: 0.5, 2: 2.5, 4: 4.5, 8: 8.5},
        "B h=32": {0: 100.5, 2: 102.5, 4: 104.5, 8: 108.5},
    }


def test_the_answer_has_the_shape_that_the_player_takes_for_a_finished_run():
    answer = compared(one_lesson(run([0, 1]), run([0, 1], key="b" * 32)))
    said = {name: answer[name] for name in ("state", "error", "since", "axis", "progress", "place", "seconds_left")}
    assert said == {
        "state": "done", "error": "", "since": 0, "axis": "pass", "progress": 1.0, "place": 0, "seconds_left": None,
    }  # fmt: skip
    assert answer["run"] == f"{'a' * 32},{'b' * 32}"
    spec = answer["panels"][0]
    assert len(spec["bindings"]) == len(spec["figure"]["data"])
    assert [each["moves"] for each in spec["bindings"]] == ["still"] + 4 * ["grow"]
    assert "template" not in spec["figure"]["layout"]


def test_steps_that_are_written_alike_are_one_and_frames_at_one_step_share_it():
    first, second = run([0, 0.1 + 0.2]), run([0, 0.3, 0.3], key="b" * 32)
    answer = compared(one_lesson(first, second))
    assert answer["steps"] == [0, 0.3]
    entry = answer["panels"][0]["delta"][-1]
    assert entry["frames"] == [0, 1, 1]


def test_a_gap_stays_a_gap():
    gap = run([0, 1])
    gap.recording.append(Frame(2, {"loss": [np.inf, 7.0]}))
    answer = compared(one_lesson(gap, run([0], key="b" * 32)))
    assert drawn(answer)["A h=8"] == {0: 0, 1: 1, 2: None}


def test_a_run_has_one_colour_and_each_of_its_lines_a_dash():
    answer = compared(one_lesson(run([0, 1], seeds=3), run([0, 1], key="b" * 32, seeds=3)))
    traces = answer["panels"][0]["figure"]["data"][1:]
    assert len(traces) == 2 * 2 * 3
    for i, letter in enumerate("AB"):
        own = [trace for trace in traces if trace["legendgroup"].startswith(letter)]
        named = [trace for trace in own if "name" in trace]
        looks = {trace["meta"]["label"]: (trace["line"]["color"], trace["line"]["dash"]) for trace in named}
        assert looks == {f"{letter} h={8 if k == 0 else 32}": (COLOURS[i], DASHES[k]) for k in (0, 1)}
        red, green, blue = (int(COLOURS[i][k : k + 2], 16) for k in (1, 3, 5))
        fills = {trace["fillcolor"] for trace in own if trace.get("fill")}
        assert fills == {f"rgba({red},{green},{blue},0.18)"}
    edges = answer["panels"][0]["delta"][:2]
    assert [entry["y"] for entry in edges] == [[-1, 0], [1, 2]]  # the band of A's first line: a step, and 1 either way


def test_a_line_that_stands_alone_is_named_by_the_letter_of_its_run():
    answer = compared(one_lesson(run([0, 1]), run([0, 1], key="b" * 32)), ["h=32"])
    assert list(drawn(answer)) == ["A", "B"]
    assert drawn(answer)["B"] == {0: 100, 1: 101}
    dashes = [
        trace["line"]["dash"] for trace in answer["panels"][0]["figure"]["data"] if trace.get("name") in ("A", "B")
    ]
    assert dashes == [DASHES[0], DASHES[1]], "then dashes tell the runs apart, besides their colours"


def test_the_declared_panels_are_left_as_they_were():
    runs = one_lesson(run([0, 1]), run([0, 1], key="b" * 32))
    charts = runs[1].lesson.panels(runs[1].knobs)
    before = copy.deepcopy([each.trace for each in charts[0].traces])
    compared(runs)
    assert [each.trace for each in charts[0].traces] == before


def test_what_cannot_be_overlaid_is_named():
    lonely = lines("Ladder", "Its own.", "loss", TWO, x="pass", y="nats")
    panels, left_out = shared(one_lesson(run([0], also=[lonely]), run([0], key="b" * 32)))
    assert [next(iter(each.values())).name for each in panels] == ["Loss"]
    assert left_out == ["Weights", "Ladder"]


def test_only_lines_that_most_runs_have_are_shown_until_others_are_asked_for():
    runs = one_lesson(
        run([0], ("h=8", "h=32", "h=64")), run([0], ("h=16", "h=32"), key="b" * 32), run([0], ("h=4",), key="c" * 32)
    )
    panels, _ = shared(runs)
    assert usual(panels) == ["h=32", "h=4"]  # the third run is to be seen too
    assert chosen(panels, []) == chosen(panels, ["h=999"]) == usual(panels)
    assert chosen(panels, ["h=16", "h=8"]) == ["h=8", "h=16"]
    assert list(drawn(compared(runs, ["h=8", "h=16"]))) == ["A h=8", "B h=16"]


@pytest.mark.parametrize("count", [2, 3, 8])
def test_by_default_a_chart_stays_legible(count):
    many = [f"h={k}" for k in range(12)]
    runs = one_lesson(*(run([0], many, key=f"{k:032x}") for k in range(count)))
    shown = drawn(compared(runs))
    assert count <= len(shown) <= MOST_LINES
    assert {label[0] for label in shown} == set("ABCDEFGH"[:count])


def test_axes_are_wide_enough_for_all_and_what_only_one_run_refers_to_is_left_out():
    wide = compared(one_lesson(run([0], end=10), run([0], end=40, key="b" * 32)))["panels"][0]["figure"]
    layout, traces = wide["layout"], wide["data"]
    assert layout["xaxis"] == {"title": {"text": "pass"}, "range": [0, 40]}
    assert layout["yaxis"]["type"] == "log"
    assert "range" not in layout["yaxis"]
    assert [list(trace["x"]) for trace in traces if trace["name"] == "guessing"] == [[0, 40]]
    other = compared(one_lesson(run([0], level=2.3), run([0], level=0.7, key="b" * 32)))["panels"][0]["figure"]
    assert "guessing" not in [trace["name"] for trace in other["data"]]


def test_a_caption_keeps_what_holds_for_every_run():
    assert compared(one_lesson(run([0]), run([0], key="b" * 32)))["panels"][0]["caption"] == "It falls."


# --- which runs ------------------------------------------------------------------------------------------------------


def test_runs_of_one_lesson_are_picked_in_the_order_of_the_link_each_once():
    runs = one_lesson(run([0]), run([0], key="b" * 32))
    held = {each.key: each for each in runs}
    found, sentences = pick(["b" * 32, "a" * 32, "b" * 32], held.get)
    assert ([each.key for each in found], sentences) == (["b" * 32, "a" * 32], [])


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("../../etc/passwd", "../../etc/passwd is no run's name: it takes 16 to 64 of the digits 0-9 and a-f."),
        ("A" * 32, "is no run's name"),
        ("c" * 32, "Run cccccccccccc… is not on this server"),
        ("d" * 32, "Run dddddddddddd… is of the lesson Depth, the first one of Width"),
        ("e" * 32, "Run eeeeeeeeeeee… still trains"),
        ("f" * 32, "Run ffffffffffff… ended before its first frame"),
    ],
)
def test_a_run_that_cannot_join_gets_a_sentence_and_the_others_stay(key, sentence):
    first, live, empty = one_lesson(
        run([0]), run([0], key="e" * 32, state=State.RUNNING), run([], key="f" * 32, state=State.STOPPED)
    )
    other = run([0], key="d" * 32, lesson=SimpleNamespace(title="Depth", axis="epoch"))
    held = {each.key: each for each in (first, live, empty, other)}
    found, sentences = pick([first.key, key], held.get)
    assert found == [first]
    assert len(sentences) == 1
    assert sentence in sentences[0]


def test_more_runs_than_can_be_told_apart_are_not_even_looked_up():
    runs = one_lesson(*(run([0], key=f"{k:032x}") for k in range(MOST + 3)))
    asked = []
    found, sentences = pick([each.key for each in runs], lambda key: asked.append(key) or runs[int(key, 16)])
    assert len(found) == len(asked) == MOST
    assert sentences == ["11 runs are too many to tell apart; 8 at most are compared."]
