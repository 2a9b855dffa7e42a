"""Captures where one machine is not enough: a Python data source for Spark (PySpark 4.1 and newer, Java 17).

    from capture.spark.data_source import register

    register(spark)
    sessions = spark.read.format("bicap").option("table", "sessions").load("s3://bucket/captures/")

It stands on the tables of `lake` and on the readers of `analysis`, and has no logic about packets of its own: a
capture with all its files is one partition, and workers turn it into Arrow batches. Only `data_source`
imports pyspark.
"""
