"""What stands in packets: numbers of protocols with their names, addresses, directions. Tables and small functions.

Imports nothing of bicap. What reads bytes is in `analysis.packets`; what a user may write is in `filters`.
"""
