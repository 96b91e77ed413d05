"""Why clients stay or leave: a published retention study, re-tested on your own data.

from retention import CLAIMS, contract_hazard_ratio, judge, open_study

study = open_study("my/data", cutoff="2025-12-31")
judge(CLAIMS["A1"], contract_hazard_ratio(study.spells))
"""

from retention.claims import CLAIMS, judge
from retention.contract_term import contract_hazard_ratio
from retention.spells import build_spells
from retention.study import open_study

__all__ = ["CLAIMS", "build_spells", "contract_hazard_ratio", "judge", "open_study"]
