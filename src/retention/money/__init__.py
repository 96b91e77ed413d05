"""The agency's money: what clients are worth, where revenue levels off, what would move it (B1 to
B7).

`lifetimes` how long clients stay and what they are worth, `plateau` where revenue levels off,
`bonuses` what sellers and reps cost and earn, `levers` what-if.
"""
