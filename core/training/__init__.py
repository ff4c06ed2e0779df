"""Engines that train many nets at once: `fleet` (batched small nets) and `online` (exact one-example SGD)."""
