"""The means of tests, benchmarks and the demo: what has to be there before anything can be captured or measured.

What belongs here: pods and wires made of network namespaces, traffic through them, packets and files as bytes, a
container runtime that is made up, the `bicap` command as a user runs it, and how to wait on a busy machine. Something
comes here when a second tier of the tests, a benchmark or a script needs it.

What it may import: `capture`, and other libraries that are installed with it. The veth pair and its senders are in
`capture.benchmark`, because `bicap bench` needs them where nothing but the package is installed.

What does not belong here: tests and their fixtures (`tests`), measurements (`bench`), what the package needs itself.
It is not installed, and nothing in `capture` imports it.
"""
