"""Service level objectives as arithmetic and as rules.

`windows` is the table of burn-rate alerts as data, `objective` the arithmetic on it (pure numbers, no PromQL,
no YAML), `recorded` the names of recorded series, `rules` the recording rules.

Does not belong here: what an alert says and whom it reaches (`alerts`, `alertmanager`), files (`build`).
"""
