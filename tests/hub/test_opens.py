"""A pulled folder is opened as it is by the programs that people have, however it is linked."""

from pathlib import Path

import pytest

from modelhub.errors import InvalidInput

MODES = ["hardlink", "symlink", "reflink", "copy"]
PIPELINE, GGUF = "zoo/tiny-ddpm", "zoo/tiny-chat-GGUF"


def pulled(hub, name, mode):
    """A snapshot whose large files are linked so."""
    try:
        made = hub.pull(name, link_mode=mode)
    except InvalidInput as error:
        assert mode == "reflink"
        assert not hub.store.capabilities.reflink
        pytest.skip(error.message)
    assert {file.link for file in made.files if file.size >= 65_536} == {mode}
    return made


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Path:
    """A pipeline with random weights, as its own library saves it."""
    pytest.importorskip("torch", reason="no PyTorch for this Python")
    diffusers = pytest.importorskip("diffusers", reason="no diffusers")
    import torch

    torch.manual_seed(7)
    unet = diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(32, 32),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    folder = tmp_path_factory.mktemp("ddpm")
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler(num_train_timesteps=10)).save_pretrained(folder)
    # Of what makes images of nothing no task is known, so that the card has to name one.
    (folder / "README.md").write_text("---\npipeline_tag: text-to-image\n---\n")
    return folder


@pytest.mark.parametrize("mode", MODES)
def test_diffusers(make_hub, server, pipeline, mode):
    import torch
    from diffusers import DDPMPipeline, DiffusionPipeline

    server.add(PIPELINE, pipeline)
    path = pulled(make_hub(), PIPELINE, mode).path
    opened = DiffusionPipeline.from_pretrained(path, local_files_only=True)
    assert isinstance(opened, DDPMPipeline)
    original = DiffusionPipeline.from_pretrained(pipeline, local_files_only=True).unet.state_dict()
    weights = opened.unet.state_dict()
    assert weights.keys() == original.keys()
    assert all(torch.equal(weights[name], original[name]) for name in weights)
    image = opened(num_inference_steps=2, output_type="np", generator=torch.manual_seed(0)).images
    assert image.shape == (1, 8, 8, 3)


@pytest.mark.parametrize("mode", MODES)
def test_llama_cpp(make_hub, mode):
    llama_cpp = pytest.importorskip("llama_cpp", reason="no llama-cpp-python")
    (path,) = pulled(make_hub(), GGUF, mode).path.glob("*.gguf")
    model = llama_cpp.Llama(str(path), n_ctx=64, verbose=False)
    try:
        assert model.create_completion("The", max_tokens=2)["choices"][0]["text"]
    finally:
        model.close()


@pytest.mark.parametrize("mode", MODES)
def test_llama_server(make_hub, mode):
    xllamacpp = pytest.importorskip("xllamacpp", reason="no xllamacpp")
    (path,) = pulled(make_hub(), GGUF, mode).path.glob("*.gguf")
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_gpu_layers = 64, 0
    params.cpuparams.n_threads = 1
    answer = xllamacpp.Server(params).handle_completions({"prompt": "The", "max_tokens": 2})
    assert answer["choices"][0]["text"]
