"""The model in the browser: a static page by hand, and in `ort` what `make demo` fetched for it from npm."""
