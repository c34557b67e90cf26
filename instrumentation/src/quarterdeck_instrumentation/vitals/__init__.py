"""What a worker says of itself, sampled when its values are written: processor, memory, collections, loop, saturation.

Belongs here: whatever is read from the interpreter, its event loops and the kernel, at a cost of microseconds and
never on a request's way. Does not belong here: what requests say of themselves, and the instrumentation's own state.
"""
