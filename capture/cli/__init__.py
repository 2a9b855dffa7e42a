"""A command line -> a spec -> one call; one module per command.

May import everything below it. Logic that another caller could need does not belong here: JSON and text of an
analysis belong in `views`, declarations of a capture's fields in `request`, everything else in the package that does
the work.
"""
