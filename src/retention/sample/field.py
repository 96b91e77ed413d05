"""Several made-up agencies of one field: other sizes, and other truths about contracts."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from retention.sample.world import World
from retention.sample.write import write_sample

SPREAD = 0.2  # (ours) of the effect of contracts between agencies, on the log scale
SMALLEST, LARGEST = 1 / 4, 3.0  # times the clients asked for


def write_field(
    out: Path, agencies: int, world: World, *, clients: int, months: int, seed: int, form: str
) -> None:
    """Write so many agencies, each into a folder of its own: agency-01, agency-02, ...

    Their sizes are about `clients`, from a quarter to three times as many; the effect of contracts
    differs by `SPREAD`. Each one's truth is in its truth.json.
    """
    rng = np.random.default_rng([seed, agencies])
    sizes = np.exp(rng.uniform(math.log(SMALLEST), math.log(LARGEST), agencies))
    effects = rng.normal(world.contract, SPREAD, agencies)
    for number, (size, effect) in enumerate(zip(sizes, effects, strict=True), 1):
        folder = out / f"agency-{number:02}"
        own = replace(world, contract=float(effect))
        count = round(clients * float(size))
        write_sample(
            folder, own, clients=count, months=months, seed=1000 * seed + number, form=form
        )
