"""Answers of an analysis -> text for a person, JSON and CSV; and queries over files.

Views stand between `analysis` and the code that shows its answers: a command, a page, a service. A view takes values
and returns strings or plain values. It prints nothing, and imports neither click nor
rich. Computation from packets belongs in `analysis`, options belong in `cli`, Parquet and
Arrow in `lake`.
"""
