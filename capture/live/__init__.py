"""Waiting for trouble: a plan with a recording -> packets in memory, triggers, and an incident for each that fires.

What belongs here: the recorder and its loop, the incidents that it writes and their bounds, the doors through which
others fire it, and what looks at packets while they are remembered.

What it may import: everything of `run`, `analysis` and `views`, and what is below them.

What does not belong here: what a rule means (`analysis.query`), system calls (`kernel`, `sink`), text for a terminal
(`cli`).
"""
