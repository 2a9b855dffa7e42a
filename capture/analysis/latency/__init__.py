"""Samples and sessions -> distributions of latencies, and the side on which clients waited.

May import `sessions`. Delays between points belong in `legs`, which imports the histogram from here.
"""
