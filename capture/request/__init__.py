"""The request: one document that declares a capture, and the readers of all its forms.

`document.py` declares each field once: its help, unit, range, default, option and place in the spec. From that come
the options of `bicap capture` and `bicap plan`, the keys of rule files, the PacketCapture with its CRD and its page,
and the `spec` of a summary. Each form has a reader that builds a document (given.py, own.py, antrea.py,
rulefile.py); overlay.py lays one document over another, convert.py turns it into a CaptureSpec.

It may import the values that a spec consists of (filters, sampling, selection, storage, spec). Code that opens other
files than those that a request names, or that looks at the machine, does not belong here.
"""
