"""Run the model in the browser: a static page, and in `ort` the onnxruntime-web files that `make demo` fetches."""
