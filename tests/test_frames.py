"""Recordings: append-only, columnar, and equal after a trip to arrays and back."""

import threading

import numpy as np
import pytest

from core.frames import Frame, FrameError, Recording


def made() -> Recording:
    recording = Recording()
    recording.append(Frame(0, {"loss": [1.0, 2.0]}, {"image": np.zeros((2, 3), "f4")}))
    recording.append(Frame(0.5, {"ladder": 7.0}, {}, 0.1))
    recording.append(Frame(1, {"loss": [0.5, np.nan], "ladder": 6.0}, {"image": np.ones((2, 3), "f4")}, 1.0))
    return recording


def test_each_curve_keeps_the_frames_in_which_it_has_a_point():
    frames, values = made().curve("loss")
    assert frames.tolist() == [0, 2]
    np.testing.assert_array_equal(values, [[1.0, 2.0], [0.5, np.nan]])
    frames, values = made().curve("ladder")
    assert (frames.tolist(), values.tolist()) == ([1, 2], [7.0, 6.0])


def test_since_and_upto_cut_out_only_those_frames():
    recording = made()
    assert recording.curve("loss", since=1)[0].tolist() == [2]
    assert recording.curve("loss", upto=2)[0].tolist() == [0]
    assert recording.steps(1).tolist() == [0.5, 1.0]
    assert recording.picture("image", upto=2).sum() == 0
    assert recording.picture("image").sum() == 6
    assert [k for k, _ in recording.picture_changes("image", since=1)] == [2]


def test_a_curve_or_picture_nobody_recorded_is_empty():
    frames, values = made().curve("none")
    assert (len(frames), len(values), made().picture("none")) == (0, 0, None)


def test_the_recording_keeps_copies():
    buffer = np.array([1.0])
    recording = Recording()
    recording.append(Frame(0, {"loss": buffer}))
    buffer[0] = 9.0
    assert recording.last("loss").tolist() == [1.0]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (Frame(0.9, {}), "comes after"),
        (Frame(2, {"loss": [1.0]}), "shape"),
        (Frame(2, {}, {"image": np.array([{}], dtype=object)}), "plain array"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused_whole(frame, said):
    recording = made()
    with pytest.raises(FrameError, match=said):
        recording.append(frame)
    assert len(recording) == 3
    assert recording.curve("loss")[0].tolist() == [0, 2]


def test_arrays_there_and_back():
    recording = made()
    recording.append(Frame(2, {}, {"image": np.ones((4, 4), "f4"), "names": np.array(["a", "b"])}))
    again = Recording.from_arrays(recording.arrays())
    assert len(again) == 4
    assert again.progress == 1.0
    for name in recording.curves:
        np.testing.assert_array_equal(again.curve(name)[1], recording.curve(name)[1])
    for upto in range(5):
        np.testing.assert_array_equal(again.picture("image", upto), recording.picture("image", upto))
    assert again.picture("names").tolist() == ["a", "b"]


@pytest.mark.parametrize("frames", [[0, 9], [2, 0], [0, 0], [-1, 2]])
def test_arrays_that_no_recording_gives_are_refused(frames):
    arrays = made().arrays()
    arrays["curve/loss/frames"] = np.array(frames)
    with pytest.raises(ValueError, match="no recording has"):
        Recording.from_arrays(arrays)


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("steps", np.array([0.0, 2.0, 1.0]), "they fall"),
        ("steps", np.array([0.0, np.nan, 1.0]), "they fall"),
        ("steps", np.array([0, 1, 2]), "no numbers"),
        ("progress", np.array([1.0]), "it is no number"),
        ("curve/loss/values", np.empty((10**12, 0)), "not one for each frame"),
        ("curve/loss/values", np.array(1.0), "not one for each frame"),
        ("curve/loss/values", np.ones((2, 2), "f4"), "or no numbers"),
        ("curve/loss/more", np.ones(2), "belongs to nothing"),
        ("curve/alone/values", np.ones(2), "belongs to nothing"),
    ],
)
def test_arrays_are_taken_for_a_recording_only_as_a_recording_gives_them(name, array, said):
    with pytest.raises(ValueError, match=said):
        Recording.from_arrays({**made().arrays(), name: array})


def test_readers_see_whole_frames_while_another_thread_appends():
    recording, torn = Recording(), []

    def write() -> None:
        for k in range(3000):
            recording.append(Frame(k, {"a": float(k), "b": float(k)}))

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        n = len(recording)
        a, b = (recording.curve(name, upto=n)[1] for name in ("a", "b"))
        if not (len(a) == len(b) == n):
            torn.append(n)
    writer.join()
    assert torn == []
    assert recording.curve("a")[1].tolist() == list(range(3000))
