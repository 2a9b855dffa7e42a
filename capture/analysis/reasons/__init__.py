"""Events of the kernel (drops, resets) of a capture -> the fields of the sessions that they are about.

May import `sessions` and what is below. Sentences for a person belong in `views` and `diagnose`; what a reason means
is in `wire.drop_reasons`.
"""
