"""Traces as Plotly's JSON has them: `Scatter(x=…, name="train")` is {"type": "scatter", "x": …, "name": "train"}.

Plotly's own classes of these names look at each attribute as it is set. That takes longer than all else of a chart, for
every run that somebody opens, and finds what a test finds as well (tests/lessons/test_contract.py): each panel of each
lesson has to be what those classes make of it.
"""

from functools import cache, partial
from typing import Any

import numpy as np
from _plotly_utils.utils import to_typed_array_spec
from plotly.colors import get_colorscale

Trace = dict[str, Any]

Bar = partial(dict[str, Any], type="bar")
Contour = partial(dict[str, Any], type="contour")
Heatmap = partial(dict[str, Any], type="heatmap")
Image = partial(dict[str, Any], type="image")
Scatter = partial(dict[str, Any], type="scatter")
Violin = partial(dict[str, Any], type="violin")


def to_json(value: Any) -> Any:
    """A trace or a layout as plain JSON: without what is None, arrays as Plotly packs them, null for what is no number.

    A scale of colours by name is written out, since Plotly's JavaScript has others under some of the names.
    """
    if isinstance(value, dict):
        found = {name: to_json(each) for name, each in value.items() if each is not None}
        if isinstance(found.get("colorscale"), str):
            found["colorscale"] = _scale(found["colorscale"])
        return found
    if isinstance(value, np.ndarray):
        return to_typed_array_spec(value) if value.dtype.kind in "iuf" else value.tolist()
    if isinstance(value, list | tuple | range):
        return [to_json(each) for each in value]
    if isinstance(value, np.generic):
        return to_json(value.item())
    return None if isinstance(value, float) and not np.isfinite(value) else value


@cache
def _scale(name: str) -> list[list[Any]]:
    return [list(each) for each in get_colorscale(name)]
