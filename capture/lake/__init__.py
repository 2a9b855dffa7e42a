"""Answers of an analysis -> tables with one schema each, as Arrow batches, Parquet files and folders of partitions.

    tables
    lake_sessions | lake_packets | lake_latency | lake_findings | writing
    common
    identity | arrow_arrays
    named_points | schema | store

`schema` says what a column is; the four tables declare their columns, each with its unit, its meaning and the
function that makes it, and docs/lake-tables.md is made from that. May import `analysis` and `views`; needs pyarrow.
Options belong in `cli`, text for a person in `views`, and a new number about sessions in `analysis`.
"""
