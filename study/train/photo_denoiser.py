"""Train the denoiser for photographs on random crops, with Gaussian and camera noise of all levels."""

from __future__ import annotations

import copy
import dataclasses
import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import ImagesF32, to_float
from gan_denoise.errors import InputError
from gan_denoise.eval.metrics.psnr_ssim import psnr, ssim
from gan_denoise.eval.noise import add_noise
from gan_denoise.export.convert import weights
from gan_denoise.export.run_folder import RunFolder, StageFolder
from gan_denoise.export.runtime import SHIPPED
from gan_denoise.models.depthwise_unet import DepthwiseUNet
from gan_denoise.options import PHOTO, PHOTO_GREY
from gan_denoise.study.config import PhotoDenoiserConfig, RunOptions
from gan_denoise.study.run import ranks
from gan_denoise.study.run.checkpoint import Modules
from gan_denoise.study.run.device import on_device, prepare_torch, training_precision
from gan_denoise.study.run.metadata import run_fingerprint
from gan_denoise.study.run.stage import Stage
from gan_denoise.study.train.architecture import list_layers, write_architecture
from gan_denoise.study.train.batches import scale_pixels, seed_step, steps_per_epoch
from gan_denoise.study.train.losses import log_squared_error
from gan_denoise.study.train.muon import Muon
from gan_denoise.study.train.optim import optimizer_step, set_lr, update_ema
from gan_denoise.study.train.photo_noise import camera_noise
from gan_denoise.study.train.validation import VALIDATION_SIGMA, denoise_images

VALIDATION_TILES = 32
GREY = torch.tensor([0.299, 0.587, 0.114])[:, None, None]  # luma of red, green and blue (ITU-R BT.601)


def train_photo_denoiser(
    config: PhotoDenoiserConfig, dataset: Dataset, run: Path, options: RunOptions, start: str | Path | None = None
) -> None:
    """Train in `run`/denoiser and write the EMA of the weights there; resumes from the last checkpoint.

    The training starts from the weights `start` (see `start_weights`), if given; the fingerprint has their hash. After
    each epoch the log gets PSNR and SSIM of the EMA on held-out tiles with noise of 25/255. Raises what
    Stage.open raises, InputError if `start` holds another network, and DivergedError if a loss or a gradient is not
    finite.
    """
    folder = RunFolder(run).denoiser
    device = prepare_torch(options)
    torch.manual_seed(options.seed)
    arguments = dataclasses.asdict(config.network)
    network = DepthwiseUNet(**arguments)
    fingerprint = run_fingerprint(config, dataset, options) | {"optimizer": "muon"}  # earlier runs used Adam
    if start is not None:
        fingerprint["started_from"] = load_start(network, start)
    denoiser = on_device(network, device)
    ema = copy.deepcopy(denoiser).requires_grad_(False)
    muon = Muon(*split_weights(denoiser), config.learning_rate)
    tile_count = min(config.images, len(dataset.train)) // config.batch * config.batch
    tiles = torch.from_numpy(dataset.train.images[:tile_count])  # (N, 3, H, W) uint8, whole batches
    held_out, noisy = validation_tiles(dataset, config.network.channels)
    epoch_steps = steps_per_epoch(len(tiles), config.batch)
    last_batch = crop_and_batch(config, 1.0)[1]
    ranks.check_divisible(f"crops of {config.last_crop} pixels in a batch", last_batch, "--set batch=")
    total = config.epochs * epoch_steps
    modules: Modules = {"denoiser": denoiser, "ema": ema, "muon": muon}

    with Stage.open(folder, fingerprint, modules, config.epochs, epoch_steps, len(tiles), options) as stage:
        write_architecture(folder, denoiser=list_layers(denoiser, (config.network.channels, config.crop, config.crop)))
        for step in stage.steps():
            # batch
            seed_step(options.seed, step)
            crop, count = crop_and_batch(config, step / total)
            clean = scale_pixels(random_crops(tiles, count, crop, config.crop_choices))  # (B, 3, crop, crop) in [0, 1]
            clean, noisy_crops = add_training_noise(clean, config)

            # step
            set_lr(muon, config.learning_rate * cosine_factor(step, total, config.warmup_steps))
            with training_precision(device, options):
                loss = photo_step(denoiser, muon, clean.to(device), noisy_crops.to(device), config)
            update_ema(ema, denoiser, len(clean), config.ema_half_life_images)
            stage.accumulate(loss=loss)

            # log
            if stage.is_epoch_end(step):
                denoised = denoise_images(ema, noisy)
                quality = {"psnr_db": psnr(held_out, denoised), "ssim": ssim(held_out, denoised)}
                weights.save_weights(StageFolder(folder.epoch(stage.epoch)).weights("denoiser"), ema, arguments)
                stage.log_epoch(step, len(tiles), **{name: float(values.mean()) for name, values in quality.items()})

            # save
            stage.end_step(step)
        if stage.is_first:
            weights.save_weights(folder.weights("denoiser"), ema, arguments)


def validation_tiles(dataset: Dataset, channels: int) -> tuple[ImagesF32, ImagesF32]:
    """Clean held-out tiles (N, channels, H, W) in [0, 1], spread evenly over all, and their noisy versions."""
    held_out = dataset.held_out.images
    clean = to_float(held_out[:: -(-len(held_out) // VALIDATION_TILES)])
    if channels == 1:
        clean = to_grey(torch.from_numpy(clean)).numpy()
    return clean, add_noise(clean, VALIDATION_SIGMA, "float", seed=0)


def start_weights(start: str | Path) -> Path:
    """The weights file that `start` stands for: the name of a shipped denoiser, a file, or a folder that holds one.

    `./photo` is a folder.
    """
    if start in (PHOTO, PHOTO_GREY):
        return SHIPPED / f"{start}.safetensors"
    path = Path(start)
    return path if path.suffix == ".safetensors" else StageFolder(path).weights("denoiser")


def load_start(network: DepthwiseUNet, start: str | Path) -> str:
    """Set the weights to those of `start`; returns their SHA-256. Raises InputError if they are of another network."""
    description, tensors = weights.read_weights(start_weights(start))
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        got = f"{description.get('network')} {description.get('arguments')}"
        hint = "--set network.widths=... and network.blocks=... as they have them"
        raise InputError.expected(f"--start {start}", "weights of the configuration's network", got, hint) from error
    return str(description["sha256"])


def split_weights(denoiser: DepthwiseUNet) -> tuple[list[Tensor], list[Tensor]]:
    """The weights that mix the channels of features, and the others: depthwise ones and those at the two ends."""
    mixing: list[Tensor] = []
    others: list[Tensor] = []
    for name, weight in denoiser.named_parameters():
        is_mixing = weight.shape[1] > 1 and not name.startswith(("head", "tail"))
        (mixing if is_mixing else others).append(weight)
    return mixing, others


def photo_step(
    denoiser: nn.Module, optimizer: Optimizer, clean: Tensor, noisy: Tensor, config: PhotoDenoiserConfig
) -> float:
    """One update from clean and noisy crops (B, 3, H, W) in [0, 1]; returns the loss."""
    clean, noisy = ranks.rows(clean, noisy)
    noisy = noisy.contiguous(memory_format=torch.channels_last)
    loss = log_squared_error(denoiser(noisy), clean, config.error_floor)
    optimizer_step(optimizer, loss, config.max_gradient_norm)
    return loss.item()


def crop_and_batch(config: PhotoDenoiserConfig, progress: float) -> tuple[int, int]:
    """The side of the crops and their number, at a progress from 0 to 1; the number of pixels stays about the same."""
    if progress < 1 - config.last_crop_fraction:
        return config.crop, config.batch
    return config.last_crop, max(config.batch * config.crop**2 // config.last_crop**2, 1)


def random_crops(tiles: Tensor, count: int, side: int, choices: int = 1) -> Tensor:
    """Random crops of tiles (N, 3, H, W) uint8, each in one of the eight orientations: (count, 3, side, side).

    Each is the one with the most detail of `choices` crops, of a random tile each: photographs are mostly smooth, and
    the errors of a denoiser are mostly where there is detail.
    """
    crops = []
    for indices in torch.randint(len(tiles), (count, choices)):
        crop = max((random_crop(tiles[index], side) for index in indices), key=measure_detail)
        crop = torch.rot90(crop, int(torch.randint(4, ())), (1, 2))
        crops.append(crop.flip(2) if torch.rand(()) < 0.5 else crop)
    return torch.stack(crops)


def random_crop(tile: Tensor, side: int) -> Tensor:
    """A random square (3, side, side) of a tile (3, H, W)."""
    top, left = (int(torch.randint(length - side + 1, ())) for length in tile.shape[1:])
    return tile[:, top : top + side, left : left + side]


def measure_detail(crop: Tensor) -> float:
    """The sum of absolute differences of neighbouring pixels of a crop (3, H, W) uint8, in green."""
    green = crop[1].short()
    return float((green[1:] - green[:-1]).abs_().sum() + (green[:, 1:] - green[:, :-1]).abs_().sum())


def add_training_noise(clean: Tensor, config: PhotoDenoiserConfig) -> tuple[Tensor, Tensor]:
    """The targets and their noisy versions, both (B, C, H, W), for clean crops (B, 3, H, W) in [0, 1].

    C is the network's number of channels. Gaussian noise of a level of its own in each image, independent in the
    channels of colour images and equal in those of grey ones; in some images the noise of a camera, and in some none.
    """
    is_grey = torch.rand(len(clean), 1, 1, 1) < config.grey_probability
    is_rounded = torch.rand(len(clean), 1, 1, 1) < config.clip_probability
    if config.network.channels == 1:
        is_grey[:] = True
    clean = torch.where(is_grey, to_grey(clean), clean)
    noise = torch.randn_like(clean)
    noise = torch.where(is_grey, noise[:, :1], noise)
    noisy = clean + config.sigma_max * torch.rand(len(clean), 1, 1, 1) * noise
    noisy = torch.where(is_rounded, (noisy.clamp(0, 1) * 255).round() / 255, noisy)
    kind = torch.rand(len(clean))
    from_camera = kind < config.camera_probability
    if from_camera.any():
        noisy[from_camera] = camera_noise(clean[from_camera])
    without = kind > 1 - config.clean_probability
    noisy[without] = clean[without]
    return (to_grey(clean), to_grey(noisy)) if config.network.channels == 1 else (clean, noisy)


def to_grey(images: Tensor) -> Tensor:
    """The luma (B, 1, H, W) of images (B, 3, H, W)."""
    return (images * GREY).sum(1, keepdim=True)


def cosine_factor(step: int, total: int, warmup_steps: int) -> float:
    """The learning-rate factor in (0, 1] of `step` of `total`: linear warm-up, and half a cosine towards 0."""
    return min(1.0, (step + 1) / (warmup_steps + 1)) * 0.5 * (1 + math.cos(math.pi * step / total))
