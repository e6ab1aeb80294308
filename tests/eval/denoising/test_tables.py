from __future__ import annotations

from typing import Any

from gan_denoise.eval.denoising.tables import side_by_side
from gan_denoise.eval.result_table import ResultTable, to_markdown


def row(method: str, sigma: float, psnr_db: float, ms: float | None, n: int = 5, **size: int) -> dict[str, Any]:
    quality = {"noise": "float", "sigma": sigma, "psnr_db": psnr_db, "ssim": psnr_db / 100}
    return {"method": method, **quality, "ms_per_image": ms, "parameters": None, "multiply_adds": None, **size, "n": n}


def test_a_method_has_one_line_for_each_count_of_images() -> None:
    rows = [
        *(row("noisy", 0.0, 100.0, None), row("median", 0.0, 100.0, None), row("net", 0.0, 30.0, 2.0, parameters=1234)),
        *(row("noisy", 15 / 255, 24.617, None), row("median", 15 / 255, 25.5, 0.5)),
        *(row("net", 15 / 255, 28.0, 4.0, parameters=1234), row("noisy", 0.0, 99.0, None, n=10_000)),
    ]
    report = side_by_side(ResultTable("eval denoising", "Title", rows, None, {}, {}))
    assert [line["method"] for line in report.rows] == ["noisy", "median", "net", "noisy"]
    assert to_markdown(report).splitlines()[2:8] == [
        "| n | noise | method | 0 | 15/255 | ms/image | parameters | multiply-adds |",
        "| ---: | --- | --- | ---: | ---: | ---: | ---: | --- |",
        "| 5 | float | noisy | 100.00 1.000 | 24.62 0.246 |  |  |  |",
        "| 5 | float | median | 100.00 1.000 | 25.50 0.255 | 0.500 |  |  |",
        "| 5 | float | net | 30.00 0.300 | 28.00 0.280 | 3.000 | 1,234 |  |",
        "| 10,000 | float | noisy | 99.00 0.990 | not measured |  |  |  |",
    ]
