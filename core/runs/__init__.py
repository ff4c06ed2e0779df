"""From a press on Run to a recording on disk: engines, the runner's queue, the store."""
