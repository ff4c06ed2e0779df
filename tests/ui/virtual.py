"""An event loop that does not wait: where nothing else is to be done, its clock jumps to whatever is due next."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    now = 0.0  # seconds, of all these loops: what ran in one is past in the next

    def time(self) -> float:
        return VirtualLoop.now

    def _run_once(self) -> None:
        if not self._ready:
            due = [timer.when() for timer in self._scheduled if not timer.cancelled()]
            VirtualLoop.now = max(VirtualLoop.now, min(due, default=0.0))
        super()._run_once()


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
