"""Open vocabulary: a tiny model that the test builds, saves and loads from its folder alone."""

from __future__ import annotations

import itertools
import json
import os
import sys
from dataclasses import replace

import numpy as np
import pytest

from piavas.cli import main
from piavas.errors import CheckpointError, MaterialError, MissingDependencyError
from piavas.materials import assign, load_table, load_vocabulary
from piavas.materials.recognise import Recogniser, View
from piavas.materials.recognise.types import Room
from piavas.materials.recognition import SMALL
from piavas.materials.subdivide import subdivide

transformers = pytest.importorskip("transformers", reason="the extra vision is not installed")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """CLIP of one narrow layer, its words those of the vocabulary, weights at random."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPProcessor,
        PreTrainedTokenizerFast,
    )

    folder = tmp_path_factory.mktemp("clip")
    vocabulary = load_vocabulary(load_table())
    words = sorted({w for ps in vocabulary.prompts.values() for p in ps for w in p.split()})
    names = ["<pad>", "<unk>", "<end>", "photo", "of", ".", *words]
    ids = {w: k for k, w in enumerate(dict.fromkeys(names))}
    tokens = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    tokeniser = PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="<pad>", unk_token="<unk>", eos_token="<end>"
    )
    narrow = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
              "num_attention_heads": 2}  # fmt: skip
    config = CLIPConfig(
        text_config={**narrow, "vocab_size": len(ids), "max_position_embeddings": 16,
                     "eos_token_id": 2, "pad_token_id": 0, "bos_token_id": 1},
        vision_config={**narrow, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )  # fmt: skip
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    pictures = CLIPImageProcessor(size=size, crop_size=size)
    CLIPProcessor(pictures, tokeniser).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def words(tiny):
    from piavas.materials.recognise.vision import OpenVocabulary

    table = load_table()
    return OpenVocabulary.load(tiny, vocabulary=load_vocabulary(table), table=table)


def test_every_row_has_its_direction(words):
    assert isinstance(words, Recogniser)
    assert words.rows == tuple(load_table())
    np.testing.assert_allclose(np.linalg.norm(words.words, axis=1), 1)


def test_probabilities_are_the_softmax_of_cosines(words, visit):
    """Against the model's own logits of one piece of a picture and one sentence a row."""
    import torch

    mesh, capture = visit
    cut = subdivide(mesh.vertices, mesh.faces, SMALL)
    room = Room.of(cut.vertices, cut.faces)
    guess = words.recognise(View(capture.frames[0], room))
    np.testing.assert_allclose(guess.probability.sum(axis=1), 1)
    grey = np.full((32, 32, 3), 128, np.uint8)  # every piece of this capture is grey
    texts = [f"a photo of {p}." for p in load_vocabulary(load_table()).prompts["brick"]]
    inputs = words.processor(
        text=texts, images=grey, padding="max_length", max_length=16, return_tensors="pt"
    )
    with torch.no_grad():
        out = words.model(**inputs)
    text = out.text_embeds.double().numpy().mean(axis=0)
    cosine = out.image_embeds.double().numpy()[0] @ text / np.linalg.norm(text)
    own = words._pictures([grey])[0] @ words.words[words.rows.index("brick")]
    assert own == pytest.approx(cosine, abs=1e-5)
    ratio = guess.probability[0] / guess.probability[0, 0]
    logits = words.scale * (words._pictures([grey])[0] @ words.words.T)
    np.testing.assert_allclose(ratio, np.exp(logits - logits[0]), rtol=1e-3)


def test_a_scene_follows(words, visit):
    mesh, capture = visit
    found = assign(mesh, capture, by=words)
    assert found.scene.report["materials"]["path"] == "open vocabulary"
    assert found.recognition.seen.any()


@pytest.fixture(scope="module")
def sam(tmp_path_factory):
    """SAM of one narrow layer, weights at random."""
    import torch
    from transformers import SamConfig, SamImageProcessor, SamModel

    folder = tmp_path_factory.mktemp("sam")
    narrow = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_dim": 16}
    config = SamConfig(
        vision_config={**narrow, "image_size": 64, "patch_size": 16, "output_channels": 16,
                       "window_size": 2, "global_attn_indexes": [0], "num_pos_feats": 8},
        prompt_encoder_config={"hidden_size": 16, "image_size": 64, "patch_size": 16,
                               "mask_input_channels": 4},
        mask_decoder_config={**narrow, "iou_head_hidden_dim": 16, "num_hidden_layers": 1},
    )  # fmt: skip
    torch.manual_seed(0)
    SamModel(config).save_pretrained(folder)
    size = {"longest_edge": 64}
    pad = {"height": 64, "width": 64}
    SamImageProcessor(size=size, pad_size=pad).save_pretrained(folder)
    return folder


def test_a_model_may_cut_pictures_into_things(tiny, sam, visit):
    """A model of random weights: masks of it, and superpixels where it is sure of nothing."""
    from piavas.materials.recognise.segments import Masks, superpixels
    from piavas.materials.recognise.vision import OpenVocabulary

    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    masks = Masks.load(sam)
    np.testing.assert_array_equal(replace(masks, sure=2.0)(image), superpixels(image))
    index = replace(masks, sure=-1e9, steady=-1.0)(image)
    assert index.shape == (48, 64)
    np.testing.assert_array_equal(np.unique(index), np.arange(index.max() + 1))
    assert (index != superpixels(image)).any()
    table, (mesh, capture) = load_table(), visit
    words = OpenVocabulary.load(tiny, vocabulary=load_vocabulary(table), table=table, segments=sam)
    cut = subdivide(mesh.vertices, mesh.faces, SMALL)
    guess = words.recognise(View(capture.frames[0], Room.of(cut.vertices, cut.faces)))
    assert len(guess.probability) == guess.segment.max() + 1


def test_small_things_lie_before_large_ones(monkeypatch):
    """Two squares in a third, superpixels around them."""
    from piavas.materials.recognise.segments import Masks, superpixels

    masks = np.zeros((3, 60, 80), bool)
    masks[0, 10:50, 10:70] = True
    masks[1, 20:40, 20:30] = masks[2, 20:40, 40:60] = True
    image = np.full((60, 80, 3), 128, np.uint8)
    monkeypatch.setattr(Masks, "masks", lambda *_: list(masks[[1, 0, 2]]))
    index = Masks(None, None)(image)
    large = masks[0] & ~masks[1] & ~masks[2]
    for mask in (large, masks[1], masks[2]):
        assert (index == index[mask][0]).sum() == mask.sum()
    outside = [len(np.unique(kind[~masks[0]])) for kind in (index, superpixels(image))]
    assert outside[0] == outside[1] > 1


def test_masks_lie_where_the_model_found_them():
    """A stand-in for the model: a square of 16 of its pixels around each point, if it is sure."""
    from types import SimpleNamespace

    import torch

    from piavas.materials.recognise.segments import Masks

    def model(image_embeddings, input_points):
        at = input_points[0, :, 0] / 2
        v, u = torch.meshgrid(*2 * [torch.arange(32) + 0.5], indexing="ij")
        far = torch.maximum((u - at[:, :1, None]).abs(), (v - at[:, 1:, None]).abs())
        near = (at - torch.tensor([13.0, 11.25])).abs().amax(dim=1) < 0.1
        score = torch.where(near | (at[:, 0] < 2), 0.9, 0.1)
        score[at[:, 0] < 2] -= 0.01 * at[at[:, 0] < 2, 1] / 32
        mask = 40 * (8 - far)
        return SimpleNamespace(iou_scores=score[None, :, None], pred_masks=mask[None, :, None])

    model.get_image_embeddings = lambda pixels: None
    ready = {"reshaped_input_sizes": torch.tensor([[48, 64]]), "pixel_values": None}
    found = Masks(model, lambda **_: ready).masks(np.zeros((96, 128, 3), np.uint8))
    # The surest one first: the model's pixels are four of the picture's.
    rows, columns = np.nonzero(found[0])
    assert (rows.min(), rows.max()) == pytest.approx((4 * 3.25, 4 * 19.25 - 1), abs=2)
    assert (columns.min(), columns.max()) == pytest.approx((4 * 5, 4 * 21 - 1), abs=2)
    assert found[0].sum() >= 0.98 * (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    # Points of one column 1.5 of its pixels apart are mostly of one thing.
    assert 3 <= len(found) <= 1 + 16 / 2
    for a, b in itertools.combinations(found, 2):
        assert (a & b).sum() < 0.7 * (a | b).sum()


def test_segments_that_cannot_be_are_refused(tiny, tmp_path, capsys, monkeypatch):
    from piavas.materials.recognise.segments import Masks

    with pytest.raises(CheckpointError, match="cannot be loaded"):
        Masks.load(tiny)  # knows words, makes no masks
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        Masks.load(tmp_path)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match="vision"):
        Masks.load(tiny)
    argv = ["materials", "room", "--mesh", "mesh.ply", "--out", str(tmp_path / "scene")]
    assert main([*argv, "--segments", "facebook/sam-vit-base"]) == 2
    assert "--by open-vocabulary" in capsys.readouterr().err


def test_models_that_are_none_are_refused(tmp_path, tiny):
    from piavas.materials.recognise.vision import OpenVocabulary

    table = load_table()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        OpenVocabulary.load(tmp_path, vocabulary=load_vocabulary(table), table=table)


def test_vocabularies_of_users_are_checked(tmp_path):
    path = tmp_path / "words.json"
    table = load_table()
    row = {"prompts": ["a brick"], "places": ["wall"]}
    path.write_text(json.dumps({"format": "piavas-vocabulary-1", "rows": {"brick": row}}))
    assert load_vocabulary(table, path).prompts == {"brick": ("a brick",)}
    for name, spoiled, message in (
        ("brik", row, "did you mean 'brick'"),
        ("brick", {**row, "places": ["cellar"]}, "places"),
        ("brick", {"places": ["wall"]}, "prompts"),
    ):
        path.write_text(json.dumps({"format": "piavas-vocabulary-1", "rows": {name: spoiled}}))
        with pytest.raises(MaterialError, match=message) as caught:
            load_vocabulary(table, path)
        assert caught.value.file == os.fspath(path)


def test_every_row_of_the_table_has_words():
    table = load_table()
    assert set(load_vocabulary(table).prompts) == set(table)
