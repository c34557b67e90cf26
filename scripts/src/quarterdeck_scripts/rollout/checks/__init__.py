"""What has to hold before a rollout changes anything: permissions, budgets, scalers, owners.

Here belongs what is asked once, at the beginning; not the freezes of the line, which hold all through it (`line`).
"""
