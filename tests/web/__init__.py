"""The page in a browser: Debian's Chromium, driven by Playwright, on captures made here: `make test-web`."""
