"""Packets and sessions of captures -> who talked how much, and when.

May import `sessions`. What is wrong belongs in `diagnose`, how long things took in `latency`, text in `views`.
"""
