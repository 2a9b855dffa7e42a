"""Answers of an analysis -> text for a person, JSON, CSV and Parquet; and the queries that ask for them.

Between `analysis` and whoever shows its answers: a command, a page, a service. A view takes values and gives strings
or plain values, or for Parquet writes one file; it prints nothing, asks nobody, and knows neither click nor rich nor
a terminal. What is computed from packets belongs in `analysis`, what options there are in `cli`.
"""
