"""Wan2.1 T2V 1.3B in both layouts, as two public repositories have it.

Evidence, of 28 November 2026 where nothing else is said:

- paths, sizes and sha256 of `Wan-AI/Wan2.1-T2V-1.3B-Diffusers` at 0fad780a (all 19 files that its
  pipeline needs) and of `Wan-AI/Wan2.1-T2V-1.3B` at 37ec5126 (the ten that a loader needs; its pictures
  and examples are left out): manifests pinned to these commits that are public on GitHub;
- the five small files in `CONTENT` were rebuilt field by field, and their sha256 are those of the manifests;
- that the weights are FP32, and what the cards say: the repositories' pages, of 23 November 2026.

Reconstructed: what the shard indexes, the scheduler's and the tokenizer's configurations hold, and how
many elements each weight file's header counts (as many as fit into its size, not its own number).
"""

import json
from typing import Any

from modelhub.facts import RepoFile, RepoId, RepoListing
from modelhub.refs import Digest, RepoPath

DIFFUSERS = """
model_index.json 400 b8b28e022329acf975e027579a1d2dc3de44dba28f4c909b98a880fbf5b0de7d
scheduler/scheduler_config.json 751 3fed2abbd9bbc301a74db01947198057ec5049808910dccab320925bf27bea6e
text_encoder/config.json 854 4087b6192155a4643f6d29fd326c4610103130674011ef4d0a53f8bce5de967d
text_encoder/model-00001-of-00005.safetensors 4972389712 c0ef3a140898e228a3520c9adec60743d2e8e5b3d229651bb37f1a3921919f99
text_encoder/model-00002-of-00005.safetensors 4899225672 481c7b2b39771c44df6dd8d13ee12ed072d731b4a650bd092885d4d52db229ad
text_encoder/model-00003-of-00005.safetensors 4966309504 f93148bcc04052a169e1e49bfcf6125df6cf9bf243cb9c627da75266cf8e35c3
text_encoder/model-00004-of-00005.safetensors 4999880704 a451792c739c05bca4606190cc2dd16731411bac03b4cf6aacc5767321f857c9
text_encoder/model-00005-of-00005.safetensors 2885866152 7e76e18d224531b8197a46231cb53daf7f2f6ca707130252becf933026ac4eea
text_encoder/model.safetensors.index.json 22476 8af791f24a6447aa30c95786f40adf23d3c9df97470d2f36159c8f1113f120b4
tokenizer/special_tokens_map.json 7079 456b58fd240a06c743a7c2cf8008bec501240d68ebd1fc4018ea569505fea270
tokenizer/spiece.model 4548313 e3909a67b780650b35cf529ac782ad2b6b26e6d1f849d3fbb6a872905f452458
tokenizer/tokenizer.json 16837459 20a46ac256746594ed7e1e3ef733b83fbc5a6f0922aa7480eda961743de080ef
tokenizer/tokenizer_config.json 61758 1d8d2a216bf8e70ac15b7ddcea566c4dd0433c024b39a58ca5e4c66bd78defbd
transformer/config.json 465 0b093fa072e9ff28763febe9b964ee582f566733a6d6709deb9dfba1bde16b81
transformer/diffusion_pytorch_model-00001-of-00002.safetensors 4998781576 6d011927dbd2cc8afe53d57abab04a8fd86f615d83324770d985fb058ece3a24
transformer/diffusion_pytorch_model-00002-of-00002.safetensors 677289072 b92ec2309b1f239af6f746431815a881afcc938abb26a4f08d9a2fd6c892f872
transformer/diffusion_pytorch_model.safetensors.index.json 73296 dcbcf3497134a3f50557ff069dd7d2c84b5c4d8c5932472f6bdb780fb4016589
vae/config.json 724 f0c1cc1d7decb5badc384f54691746a27a9aeff49f7ebca974e583389342d527
vae/diffusion_pytorch_model.safetensors 507591892 d6e524b3fffede1787a74e81b30976dce5400c4439ba64222168e607ed19e793
"""

ORIGINAL = """
LICENSE.txt 11357 c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4
README.md 16913 d19fb6c377090790940f64af3423c87d289abc9fdee4d45963018e18e5d84119
config.json 249 ab37994c43740513f94b3ba6233a784035a67b43c8cde83c8f31aa90468c67ce
Wan2.1_VAE.pth 507609880 38071ab59bd94681c686fa51d75a1968f64e470262043be31f7a094e442fd981
diffusion_pytorch_model.safetensors 5676070424 96b6b242ca1c2f24e9d02cd6596066fab6d310e2d7538f33ae267cb18d957e8f
models_t5_umt5-xxl-enc-bf16.pth 11361920418 7cace0da2b446bbbbc57d031ab6cf163a3d59b366da94e5afe36745b746fd81d
google/umt5-xxl/special_tokens_map.json 6623 7b8a9f5040adb67b5805abdfd42c1f8d0f3d0e711f10726580eb3789cd0ad61d
google/umt5-xxl/spiece.model 4548313 e3909a67b780650b35cf529ac782ad2b6b26e6d1f849d3fbb6a872905f452458
google/umt5-xxl/tokenizer.json 16837417 6e197b4d3dbd71da14b4eb255f4fa91c9c1f2068b20a2de2472967ca3d22602b
google/umt5-xxl/tokenizer_config.json 61728 ed9a3a8b0faa71a70a32847e0435fe036e6e112d4df4edb7bb48a921e344dc05
"""

_INDEX = {
    "_class_name": "WanPipeline",
    "_diffusers_version": "0.33.0.dev0",
    "scheduler": ["diffusers", "UniPCMultistepScheduler"],
    "text_encoder": ["transformers", "UMT5EncoderModel"],
    "tokenizer": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "WanTransformer3DModel"],
    "vae": ["diffusers", "AutoencoderKLWan"],
}
_TEXT_ENCODER = {
    "_name_or_path": "google/umt5-xxl",
    "architectures": ["UMT5EncoderModel"],
    "classifier_dropout": 0.0,
    "d_ff": 10240,
    "d_kv": 64,
    "d_model": 4096,
    "decoder_start_token_id": 0,
    "dense_act_fn": "gelu_new",
    "dropout_rate": 0.1,
    "eos_token_id": 1,
    "feed_forward_proj": "gated-gelu",
    "initializer_factor": 1.0,
    "is_encoder_decoder": True,
    "is_gated_act": True,
    "layer_norm_epsilon": 1e-06,
    "model_type": "umt5",
    "num_decoder_layers": 24,
    "num_heads": 64,
    "num_layers": 24,
    "output_past": True,
    "pad_token_id": 0,
    "relative_attention_max_distance": 128,
    "relative_attention_num_buckets": 32,
    "scalable_attention": True,
    "tie_word_embeddings": False,
    "tokenizer_class": "T5Tokenizer",
    "torch_dtype": "float32",
    "transformers_version": "4.48.0.dev0",
    "use_cache": True,
    "vocab_size": 256384,
}
_TRANSFORMER = {
    "_class_name": "WanTransformer3DModel",
    "_diffusers_version": "0.33.0.dev0",
    "added_kv_proj_dim": None,
    "attention_head_dim": 128,
    "cross_attn_norm": True,
    "eps": 1e-06,
    "ffn_dim": 8960,
    "freq_dim": 256,
    "image_dim": None,
    "in_channels": 16,
    "num_attention_heads": 12,
    "num_layers": 30,
    "out_channels": 16,
    "patch_size": [1, 2, 2],
    "qk_norm": "rms_norm_across_heads",
    "rope_max_seq_len": 1024,
    "text_dim": 4096,
}
# fmt: off
_VAE = {
    "_class_name": "AutoencoderKLWan",
    "_diffusers_version": "0.33.0.dev0",
    "attn_scales": [],
    "base_dim": 96,
    "dim_mult": [1, 2, 4, 4],
    "dropout": 0.0,
    "latents_mean": [
        -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
        0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
    ],
    "latents_std": [
        2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
        3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.916,
    ],
    "num_res_blocks": 2,
    "temperal_downsample": [False, True, True],
    "z_dim": 16,
}
# fmt: on
_ORIGINAL_CONFIG = {
    "_class_name": "WanModel",
    "_diffusers_version": "0.30.0",
    "dim": 1536,
    "eps": 1e-06,
    "ffn_dim": 8960,
    "freq_dim": 256,
    "in_dim": 16,
    "model_type": "t2v",
    "num_heads": 12,
    "num_layers": 30,
    "out_dim": 16,
    "text_len": 512,
}


def _saved(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


CONTENT = {
    "model_index.json": _saved(_INDEX),
    "text_encoder/config.json": _saved(_TEXT_ENCODER),
    "transformer/config.json": _saved(_TRANSFORMER),
    "vae/config.json": _saved(_VAE),
    "config.json": _saved(_ORIGINAL_CONFIG),
}


def wan(name: str, commit: str, files: str) -> RepoListing:
    """One of the two, as its source lists it."""
    rows = [line.split() for line in files.split("\n") if line]
    return RepoListing(
        repo=RepoId(source="huggingface", vendor="Wan-AI", name=name),
        commit=commit,
        revision="main",
        files=tuple(
            RepoFile(path=RepoPath(path), size=int(size), sha256=Digest(sha256))
            for path, size, sha256 in rows
        ),
        source_uri=f"https://huggingface.co/Wan-AI/{name}",
        tags=("diffusers", "safetensors", "text-to-video"),
        pipeline_tag="text-to-video",
        library_name="diffusers",
        license="apache-2.0",
    )


WAN_DIFFUSERS = wan("Wan2.1-T2V-1.3B-Diffusers", "0fad780a534b6463e45facd96134c9f345acfa5b", DIFFUSERS)
WAN_ORIGINAL = wan("Wan2.1-T2V-1.3B", "37ec512624d61f7aa208f7ea8140a131f93afc9a", ORIGINAL)
