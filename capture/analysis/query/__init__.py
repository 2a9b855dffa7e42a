"""Tables of sessions -> named columns, filters and an order by them, and words for the numbers in them.

May import `sessions`. Headings, widths and formats belong in `views`.
"""
