"""From code to pager in one command: what `make demo` shows, on real parts.

`checkout` is the service under watch, without a line of telemetry; `traffic` its users; `releases` its
versions; `acts` what happens, each act asserting what it shows; `summary` the plain words at the end.

Does not belong here: anything a user of Quarterdeck needs. The acts call the same commands a person types.
"""
