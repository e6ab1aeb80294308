"""The report's strip of all denoisers on the same noisy pictures, with what each makes of them."""

from __future__ import annotations

from gan_denoise.data.fashion_mnist import to_float
from gan_denoise.eval import baselines
from gan_denoise.eval.methods import not_installed
from gan_denoise.eval.restoration import NOISES, Images, add_noise, psnr
from gan_denoise.eval.tables import cell
from gan_denoise.export import runtime
from gan_denoise.study import figures
from gan_denoise.study.report_figures import absent, path_of, shown
from gan_denoise.study.report_study import Study
from gan_denoise.study.report_words import NETWORK, NOISY

SHOWN = 8  # test pictures
SIGMA = 25 / 255


def strip(study: Study) -> str:
    """The first test pictures clean, noisy, and after the network and each classical filter with tuned parameters."""
    model = study.folder / "export" / runtime.DENOISER.file
    if not model.exists() or study.test_images is None:
        return absent("J", "all denoisers on the same pictures")
    denoiser = runtime.load(runtime.DENOISER, model, threads=1)
    clean = to_float(study.test_images[:SHOWN])
    noisy = add_noise(clean, SIGMA, NOISES[0], seed=0)
    sets = {NOISY: noisy, NETWORK: denoiser(noisy)[0].clip(0, 1), **filtered(noisy)}
    names = {name: f"{name}, {psnr(clean, images).mean():.1f} dB" for name, images in sets.items()}
    path = path_of(study, "denoisers.png")
    figures.draw_rows({"clean": clean, **{names[name]: images.clip(0, 1) for name, images in sets.items()}}, path)
    listing = "; ".join(names.values())
    caption = (
        f"The first {SHOWN} test pictures, from top to bottom: clean; {listing}. Unclipped noise of sigma "
        f"{cell('sigma', SIGMA)}; the mean PSNR of these few pictures says little, the tables below have more."
    )
    return shown(path, f"Rows of the same clothes: clean; {listing}.", "J", caption)


def filtered(noisy: Images) -> dict[str, Images]:
    """Noisy pictures (N, 1, 28, 28) of sigma 25/255 after each classical filter that is installed."""
    tuned = baselines.load_tuned()
    return {
        name: baselines.restore(name, noisy, SIGMA, baselines.tuned_for(tuned, name, NOISES[0], SIGMA))
        for name in baselines.FILTERS
        if name not in not_installed()
    }
