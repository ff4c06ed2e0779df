"""A class as a sweep: who has which value, which runs count, and the chart that they fill."""

import base64
import itertools
import json
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plotly import graph_objects as go
from starlette.requests import Request

from core.knobs import KnobError, link_text
from core.lessons import CURRICULUM, LESSONS
from core.runs.run import Manifest
from core.runs.store import Listed
from core.ui import class_sweep
from core.ui.class_sweep import (
    ClassSweep,
    Dealer,
    Found,
    Gatherer,
    gathered,
    has,
    numbers_of,
    offered,
    on_offer,
    own_series,
    usable,
)
from core.ui.routes import class_routes

RELU, WIDTH, CNN = LESSONS["dying-relu"], LESSONS["width-and-interpolation"], LESSONS["cnn-arithmetic"]
USUAL = RELU.presets["Classroom"]
SHARED = [
    pytest.param(lesson, knob, id=f"{lesson.slug}-{knob.name}") for lesson in CURRICULUM for knob in on_offer(lesson)
]
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def sweep_of(lesson, knob):
    usual = lesson.presets["Classroom"]
    return ClassSweep.of(lesson, usual, knob.name, usable(lesson, usual, knob))


def stored(lesson, knobs, facts, after=0.0):
    """A run as lists show it, asked for so many seconds after the others."""
    manifest = Manifest(
        slug=lesson.slug, key=lesson.key(knobs), revision=lesson.revision, knobs=json.loads(knobs.canonical()),
        created=LONG_AGO + timedelta(seconds=after), wall_seconds=1.0, device="CPU", threads=1, versions={}, data=None,
        frames=1, facts=facts, claims=[],
    )  # fmt: skip
    return Listed(lesson, knobs, manifest, "runs")


# --- what is shared out, and who has what ----------------------------------------------------------------------------


def test_every_lesson_has_something_to_share_out_and_seeds_for_a_class_where_it_has_seeds():
    for lesson in CURRICULUM:
        names = {knob.name: knob for knob in on_offer(lesson)}
        assert len(names) > 3
        assert ("seed" in names) == ("seed" in lesson.knobs.model_fields)
        if "seed" in names:
            assert len(offered(lesson, names["seed"])) == class_sweep.SEEDS


@pytest.mark.parametrize(("lesson", "knob"), SHARED)
def test_a_knob_goes_round_the_class_and_comes_back_with_another_seed(lesson, knob):
    sweep = sweep_of(lesson, knob)
    count = len(sweep.values)
    assert count > 1
    dealt = [sweep.dealt(number) for number in range(2 * count)]
    assert [sweep.place(knobs) for knobs in dealt] == [*range(count), *range(count)]
    for knobs in dealt:
        assert lesson.parse(dict(knobs)) == knobs
    common = {name: link_text(value) for name, value in sweep.knobs}
    assert ClassSweep.read(lesson, lesson.asked(common), sweep.text).name == sweep.name, "the link says the same"
    again = {name for first, second in zip(dealt, dealt[count:], strict=False) for name in second.changed_from(first)}
    assert again == set(sweep.names) - {knob.name}, "the second round differs by its seed alone"


def test_a_list_takes_each_value_as_its_only_item():
    sweep = ClassSweep.read(WIDTH, WIDTH.presets["Classroom"], "widths~8~32")
    assert [sweep.dealt(number).widths for number in range(3)] == [(8,), (32,), (8,)]
    both = sweep.knobs.model_copy(update={"widths": (8, 32)})
    assert sweep.place(both) is None


def test_only_what_differs_in_nothing_else_belongs_to_it():
    sweep = ClassSweep.read(RELU, USUAL, "width~2~4")
    assert sweep.place(USUAL.model_copy(update={"width": 4, "seed": 99})) == 1
    assert sweep.place(USUAL.model_copy(update={"width": 3})) is None
    assert sweep.place(USUAL.model_copy(update={"width": 4, "depth": 3})) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no knob to be shared out here; choose among"),
        ("colour~1~2", "share = colour is no knob"),
        ("width", "share = width names 0 values; it takes 2 … 100, as in width~1~2~3"),
        ("width~4", "names 1 values"),
        ("width~4~4", "share = width names a value twice"),
        ("width~4~99", "width = 99 is outside 1 … 16"),
        ("width~4~wide", "width = wide is not a whole number"),
        ("activation~relu~gelu", "activation = gelu is not on offer"),
        ("seed~" + "~".join(map(str, range(101))), "names 101 values"),
    ],
)
def test_what_cannot_be_shared_out_gets_a_sentence(text, says):
    with pytest.raises(KnobError, match=r"\.$") as error:
        ClassSweep.read(RELU, USUAL, text)
    assert says in str(error.value)


def test_what_does_not_go_with_the_other_knobs_is_not_on_offer():
    size = next(knob for knob in on_offer(CNN) if knob.name == "input_size")
    left_out = set(offered(CNN, size)) - set(usable(CNN, CNN.presets["Classroom"], size))
    assert left_out
    for value in left_out:
        with pytest.raises(KnobError):
            CNN.parse({"input_size": value})


def test_a_text_is_not_shared_out():
    assert "net" not in {knob.name for knob in on_offer(CNN)}


@settings(max_examples=200)
@given(st.text(max_size=40) | st.lists(st.sampled_from(["width", "seed", "2", "4", "1e9", "", "relu"])).map("~".join))
def test_any_text_is_a_sweep_or_gets_a_sentence(text):
    try:
        assert len(ClassSweep.read(RELU, USUAL, text).values) > 1
    except KnobError as error:
        assert str(error).endswith(".")


def test_a_browser_keeps_its_number_and_knobs_are_counted_apart():
    dealer, sweep = Dealer(), ClassSweep.read(RELU, USUAL, "width~2~4")
    assert [dealer.number(sweep, asker) for asker in "abcab"] == [0, 1, 2, 0, 1]
    assert dealer.number(ClassSweep.read(RELU, USUAL, "width~2~4~8"), "c") == 2, "the teacher thought again"
    assert dealer.number(ClassSweep.read(RELU, USUAL, "seed~1~2"), "c") == 0


def test_who_was_away_for_longest_is_forgotten_and_no_number_is_given_twice(monkeypatch):
    monkeypatch.setattr(class_sweep, "MOST_BROWSERS", 3)
    dealer, sweep = Dealer(), ClassSweep.read(RELU, USUAL, "width~2~4")
    assert [dealer.number(sweep, asker) for asker in "abcad"] == [0, 1, 2, 0, 3]
    assert dealer.number(sweep, "a") == 0, "it was here a moment ago"
    assert dealer.number(sweep, "b") == 4


# --- the runs that count ---------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """`clock.now += 1` lets a second pass."""

    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

        time_ns = staticmethod(time.time_ns)

    made = Clock()
    monkeypatch.setattr(class_sweep, "time", made)
    return made


def test_runs_stay_in_the_order_in_which_they_came_whenever_they_were_asked_for(clock):
    sweep = ClassSweep.read(RELU, USUAL, "width~2~4~6")
    late, soon, other, strange = (
        stored(RELU, USUAL.model_copy(update=changes), {}, after)
        for changes, after in (({"width": 4}, 9), ({"width": 2}, 3), ({"width": 6}, 1), ({"depth": 3}, 0))
    )
    here = [strange, late]
    gatherer = Gatherer(lambda lesson: list(here))
    first = gatherer.found(sweep)
    assert first.runs == [late]
    here += [soon, other]
    assert gatherer.found(sweep) is first, "just looked"
    clock.now += 2 * class_sweep.FRESH
    more = gatherer.found(sweep)
    assert more == Found(sweep, [late, other, soon], first.version)
    here.remove(other)
    clock.now += 2 * class_sweep.FRESH
    fewer = gatherer.found(sweep)
    assert fewer.runs == [late, soon]
    assert fewer.version != first.version, "the player starts again"


def test_no_version_comes_twice_and_other_sweeps_push_nothing_out(clock, monkeypatch):
    monkeypatch.setattr(class_sweep, "MOST_SWEEPS", 2)
    runs = seeds_of(2, 1.0)
    gatherer, later = Gatherer(lambda lesson: list(runs)), Gatherer(lambda lesson: list(runs))
    sweeps = [ClassSweep.read(RELU, USUAL, f"width~2~{other}") for other in (3, 4, 6)]
    assert len({gatherer.found(sweep).version for sweep in [*sweeps, sweeps[0]]}) == 1
    assert later.found(sweeps[0]).version != gatherer.found(sweeps[0]).version, "a player outlives a server"


# --- the chart -------------------------------------------------------------------------------------------------------


def shown(body, frame):
    """What the player shows at a frame: trace → its x and y."""
    (panel,) = body["panels"]
    traces = [{"x": [], "y": []} for _ in panel["bindings"]]
    for entry in panel["delta"]:
        for at, value in zip(entry["frames"], entry["values"], strict=True):
            if at <= frame:
                packed = (
                    value if isinstance(value, list) else np.frombuffer(base64.b64decode(value["f4"]), "<f4").tolist()
                )
                traces[entry["trace"]][entry["set"]] = packed
    return traces


def seeds_of(width, *losses):
    """Runs of one width, a seed each."""
    return [
        stored(RELU, USUAL.model_copy(update={"width": width, "seed": seed}), {"loss": loss}, seed)
        for seed, loss in enumerate(losses)
    ]


def test_a_dot_for_every_run_and_a_line_through_the_means_of_equal_values():
    sweep = ClassSweep.read(RELU, USUAL, "width~2~4~8")
    runs = [*seeds_of(8, 0.5), *seeds_of(2, 3.0, 4.0), *seeds_of(4, None)]
    body = gathered(Found(sweep, runs, 0), "loss")
    line, dots = shown(body, 3)
    assert dots == {"x": ["8", "2", "2"], "y": [0.5, 3.0, 4.0]}, "a run without the number has no dot"
    assert line == {"x": ["2", "8"], "y": [3.5, 0.5]}
    assert shown(body, 1)[0] == {"x": ["2", "8"], "y": [3.0, 0.5]}
    assert (body["steps"], body["frames"], body["progress"]) == ([1, 2, 3, 4], 4, 1.0)
    figure = body["panels"][0]["figure"]
    go.Figure(figure)  # Plotly's own classes look at every attribute
    assert figure["layout"]["xaxis"]["categoryarray"] == ["2", "4", "8"]


def test_of_seeds_the_line_is_the_mean_so_far():
    sweep = ClassSweep.read(RELU, USUAL, "seed~0~1~2")
    runs = seeds_of(USUAL.width, 1.0, 2.0, 6.0)
    body = gathered(Found(sweep, runs, 0), "loss")
    assert shown(body, 1)[0] == {"x": ["0", "2"], "y": [1.5, 1.5]}
    assert shown(body, 2)[0] == {"x": ["0", "2"], "y": [3.0, 3.0]}


def test_series_have_a_line_each_and_where_the_series_is_shared_out_there_is_one_line():
    sweep = ClassSweep.read(RELU, USUAL, "width~2~4")
    run = stored(RELU, sweep.dealt(1), {"loss[alive]": 1.0, "loss[collapsed]": 2.0, "share": 0.5})
    alive, _, collapsed, _ = shown(gathered(Found(sweep, [run], 0), "loss"), 0)
    assert (alive["y"], collapsed["y"]) == ([1.0], [2.0])

    sweep = ClassSweep.read(WIDTH, WIDTH.presets["Classroom"], "widths~8~32")
    runs = [stored(WIDTH, sweep.dealt(i), {f"loss[h={width}]": width / 8}) for i, width in enumerate((8, 32))]
    line, _ = shown(gathered(Found(sweep, runs, 0), "loss"), 1)
    assert line == {"x": ["8", "32"], "y": [1.0, 4.0]}


@given(st.lists(st.sampled_from([None, 0.5, 1.0, 7.0]), max_size=6), st.data())
def test_what_is_sent_piece_by_piece_is_the_whole_and_nothing_shown_ever_changes(losses, data):
    sweep = ClassSweep.read(RELU, USUAL, "width~2~4")
    runs = [
        stored(RELU, sweep.dealt(number), {"loss": loss, "other[a]": 1.0}, number) for number, loss in enumerate(losses)
    ]
    whole = gathered(Found(sweep, runs, 0), "loss")
    for upto in range(1, len(runs)):
        part = gathered(Found(sweep, runs[:upto], 0), "loss")
        assert part["created"] == whole["created"]
        assert all(shown(part, frame) == shown(whole, frame) for frame in range(upto))
    cuts = sorted({0, *data.draw(st.lists(st.integers(0, len(runs)))), len(runs)})
    delta, steps = [], []
    for since, upto in itertools.pairwise(cuts):
        part = gathered(Found(sweep, runs[:upto], 0), "loss", since)
        assert ("figure" in part["panels"][0]) == (since == 0)
        delta += part["panels"][0]["delta"]
        steps += part["steps"]
    pieces = {**whole, "panels": [{**whole["panels"][0], "delta": delta}]}
    assert steps == whole["steps"]
    assert all(shown(pieces, frame) == shown(whole, frame) for frame in range(len(runs)))


def test_a_thousand_runs_are_few_pictures_and_the_last_one_shows_them_all():
    sweep = ClassSweep.read(RELU, USUAL, "width~2~4")
    runs = [stored(RELU, sweep.dealt(number), {"loss": float(number)}, number) for number in range(1000)]
    body = gathered(Found(sweep, runs, 0), "loss")
    assert body["steps"] == list(range(1, 1001))
    for entry in body["panels"][0]["delta"]:
        assert len(entry["frames"]) == class_sweep.MOST_MOMENTS
        assert (entry["frames"][0], entry["frames"][-1]) == (0, 999)
    assert shown(body, 999)[1]["y"] == [float(number) for number in range(1000)]
    assert len(json.dumps(body)) < 1_000_000


def test_no_more_runs_than_so_many_are_drawn_and_the_first_stay(clock, monkeypatch):
    monkeypatch.setattr(class_sweep, "MOST_RUNS", 3)
    here = seeds_of(2, 1.0, 2.0)
    gatherer = Gatherer(lambda lesson: list(here))
    sweep = ClassSweep.read(RELU, USUAL, "width~2~4")
    before = gatherer.found(sweep)
    here += seeds_of(4, 3.0, 4.0)
    clock.now += 2 * class_sweep.FRESH
    after = gatherer.found(sweep)
    assert (len(after.runs), after.runs[:2], after.version) == (3, before.runs, before.version)


def test_before_the_first_run_there_is_an_empty_chart_and_its_series_make_it_anew():
    sweep = ClassSweep.read(RELU, USUAL, "width~2~4")
    empty = gathered(Found(sweep, [], 0), "loss")
    assert (empty["frames"], empty["state"], empty["progress"]) == (0, "running", 0.0)
    assert gathered(Found(sweep, seeds_of(2, 1.0), 0), "loss")["created"] != empty["created"]


VANISHING = LESSONS["vanishing-gradients"]


@pytest.mark.parametrize(
    ("lesson", "said", "mine"),
    [
        (RELU, {"dead": 0.9, "dead[width=1]": 1.0}, {"": 0.9}),
        (VANISHING, {"dead[depth=5]": 0.1, "dead[He, ReLU]": 1.0}, {"depth=5": 0.1}),
        (CNN, {"dead[alexnet]": 1.0, "dead[your net, this run]": 2.0}, {"your net, this run": 2.0}),
        (RELU, {"dead[alive]": 1.0, "dead[collapsed]": 2.0}, {"alive": 1.0, "collapsed": 2.0}),
    ],
)
def test_of_a_run_only_its_own_nets_count_where_it_says_which_these_are(lesson, said, mine):
    assert own_series(lesson, lesson.presets["Classroom"], {**said, "other": 1.0}, "dead") == mine


def test_what_is_said_of_a_shared_series_besides_has_a_line_of_its_own():
    cutout = LESSONS["cutout-and-batch-augmentation"]
    common = cutout.presets["Classroom"].model_copy(update={"frozen_copies": "beside"})
    sweep = ClassSweep.read(cutout, common, "augmentations~1~4~8")
    facts = [{"loss[M=1]": 1.0}, {"loss[M=4]": 2.0, "loss[M=4, frozen]": 3.0}, {"loss[M=8]": 4.0}]
    runs = [stored(cutout, sweep.dealt(i), each) for i, each in enumerate(facts)]
    views, _, frozen, _ = shown(gathered(Found(sweep, runs, 0), "loss"), 2)
    assert (views["y"], frozen) == ([1.0, 2.0, 4.0], {"x": ["4"], "y": [3.0]})


def test_more_series_than_colours_are_cut_and_the_caption_says_so():
    sweep = ClassSweep.read(RELU, USUAL, "width~2~4")
    facts = {f"loss[part {i}]": float(i) for i in range(class_sweep.MOST_SERIES + 3)}
    (panel,) = gathered(Found(sweep, [stored(RELU, sweep.dealt(0), facts)], 0), "loss")["panels"]
    assert len(panel["bindings"]) == 2 * class_sweep.MOST_SERIES
    assert f"The first {class_sweep.MOST_SERIES} of {class_sweep.MOST_SERIES + 3} series." in panel["caption"]


@pytest.mark.parametrize(
    ("losses", "axis"), [((1e-6, 1.0), "log"), ((0.1, 1.0), "linear"), ((0.0, 1.0), "linear"), ((-1.0, 1.0), "linear")]
)
def test_positive_numbers_that_are_far_apart_have_a_logarithmic_axis(losses, axis):
    sweep = ClassSweep.read(RELU, USUAL, "seed~0~1")
    before, after = (gathered(Found(sweep, seeds_of(USUAL.width, *some), 0), "loss") for some in (losses[:1], losses))
    assert before["panels"][0]["figure"]["layout"]["yaxis"]["type"] == "linear"
    assert after["panels"][0]["figure"]["layout"]["yaxis"]["type"] == axis
    assert (before["created"] == after["created"]) == (axis == "linear"), "another axis is another chart"


def test_a_player_that_has_more_than_there_is_starts_again():
    sweep = ClassSweep.read(RELU, USUAL, "width~2~4")
    body = gathered(Found(sweep, seeds_of(2, 1.0), 0), "loss", since=3)
    assert body["frames"] < body["since"], "which the player takes for another run"
    assert (body["steps"], body["panels"][0]["delta"][0]["frames"]) == ([], [])


def test_seeds_go_round_too():
    (seed,) = (knob for knob in RELU.knobs.declared() if knob.name == "seed")
    sweep = ClassSweep.read(RELU, USUAL.model_copy(update={"seed": int(seed.high)}), "width~2~4")
    assert [sweep.dealt(number).seed for number in (0, 1, 2)] == [seed.high, seed.high, 0]


def test_numbers_are_named_once_and_never_is_none():
    facts = {"loss[h=8]": None, "loss[h=32]": 1.0, "passes": None}
    assert numbers_of(facts) == ["loss", "passes"]
    assert has(facts, "loss")
    assert not has(facts, "passes")
    assert not has(facts, "los")


# --- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture
def ask():
    """`ask(slug, query)`: what the route answers where two runs are stored."""
    runs = [*seeds_of(2, 3.0), *seeds_of(4, 1.0)]
    gatherer = Gatherer(lambda lesson: runs if lesson is RELU else [])
    (route,) = class_routes(lambda: gatherer)

    def asked(slug, query):
        scope = {"type": "http", "headers": [], "path_params": {"slug": slug}, "query_string": query.encode()}
        answer = route.endpoint(Request(scope))
        return answer, json.loads(answer.body)

    return asked


def test_the_route_gives_what_the_link_shares_out(ask):
    answer, body = ask("dying-relu", "share=width~2~4&number=loss&lesson=dying-relu&since=1")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert (body["since"], body["frames"], body["steps"]) == (1, 2, [2])
    assert shown(body, 1)[1] == {"x": ["2", "4"], "y": [3.0, 1.0]}
    assert ask("dying-relu", "share=width~2~4&number=loss&depth=3")[1]["frames"] == 0


@pytest.mark.parametrize(
    ("slug", "query", "status", "says"),
    [
        ("no-lesson", "share=width~2~4", 404, "There is no lesson no-lesson"),
        ("dying-relu", "number=loss", 400, "is no knob to be shared out"),
        ("dying-relu", "share=width~2~4", 400, "number is missing"),
        ("dying-relu", "share=width~2~4&since=-1&number=loss", 400, "since = -1 is no number of frames"),
        ("dying-relu", "share=width~2~4&depth=1000&number=loss", 400, "depth = 1000 is outside"),
    ],
)
def test_the_route_refuses_in_a_sentence(ask, slug, query, status, says):
    answer, body = ask(slug, query)
    assert answer.status_code == status
    assert says in body["error"]
    assert body["error"].endswith(".")
