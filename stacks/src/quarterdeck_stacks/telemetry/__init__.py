"""What telemetry passes through and is kept in beyond Prometheus: collector, Tempo, Loki, Thanos.

Belongs here: the configuration of each program as text or arguments, from settings, and the names and ports that the
configurations of two of them share. Pure: the same settings give the same bytes.

Does not belong here: the pods the programs run in (`components`), Prometheus' own configuration (`scraping`), and what
a setting means (`settings`).

A configuration names its pod's own address as `${env:POD_IP}` and listens nowhere else.
"""
