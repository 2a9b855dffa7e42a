"""Samples and sessions -> distributions of how long things took, and which side the wait is on.

May import `sessions`. Delays between points belong in `legs`, which takes the histogram from here.
"""
