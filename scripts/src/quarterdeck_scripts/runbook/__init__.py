"""Runbooks: pages that say what an alert means and what to do, and actions that do it.

Belongs here: the pages, the way from an alert to its page and to exact commands, and the actions: each a pure
plan and a pure account of what is still missing, carried out by one loop (`run`) that shows the plan, has the
server rehearse it, asks, writes it down, and waits until the cluster shows the effect.

Does not belong here: when to alert (`quarterdeck_dashboards`), and rollouts.
"""
