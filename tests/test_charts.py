"""Charts that lessons have in common."""

import numpy as np

from core.charts import mosaic, tiled


def test_a_mosaic_keeps_every_tile():
    tiles = np.arange(2 * 3 * 4 * 5, dtype=float).reshape(2, 3, 4, 5)
    whole = mosaic(tiles, (2, 1))
    assert whole.shape == (12, 18)
    np.testing.assert_array_equal(whole[6:10, 12:17], tiles[1, 2])
    assert np.isnan(whole).sum() == whole.size - tiles.size


def test_the_rows_of_a_mosaic_have_their_names_from_the_top():
    axis = tiled("filters", "of each", [], {"plain": 2, "both": 8}).layout["yaxis"]
    assert (axis["tickvals"], axis["ticktext"], axis["autorange"]) == ([2, 8], ["plain", "both"], "reversed")
