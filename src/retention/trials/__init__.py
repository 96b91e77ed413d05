"""Did it help? Trials of the lists, what earlier runs predicted and what came of it, and what was
done without a trial (E1 to E3).
"""
