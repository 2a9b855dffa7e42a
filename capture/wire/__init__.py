"""Values in packets: protocol numbers and their names, addresses, directions. Tables and small functions.

Imports nothing of bicap. Code that reads bytes belongs in `analysis.packets`, the syntax of rules in `filters`.
"""
