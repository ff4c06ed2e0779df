"""Views: against the notebook's own cutout, a plain crop, and the closed form of the area."""

import numpy as np
import pytest
import torch

from core.training.views import Holes, Pictures, smaller

N = 64


def chance(seed=1):
    return torch.Generator().manual_seed(seed)


def pictures(shape=(3, 12, 10)):
    return Pictures(torch.randint(0, 256, (N, np.prod(shape)), generator=chance(), dtype=torch.uint8), shape)


def views(of, cut, shift="none", *, mirror=False, frozen=False, rows=None, centres=None, seed=2):
    rows = torch.arange(N) if rows is None else rows
    centres = cut.centres(len(rows), of.shape[1:], chance(3)) if centres is None else centres
    return of.views(rows, chance(seed), cut, centres, shift, mirror=mirror, frozen=frozen), centres


def notebooks_mask(height, width, centres, length):
    """The notebook's `cutout`, with centres that are given: 1 where a pixel stays."""
    mask = np.ones((height, width))
    for y, x in centres:
        y1, y2 = np.clip([y - length // 2, y + length // 2], 0, height)
        x1, x2 = np.clip([x - length // 2, x + length // 2], 0, width)
        mask[y1:y2, x1:x2] = 0.0
    return mask


@pytest.mark.parametrize(("length", "count"), [(4, 1), (6, 2), (12, 4), (24, 1)])
@pytest.mark.parametrize("fill", ["mean", "black"])
def test_holes_are_those_of_the_notebooks_function(length, count, fill):
    of = pictures()
    view, centres = views(of, Holes(length, count, fill))
    kept = np.stack([notebooks_mask(12, 10, each.tolist(), length) for each in centres])[:, None]
    filled = {"mean": 0.0, "black": (-of.mean / of.spread).numpy()[:, None, None]}[fill]
    np.testing.assert_allclose(view.numpy(), np.where(kept == 1, of.plain().numpy(), filled), atol=1e-5)


@pytest.mark.parametrize(("length", "percent"), [(12, 11.5), (16, 19.1)])
def test_clipped_squares_hide_what_the_closed_form_says_and_drawn_ones_do(length, percent):
    cut = Holes(length)
    assert 100 * cut.area(32, 32) == pytest.approx(percent, abs=0.05)
    assert cut.area(32, 32) == pytest.approx((length / 32 - length**2 / (4 * 32**2)) ** 2)
    side = torch.arange(32).expand(8000, -1)
    hidden = cut.hidden(cut.centres(8000, (32, 32), chance()), side, side)
    assert hidden.double().mean().item() == pytest.approx(cut.area(32, 32), abs=0.003)


@pytest.mark.parametrize("count", [2, 4])
def test_overlapping_squares_hide_less_than_their_sum(count):
    cut, side = Holes(7, count), torch.arange(16).expand(8000, -1)
    drawn = cut.hidden(cut.centres(8000, (16, 16), chance()), side, side).double().mean().item()
    assert drawn == pytest.approx(cut.area(16, 16), abs=0.004)
    assert drawn < count * Holes(7).area(16, 16) - 0.02


def test_centres_lie_on_every_pixel():
    centres = Holes(4).centres(5000, (6, 9), chance())[:, 0]
    assert len({tuple(each) for each in centres.tolist()}) == 6 * 9


def shifted(picture, down, across, flip, edge):
    """(channels, height, width), padded, cut and mirrored in NumPy."""
    _, height, width = picture.shape
    reach = 5
    wide = np.pad(picture, ((0, 0), (reach, reach), (reach, reach)), mode="edge" if edge else "constant")
    part = wide[:, reach + down : reach + down + height, reach + across : reach + across + width]
    return part[:, :, ::-1] if flip else part


@pytest.mark.parametrize(("shift", "reach", "edge"), [("crop", 2, False), ("notebook", 1, True), ("none", 0, True)])
def test_every_view_is_a_crop_of_its_picture_and_all_crops_occur(shift, reach, edge):
    of, rows = pictures((1, 16, 16)), torch.arange(2).repeat(300)
    view, _ = views(of, Holes(0), shift, mirror=True, rows=rows)
    ways = [(d, a, f) for d in range(-reach, reach + 1) for a in range(-reach, reach + 1) for f in (False, True)]
    crops = np.stack([[shifted(each, *way, edge) for way in ways] for each in of.plain(slice(2)).numpy()])
    alike = np.abs(crops[rows] - view.numpy()[:, None]).max(axis=(2, 3, 4)) < 1e-5  # (views, ways)
    assert (alike.sum(axis=1) == 1).all()
    seen = {ways[i] for i in alike.argmax(axis=1)}
    assert seen == set(ways)


def test_a_black_hole_that_was_cut_before_ends_with_its_picture():
    of = pictures()
    cut, n = Holes(8, fill="black"), 40
    rows, corner = torch.zeros(n, dtype=torch.long), torch.zeros(n, 1, 2, dtype=torch.long)
    plain, _ = views(of, Holes(0), "crop", rows=rows, centres=corner)
    seen, _ = views(of, cut, "crop", rows=rows, centres=corner, frozen=True)
    border = (plain == 0).all(dim=1)  # the mean colour: beyond the picture
    assert border.any()
    assert (seen.permute(0, 2, 3, 1)[border] == 0).all()
    assert (seen != plain).any()


def test_a_frozen_hole_moves_with_its_picture_and_a_fresh_one_does_not():
    of, cut = pictures((1, 16, 16)), Holes(4, fill="mean")
    rows = torch.zeros(40, dtype=torch.long)
    centres = torch.tensor([8, 8]).expand(40, 1, 2)
    seen = {}
    for frozen in (False, True):
        view, _ = views(of, cut, "crop", rows=rows, centres=centres, frozen=frozen)
        whole, _ = views(of, Holes(0), "crop", rows=rows, centres=centres)
        hidden = (view == 0) & (whole != 0)
        seen[frozen] = {tuple(each.nonzero()[0].tolist()[1:]) for each in hidden}
    assert seen[False] == {(6, 6)}
    assert seen[True] == {(row, column) for row, column in seen[True] if abs(row - 6) <= 2 and abs(column - 6) <= 2}
    assert len(seen[True]) > 10


def test_mean_and_spread_are_those_of_each_colour():
    of = pictures()
    values = of.pixels.double()
    np.testing.assert_allclose(of.mean, values.mean(dim=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(of.spread, values.std(dim=(0, 1, 2), correction=0), rtol=1e-5)
    plain = of.plain().double()
    assert plain.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    other = Pictures(torch.zeros(1, 360, dtype=torch.uint8), of.shape, like=of)
    np.testing.assert_allclose(other.plain()[0, :, 0, 0], -of.mean / of.spread, rtol=1e-5)


def test_views_become_pictures_again():
    of = pictures()
    view, _ = views(of, Holes(0))
    assert torch.equal(of.colours(view), of.pixels)


def test_pixels_are_averaged_and_what_is_left_over_alone():
    x = torch.arange(25.0).view(1, 1, 5, 5)
    found = smaller(x, 2)[0, 0]
    assert found[0].tolist() == [3.0, 5.0, 6.5]
    assert found[2].tolist() == [20.5, 22.5, 24.0]
    assert smaller(x, 1) is x
