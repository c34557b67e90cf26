"""The offline contract check: does every query ask for what is really emitted?

`expression` walks one query's syntax tree, `rules` reads rule files, `alerts` asks whether each alert has a
page and a receiver, `run` puts the sources together.

Does not belong here: fixing anything, or asking a Prometheus.
"""
