"""Capture files -> a page in the browser: its server on loopback, its data as JSON and arrays, and the page itself.

`page/` is the page: ES modules that the browser runs as they are. What it shows is computed by `analysis` and said by
`views`; here it gets the form that the page needs. Nothing here decodes packets, and nothing changes a capture.
May import views and analysis; never run, kernel or pods.
"""
