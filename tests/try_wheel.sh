#!/bin/sh
# usage: try_wheel.sh PYTHON WHEEL: install the wheel in an environment of its own, outside the source tree, and use it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$1" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "$2"
cd "$folder"
if env/bin/python -c 'import torch' 2>/dev/null; then echo "torch came with the base install"; exit 1; fi
env/bin/gan-denoise --version
env/bin/gan-denoise generate -n 4 --out grid.png
env/bin/gan-denoise generate -n 4 --out images
env/bin/gan-denoise denoise images/image/*.png --out denoised
test -s grid.png && test "$(ls denoised | wc -l)" = 4
env/bin/gan-denoise generate -n 97 --out images.npz
env/bin/gan-denoise eval ffd images.npz
env/bin/python -c 'import gan_denoise as g; m = g.load_model(); print(g.psnr(*m.generate(4)).mean(), m.denoise(m.generate(1)[0]).shape)'
env/bin/gan-denoise demo --out page
test -s page/index.html && test -s page/fused.onnx && test -s page/ort-wasm-simd-threaded.wasm
echo "the wheel works: $(basename "$2")"
