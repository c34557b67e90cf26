"""`import quarterdeck_instrumentation.auto`: instruments this process on import, for want of a command line."""

from quarterdeck_instrumentation.activation import activate

activate()
