"""Other kernels than this machine's: packages from Debian, booted in virtual machines with this machine's files.

`python -m tests.kernels` (make test-kernels) compiles every variant of the programs here, boots each kernel, and has
it run `tests.kernels.guest`. What belongs here needs another kernel to mean anything; the rest is in tests/kernel.
"""
