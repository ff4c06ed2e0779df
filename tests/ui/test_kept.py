"""Answers kept ready: given once, bounded in number and bytes, and holding no run."""

import gc
import threading
import weakref

from core.frames import Frame
from core.runs.run import Run, State
from core.ui.kept import MOST, kept
from core.ui.run_json import Part, charts_json
from tests.ui.test_routes import KEY, add, made


def counting(**options):
    asked = []

    @kept(**options)
    def answer(*question):
        """What it says."""
        asked.append(question)
        return "x" * question[0]

    return answer, asked


def test_an_answer_is_made_once():
    answer, asked = counting()
    assert [answer(3), answer(3), answer(4)] == ["xxx", "xxx", "xxxx"]
    assert asked == [(3,), (4,)]
    assert answer.__doc__ == "What it says."
    answer.clear()
    assert answer.bytes == 0
    answer(3)
    assert len(asked) == 3


def test_the_answer_not_asked_for_longest_goes_when_there_are_too_many_bytes():
    answer, asked = counting(most_bytes=10)
    for size in (3, 4, 3, 5):  # 3 is asked for again, so 4 goes
        answer(size)
    assert answer.bytes == 8
    asked.clear()
    answer(3)
    answer(5)
    assert asked == []
    answer(4)
    assert asked == [(4,)]


def test_what_is_too_large_by_itself_is_given_and_not_kept():
    answer, asked = counting(most_bytes=10)
    assert len(answer(11)) == len(answer(11)) == 11
    assert (answer.bytes, len(asked)) == (0, 2)


def test_small_answers_are_bounded_in_number():
    answer, asked = counting()
    for k in range(10 * MOST):
        answer(1, k)
    assert answer.bytes == MOST
    answer(1, 0)
    assert len(asked) == 10 * MOST + 1


def test_parts_are_kept_by_what_they_show_and_no_run_is_held():
    charts_json.clear()
    run = made(frames=4)
    one, same = charts_json(Part.of(run, 0)), charts_json(Part.of(made(frames=4), 1))
    assert one != same
    assert charts_json(Part.of(run, 0)) is one
    twin = Run(run.lesson, run.knobs, run.key, recording=run.recording, state=State.DONE, created=run.created)
    assert charts_json(Part.of(twin, 0)) is one
    add(run, 4)
    assert charts_json(Part.of(run, 0)) is not one
    held = weakref.ref(run)
    del run, twin
    gc.collect()
    assert held() is None
    assert charts_json.bytes > 0
    charts_json.clear()


def test_the_charts_of_many_large_runs_stay_within_the_bound(monkeypatch):
    monkeypatch.setattr(charts_json, "_most_bytes", 200_000)
    charts_json.clear()
    sizes = []
    for k in range(MOST):
        run = made(frames=200, key=f"{k:032x}")
        sizes.append(len(charts_json(Part.of(run, 0))))
        assert charts_json.bytes <= 200_000
    assert sum(sizes) > 400_000
    charts_json.clear()


def test_many_threads_get_the_right_answers():
    answer, _ = counting(most_bytes=50)
    wrong = []

    def work(me):
        for k in range(300):
            size = (me * 7 + k) % 20
            if len(answer(size)) != size:
                wrong.append(size)

    threads = [threading.Thread(target=work, args=(me,)) for me in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert answer.bytes <= 50


def test_a_run_that_grows_is_told_anew():
    charts_json.clear()
    run = made(frames=1, now=State.RUNNING, key=KEY)
    said = [charts_json(Part.of(run, 0))]
    run.recording.append(Frame(1, {"loss": [0.5] * 10}, {}, 0.5))
    said.append(charts_json(Part.of(run, 0)))
    assert len(set(said)) == 2
    charts_json.clear()
