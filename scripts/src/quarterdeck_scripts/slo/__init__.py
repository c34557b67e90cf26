"""`quarterdeck slo`: what is left of the error budgets, and what spent the rest.

Belongs here: the questions, their answers as numbers, and the report as text, JSON and HTML. Does not belong here: what
an objective counts (`quarterdeck_dashboards.slo`), and HTTP (`adapters`).
"""
