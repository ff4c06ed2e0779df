"""The player on a page: one component for live, replay and later the export.

Streamlit only mounts it and says which run; the player fetches the frames itself (`core.ui.routes`).
"""

from dataclasses import dataclass
from urllib.parse import quote

import streamlit as st

from core.ui.replay import CHART_LIBRARY
from core.ui.routes import asset

NOT_LOADED = "The charts could not be loaded from the server. Reload the page to try again."
# It starts with a newline, since Streamlit takes one line that looks like a path for one; and it makes whole
# addresses, since Streamlit runs it from a blob, where a relative import leads nowhere.
STUB = f"""
const at = (path) => new URL(path, document.baseURI).href;
const assets = {{ style: at("{asset("player.css")}"), plotly: at("{asset(CHART_LIBRARY.name)}") }};
export default async (component) => {{
  const player = await import(at("{asset("player.js")}")).catch((cause) => {{
    component.parentElement.textContent = "{NOT_LOADED}";
    throw cause;
  }});
  return player.default(component, assets);
}};
"""

_mount = st.components.v2.component("gradient_lab_player", js=STUB, isolate_styles=False)


@dataclass(frozen=True)
class PlayerResult:
    """What the player has to say in this run of the script.

    Attributes:
        finished: key of the run that has just become final: claims and facts can be shown now.
    """

    finished: str | None


def player(
    run_key: str,
    *,
    key: str,
    source: str | None = None,
    state: str | None = None,
    frame: int | None = None,
    ghost: str | None = None,
    ghost_text: str = "",
    projector: bool = False,
    compact: bool = False,
    height: int | None = None,
    link: bool = True,
    presses: int = 0,
) -> PlayerResult:
    """Show a run.

    Args:
        run_key: which run; another one replaces what is shown.
        key: of the component; it keeps its place and its zoom while this stays.
        source: where its frames are asked for, relative to the page; None: where every run's are.
        state: what the page knows of the run (`run.state`). The player tells `finished` where it learns otherwise,
            and looks again where this changes, as when a stopped run is started once more.
        frame: the frame to stop at first, from a link; None: the end.
        ghost: key of an earlier run, drawn pale behind this one.
        ghost_text: what differs in the earlier run, a few words.
        projector: large type and thick lines, few words.
        compact: small charts without words.
        height: of a chart, in pixels.
        presses: how often Run was pressed here: at one more, a run that is there already is replayed from its start.
        link: whether the page's address says the frame at which the reader stopped.
    """
    result = _mount(
        key=key,
        data={
            "run": run_key,
            "source": source or f"api/runs/{quote(run_key, safe='')}",
            "state": None if state is None else str(state),
            "frame": frame,
            "ghost": ghost and f"api/runs/{ghost}",
            "ghost_text": ghost_text,
            "projector": projector,
            "compact": compact,
            "height": height,
            "link": link,
            "presses": presses,
        },
        on_finished_change=lambda: None,  # names the trigger
    )
    return PlayerResult(result.get("finished"))
