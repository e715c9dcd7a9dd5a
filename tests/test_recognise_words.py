"""Open vocabulary: a tiny model that the test builds, saves and loads from its folder alone."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from piavas.errors import CheckpointError, MaterialError
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
