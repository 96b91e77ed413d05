"""Whom to keep, re-price and let go (D2 to D11): what clients leave, what is held against them, one
action for each.

`book` opens it all as of a day; `margins` what clients leave and what would mend it, `evidence`
what is noted of them and whether the team's own work explains it; `lists.decision` is the one place
that decides; `healthy` which churn was good, `effects` what signs go with, `tiers` best to worst,
and how long invoices wait.
"""
