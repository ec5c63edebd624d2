"""Small model folders with random weights, for tests of the service: an embedder, a reranker, a classifier."""
import os

from reference_encoder import ReferenceModel, write_json

# Vocabulary: WordPiece.
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "sat", "on", "the", "mat", "query", ":", "dog",
         "##s", "ran", "far", "away", ".", "b"]
LABELS = ["toxic", "obscene", "insult"]


def write_tokenizer(folder):
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(WORDS) + "\n")
    write_json(os.path.join(folder, "tokenizer_config.json"),
               {"tokenizer_class": "BertTokenizer", "do_lower_case": True})


def ids_of(text):
    """The tokens of a text of words of the vocabulary, with special tokens."""
    return [2, *[WORDS.index(word) for word in text.lower().split()], 3]


def make_models(root):
    """Writes ROOT/{tiny-embedder, tiny-reranker, acme/tiny-classifier}; returns their reference models."""
    common = {"vocabulary": len(WORDS), "positions": 32}
    models = {"tiny-embedder": ReferenceModel("bert", seed=31, **common),
              "tiny-reranker": ReferenceModel("bert", seed=32, labels=1, **common),
              "acme/tiny-classifier": ReferenceModel("bert", seed=33, labels=len(LABELS), **common)}
    for name, model in models.items():
        folder = os.path.join(root, name)
        os.makedirs(folder)
        if name == "acme/tiny-classifier":
            model.write(folder, problem_type="multi_label_classification", id2label=dict(enumerate(LABELS)),
                        label2id={label: i for i, label in enumerate(LABELS)})
        else:
            model.write(folder)
        write_tokenizer(folder)
    folder = os.path.join(root, "tiny-embedder")
    os.makedirs(os.path.join(folder, "1_Pooling"))
    modules = ["Transformer", "Pooling", "Normalize"]
    write_json(os.path.join(folder, "modules.json"),
               [{"idx": i, "name": str(i), "path": "" if i == 0 else f"{i}_{name}",
                 "type": f"sentence_transformers.models.{name}"} for i, name in enumerate(modules)])
    write_json(os.path.join(folder, "1_Pooling", "config.json"),
               {"pooling_mode_mean_tokens": True, "word_embedding_dimension": models["tiny-embedder"].hidden})
    write_json(os.path.join(folder, "config_sentence_transformers.json"),
               {"prompts": {"query": "query : "}, "default_prompt_name": None})
    return models
