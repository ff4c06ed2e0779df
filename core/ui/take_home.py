"""What people take home of a run."""

import io

import pandas as pd

from core.runs.run import Run


def curves_csv(run: Run) -> bytes:
    """All curves of a run as a long table: step, curve, series, seed, value."""
    rows = []
    names = run.lesson.series(run.knobs)
    steps = run.recording.steps()
    for curve in run.recording.curves:
        frames, values = run.recording.curve(curve)
        table = values.reshape(len(values), -1, values.shape[2] if values.ndim > 2 else 1)
        for column in range(table.shape[1]):
            series = names[column] if table.shape[1] == len(names) else str(column)
            for seed in range(table.shape[2]):
                part = {"step": steps[frames], "curve": curve, "series": series, "seed": seed}
                rows.append(pd.DataFrame({**part, "value": table[:, column, seed]}))
    written = io.StringIO()
    pd.concat(rows).to_csv(written, index=False)
    return written.getvalue().encode()
