"""The packets of one session -> columns to look at it: relative numbers, windows, copies, runs, points per pixel.

`packets_of` has the columns, `runs` folds what is alike, `reduction` thins out points to the pixels of a plot. May
import `packets` and `sessions`. Words, colours and coordinates belong in `web`.
"""
