"""Names that other programs give our keys and values: a word that there is not here leads to the one that is meant.

lr=1e-3           training.learning_rate
sampler=ddpm      sampler=ancestral
data=cosine       schedule=cosine, a choice of another axis
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from ablations.settings.plugins.folders import files, own
from ablations.settings.plugins.packages import SHIPPED
from analysis.errors import InputError, nearest, plain, unknown

SYNONYMS = {
    "average": "weight_averaging",
    "average=raw": "none last no_ema",
    "average=tracked": "ema",
    "conditioning": "cond",
    "conditioning=class": "labels label class_cond class_conditional conditional classes num_classes",
    "conditioning.dropout": "p_uncond uncond_prob label_dropout class_dropout cfg_dropout",
    "conditioning=unconditional": "none uncond",
    "configs": "config config_dir config_path",
    "coupling=independent": "none random",
    "coupling=optimal": "ot minibatch_ot optimal_transport otcfm sinkhorn",
    "data": "dataset task",
    "data=arrow": "huggingface hf hub datasets",
    "data=cifar10": "cifar cifar100",
    "data=digits": "mnist",
    "data=fashion_mnist": "mnist fmnist",
    "data=folder": "imagefolder images custom own imagenet celeba ffhq lsun svhn mnist",
    "data=mixture2d": "toy 2d gaussians mixture gmm moons swiss_roll points",
    "data.root": "data_dir data_path data_root dataset_path path",
    "data.size": "image_size img_size resolution size",
    "device": "gpu gpus cuda accelerator",
    "device=cuda": "gpu cuda0 nvidia",
    "dry_run=true": "dryrun dry plan simulate",
    "evaluation.metrics": "metric fid kid scores",
    "evaluation.n": "num_samples n_samples fid_samples num_fid_samples",
    "first_seed": "random_seed random_state manual_seed",
    "grid": "config experiment sweep ablation",
    "guidance.scale": "cfg cfg_scale guidance_scale guidance_weight guidance_strength classifier_free_guidance",
    "horizon": "T steps num_timesteps diffusion_steps noise_steps num_train_timesteps n_timesteps total_timesteps",
    "journal": "resume resume_from checkpoint ckpt",
    "launcher=local": "multiprocessing joblib",
    "launcher=ray": "slurm submitit sbatch cluster kubernetes k8s ddp distributed torchrun accelerate dask pbs lsf",
    "launcher.workers": "num_workers n_jobs jobs parallel processes nproc nproc_per_node cpus",
    "name": "run_name exp_name experiment_name project title tag",
    "network": "model arch architecture backbone net denoiser",
    "network=dit": "transformer vit uvit sit diffusion_transformer",
    "network=unet": "adm ncsn cnn resnet convnet ddpm",
    "network.attention": "attention_resolutions attn_resolutions attn",
    "network.blocks": "num_res_blocks n_blocks layers_per_block",
    "network.channels": "dim base_channels model_channels num_channels hidden_dim n_channels ch",
    "network.depth": "num_layers n_layers",
    "network.dropout": "dropout_rate p_dropout",
    "network.heads": "num_heads n_heads num_attention_heads",
    "network.multipliers": "channel_mult ch_mult dim_mults channel_multipliers block_out_channels",
    "network.patch": "patch_size",
    "network.width": "hidden_size embed_dim hidden_dim",
    "objective": "loss criterion loss_type loss_fn",
    "objective=hybrid": "l_hybrid rescaled_mse",
    "objective=min_snr": "snr min_snr_gamma",
    "objective=simple": "mse l2 l_simple ddpm flow_matching cfm",
    "objective=vlb": "elbo nll kl vb l_vlb bound variational likelihood",
    "parameterization": "target prediction prediction_type pred predict predicts model_mean_type param",
    "parameterization=epsilon": "eps noise pred_noise score ddpm",
    "parameterization=mu": "mean previous_x posterior_mean",
    "parameterization=v": "v_prediction v_pred pred_v",
    "parameterization=velocity": "flow flow_matching rectified_flow fm vector_field",
    "parameterization=x0": "x_start pred_x0 sample start_x clean image denoised",
    "results": "out output out_dir output_dir save_dir log_dir workdir",
    "sampler": "solver sampling_method",
    "sampler=ancestral": "ddpm p_sample stochastic sde",
    "sampler=ddim": "deterministic euler ode plms",
    "sampler=dpm_solver": "dpm dpmpp dpm_solver_pp dpm_solver++ unipc 2m",
    "sampler=heun": "edm rk2 second_order",
    "sampler.eta": "eta ddim_eta",
    "sampler.steps": "steps nfe sampling_steps sample_steps inference_steps num_inference_steps ddim_steps",
    "schedule": "beta_schedule noise_schedule scheduler betas alphas",
    "schedule=cosine": "iddpm squaredcos_cap_v2 cos cosine_schedule improved_ddpm",
    "schedule=learned": "vdm neural",
    "schedule=linear": "ddpm linear_schedule scaled_linear vp",
    "schedule=log_snr_linear": "log_linear exponential ve",
    "schedule=rectified": "flow rectified_flow flow_matching fm straight linear_flow",
    "schedule.beta_1": "beta_start beta_min beta_0",
    "schedule.beta_T": "beta_end",
    "schedule.beta_max": "max_beta",
    "schedule.shift": "flow_shift time_shift",
    "seeds": "n_seeds num_seeds runs n_runs repeats replicates",
    "space=latents": "latent ldm vae vqvae autoencoder latent_diffusion stable_diffusion sd",
    "space=pixels": "pixel image images",
    "space.f": "downsampling downsampling_factor compression",
    "spacing=karras": "edm",
    "spacing=uniform": "linspace linear leading even",
    "study": "hpo optuna tune",
    "threads": "num_threads omp_num_threads torch_threads",
    "timesteps": "time_sampling t_sampler schedule_sampler",
    "timesteps=importance": "loss_second_moment loss_aware",
    "timesteps=logit_normal": "sd3 lognorm",
    "timesteps=log_normal": "edm",
    "timesteps=low_discrepancy": "antithetic vdm stratified",
    "tracking.uri": "wandb mlflow tensorboard tracker tracking logger log neptune comet mlflow_uri",
    "training.batch": "batch_size bs train_batch_size minibatch per_device_batch_size",
    "training.clip": "grad_clip gradient_clipping max_grad_norm clip_norm grad_norm",
    "training.ema": "ema ema_decay ema_rate",
    "training.flips": "flip horizontal_flip random_flip augment augmentation hflip",
    "training.learning_rate": "lr rate base_lr max_lr peak_lr step_size",
    "training.micro_batch": "grad_accum gradient_accumulation gradient_accumulation_steps accumulate",
    "training.optimizer": "optim opt adam adamw",
    "training.precision": "amp mixed_precision dtype",
    "training.precision=bf16": "bf16 fp16 half float16 bfloat16",
    "training.precision=float32": "fp32 single full",
    "training.rate": "lr_schedule lr_scheduler lr_decay",
    "training.steps": "epochs epoch steps iterations max_steps num_steps train_steps num_epochs max_epochs",
    "training.warmup": "warmup_steps lr_warmup warmup_iters",
    "training.weight_decay": "wd l2_penalty",
    "variance": "sigma var model_var_type sigmas",
    "variance=analytic": "analytic_dpm",
    "variance=beta": "fixed_large large upper ddpm",
    "variance=beta_tilde": "fixed_small small lower posterior",
    "variance=learned": "learned_range learned_sigma learn_sigma",
    "variance=learned_diagonal": "diagonal full",
}
"""A key, or a value of one → its names elsewhere. A word in several rows may mean any of them."""

NOTES = {
    "epochs": "a training is counted in steps, of training.batch examples each",
    "mnist": "MNIST itself is your own images in folders: data=folder data.root=DIR",
    "cifar100": "other images are your own, in folders: data=folder data.root=DIR",
    "resume": "a command that was stopped continues when it is given again",
    "slurm": "start Ray within the job, docs/scale.md shows how",
    "fid": "it is measured of all samples",
    "wandb": "runs go to MLflow, wherever tracking.uri says, and results to files",
}
"""Notes to be printed beside the keys that a word may mean."""

NUMBERS = {
    "guidance": "guidance.scale",
    "network": "network.channels",
    "sampler": "sampler.steps",
    "space": "space.f",
    "timesteps": "horizon",
    "training": "training.steps",
}
"""Axis → the key that is meant by a number given to the axis."""

MOST = 4
"""The most suggestions that are shown."""
NEAR = 0.85
"""The similarity at which a dotted key is taken to be the one that is meant."""


def no_such(kind: str, given: str, allowed: Iterable[str], *, group: str = "", more: Iterable[str] = ()) -> InputError:
    """The error that `given` is no `kind`, with what may be meant: a value or field of its `group`, else one of
    another. `more` are further dotted names, which are searched and not listed."""
    names, dotted = list(allowed), list(more)
    if group and (file := Path(given)).suffix in (".yaml", ".yml"):
        put = "" if file.stem in names else f", and let the file be {own() / group / file.stem}.yaml"
        return InputError(f"{group}={given}: {group} takes a name and no file: write {group}={file.stem}{put}")
    slips = get_close_matches(given, dotted, 1, NEAR) if "." in given else []
    number = [NUMBERS[group]] if group in NUMBERS and plain(given).isdecimal() else []
    here = (meant(given, group) or nearest(given, names)) if group else []
    elsewhere = [word for word in meant(given) if word != given]
    means = slips or number or here or elsewhere or nearest(given, [*names, *dotted])
    notes = [f"({NOTES[word]})" for word in NOTES if word == plain(given)]
    return unknown(kind, given, names, means, *notes)


def meant(word: str, group: str = "") -> list[str]:
    """The keys that a word stands for elsewhere, or else the values; with a group, only those of the group. A dotted
    word may be recognised by its last part, or by its first."""
    for form in (word, word.rpartition(".")[2], word.partition(".")[0]):
        if targets := _rows(form) or [f"{group}={form}" for group in groups() if form in files(group)]:
            if group:
                return [target for target in targets if target.startswith((f"{group}=", f"{group}."))][:MOST]
            return ([target for target in targets if "=" not in target] or targets)[:MOST]
    return []


def key_meant(word: str) -> str:
    """The key that a word stands for elsewhere, if there is exactly one; else the word itself."""
    keys = [target for target in _rows(word) if "=" not in target]
    return keys[0] if len(keys) == 1 else word


def _rows(word: str) -> list[str]:
    wanted = plain(word)
    return [
        target
        for target, names in SYNONYMS.items()
        if wanted in map(plain, names.split()) or ("." in target and wanted == plain(target.partition(".")[2]))
    ]


def groups() -> list[str]:
    """The axes, and the other things whose choices are files: grid, study, launcher."""
    return sorted(folder.name for folder in SHIPPED.iterdir() if folder.is_dir())
