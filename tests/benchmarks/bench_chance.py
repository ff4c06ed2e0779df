"""How often each rule for random variation raises a false alarm: networks alike, compared over a few seeds.

python tests/benchmarks/bench_chance.py
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from core.stats import independent, paired

TRIALS = 20_000
REPEATS = (3, 5, 10, 20)
SHARED = 3.0  # standard deviation of what a seed does to both networks, beside 1 of what it does to each


def main() -> None:
    """Print the share of trials in which a rule sees a difference where there is none."""
    rng = np.random.default_rng(1)
    print(f"false alarms in {TRIALS:,} comparisons of networks alike")
    print("| repeats | paired, 95 % interval | no common seeds, 95 % interval | mean > standard deviation |")
    print("|---|---|---|---|")
    for n in REPEATS:
        own, shared = rng.normal(size=(2, TRIALS, n)), SHARED * rng.normal(size=(TRIALS, n))
        pairs = [paired(a + s, b + s).direction is not None for a, b, s in zip(*own, shared, strict=True)]
        groups = [independent(a, b).direction is not None for a, b in zip(*own, strict=True)]
        gain = own[0] - own[1]
        rule_of_thumb = np.abs(gain.mean(axis=1)) > gain.std(axis=1, ddof=1)
        print(f"| {n} | {np.mean(pairs):.1%} | {np.mean(groups):.1%} | {rule_of_thumb.mean():.1%} |")


if __name__ == "__main__":
    main()
