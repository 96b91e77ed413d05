"""The agency's money: fees, what clients are worth, where revenue levels off, what would move it (A2, A3, B1 to B7).

`fees` the table by term, `money` what each client paid and cost by month, `lifetimes` how long clients stay and what
they are worth, `plateau` where revenue levels off, `bonuses` what sellers and reps cost and earn, `levers` what-if.
"""
