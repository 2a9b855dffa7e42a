"""Tables of sessions -> findings: groups of sessions that show the same kind of trouble at the same place, ranked.

The entry point is `findings`; `troubles` lists the kinds of trouble, `sentences` puts them into words. May import
`packets` (completeness of a file) and `sessions`. A new kind of trouble is an entry of `troubles`, and no code
elsewhere.
"""
