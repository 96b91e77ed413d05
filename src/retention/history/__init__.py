"""What was known of each client, and when: engagements, chances to leave, months, who was in
charge.
"""
