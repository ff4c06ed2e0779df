"""A server with runs that train nothing: `streamlit run tests/browser/demo.py`. The player's tests drive it."""

import streamlit as st
from growing import Runs
from starlette.responses import Response
from starlette.routing import Route

from core.ui.routes import routes

RUNS = Runs()


def again(request):
    """Train a run anew."""
    return Response(str(RUNS.held.pop(request.path_params["key"], None) is not None))


def go(request):
    """Let a run go on that waits."""
    RUNS.held[request.path_params["key"]].let_go()
    return Response("True")


app = st.App("demo_page.py", routes=[Route("/again/{key}", again), Route("/go/{key}", go), *routes(lambda: RUNS)])
