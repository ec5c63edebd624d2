"""A second implementation of the encoders, in float64 NumPy loops over one sequence at a time, and a writer
of small random model folders for it. What the engine computes is compared with this."""
import json
import math
import os
import struct

import numpy as np

NAMES = {
    "bert": ("encoder.layer.{}.", "attention.self.query", "attention.self.key", "attention.self.value",
             "attention.output.dense", "attention.output.LayerNorm", "intermediate.dense", "output.dense",
             "output.LayerNorm"),
    "mpnet": ("encoder.layer.{}.", "attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o",
              "attention.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"),
    "distilbert": ("transformer.layer.{}.", "attention.q_lin", "attention.k_lin", "attention.v_lin",
                   "attention.out_lin", "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"),
}
NAMES["roberta"] = NAMES["xlm-roberta"] = NAMES["bert"]
CLASS_NAMES = {"bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta", "mpnet": "MPNet",
               "distilbert": "DistilBert"}
PREFIX = {"bert": "bert.", "roberta": "roberta.", "xlm-roberta": "roberta.", "mpnet": "mpnet.",
          "distilbert": "distilbert."}


def write_safetensors(path, tensors):
    """Tensors are float32 arrays, or uint16 arrays holding BF16."""
    header, data = {}, b""
    for name, array in tensors.items():
        raw = np.ascontiguousarray(array).tobytes()
        kind = {"float32": "F32", "float16": "F16", "uint16": "BF16", "int64": "I64"}[array.dtype.name]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def write_json(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)


def gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def layer_norm(x, gamma, beta, eps):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + eps) * gamma + beta


def bucket(distance):
    """MPNet: 32 buckets, half of them for keys after the query, logarithmic from 8 to 128."""
    side, n = (16, distance) if distance > 0 else (0, -distance)
    if n < 8:
        return side + n
    step = 0
    while step < 7 and n * n >= 64 * 2 ** (step + 1):   # (n / 8) ** 8 >= 16 ** step
        step += 1
    return side + 8 + step


class ReferenceModel:
    """A random model of `kind` with `labels` > 0 for a classifier."""

    def __init__(self, kind, seed=1, hidden=20, heads=2, layers=2, ffn=37, vocabulary=50, positions=40, labels=0,
                 eps=1e-5):
        self.kind, self.hidden, self.heads, self.layers, self.ffn = kind, hidden, heads, layers, ffn
        self.vocabulary, self.positions, self.labels = vocabulary, positions, labels
        self.eps = 1e-12 if kind == "distilbert" else eps
        self.after_pad = kind in ("roberta", "xlm-roberta", "mpnet")
        self.pad = 1 if self.after_pad else 0
        self.types = {"bert": 2, "roberta": 1, "xlm-roberta": 1}.get(kind, 0)
        self.longest = positions - (self.pad + 1 if self.after_pad else 0)
        self.prefix = PREFIX[kind] if labels else ""
        random = np.random.RandomState(seed)
        self.tensors = {}

        def add(name, *shape, scale=0.3, mean=0.0):
            self.tensors[name] = (random.standard_normal(shape) * scale + mean).astype(np.float32)

        def linear(name, columns, inputs):
            add(name + ".weight", columns, inputs, scale=1.3 / inputs**0.5)
            add(name + ".bias", columns)

        def norm(name):
            add(name + ".weight", hidden, mean=1.0)
            add(name + ".bias", hidden)

        p, n = self.prefix, NAMES[kind]
        add(p + "embeddings.word_embeddings.weight", vocabulary, hidden, scale=1.0)
        add(p + "embeddings.position_embeddings.weight", positions, hidden)
        if self.types:
            add(p + "embeddings.token_type_embeddings.weight", self.types, hidden)
        norm(p + "embeddings.LayerNorm")
        for i in range(layers):
            at = p + n[0].format(i)
            for part in n[1:5]:
                linear(at + part, hidden, hidden)
            norm(at + n[5])
            linear(at + n[6], ffn, hidden)
            linear(at + n[7], hidden, ffn)
            norm(at + n[8])
        if kind == "mpnet":
            add(p + "encoder.relative_attention_bias.weight", 32, heads, scale=1.0)
        if labels:
            inner, outer = {"bert": (p + "pooler.dense", "classifier"),
                            "distilbert": ("pre_classifier", "classifier")}.get(
                                kind, ("classifier.dense", "classifier.out_proj"))
            linear(inner, hidden, hidden)
            linear(outer, labels, hidden)
            self.head = inner, outer

    def config(self, **more):
        kind = CLASS_NAMES[self.kind] + ("ForSequenceClassification" if self.labels else "Model")
        config = {"architectures": [kind], "model_type": self.kind, "vocab_size": self.vocabulary,
                  "max_position_embeddings": self.positions, "pad_token_id": self.pad}
        if self.kind == "distilbert":
            config.update(dim=self.hidden, n_layers=self.layers, n_heads=self.heads, hidden_dim=self.ffn,
                          activation="gelu")
        else:
            config.update(hidden_size=self.hidden, num_hidden_layers=self.layers, num_attention_heads=self.heads,
                          intermediate_size=self.ffn, hidden_act="gelu", layer_norm_eps=self.eps,
                          type_vocab_size=max(self.types, 1))
        if self.labels:
            config["id2label"] = {str(i): f"L{i}" for i in range(self.labels)}
        config.update(more)
        return config

    def write(self, folder, tensors=None, **config):
        os.makedirs(folder, exist_ok=True)
        write_json(os.path.join(folder, "config.json"), self.config(**config))
        write_safetensors(os.path.join(folder, "model.safetensors"), tensors or self.tensors)
        return folder

    def get(self, name):
        return self.tensors[name].astype(np.float64)

    def linear(self, x, name):
        return x @ self.get(name + ".weight").T + self.get(name + ".bias")

    def norm(self, x, name):
        return layer_norm(x, self.get(name + ".weight"), self.get(name + ".bias"), self.eps)

    def encode(self, ids, types=None):
        """ids [n] -> last hidden state [n, hidden]"""
        p, n = self.prefix, NAMES[self.kind]
        positions, counted = [], 0
        for i, token in enumerate(ids):
            if not self.after_pad:
                positions.append(i)
            elif token == self.pad:
                positions.append(self.pad)
            else:
                counted += 1
                positions.append(self.pad + counted)
        x = self.get(p + "embeddings.word_embeddings.weight")[ids]
        x = x + self.get(p + "embeddings.position_embeddings.weight")[positions]
        if self.types:
            x = x + self.get(p + "embeddings.token_type_embeddings.weight")[types or [0] * len(ids)]
        x = self.norm(x, p + "embeddings.LayerNorm")
        size = self.hidden // self.heads
        for i in range(self.layers):
            at = p + n[0].format(i)
            q, k, v = (self.linear(x, at + part) for part in n[1:4])
            mixed = np.zeros_like(x)
            for h in range(self.heads):
                cut = slice(h * size, (h + 1) * size)
                scores = q[:, cut] @ k[:, cut].T / math.sqrt(size)
                if self.kind == "mpnet":
                    table = self.get(p + "encoder.relative_attention_bias.weight")
                    scores = scores + np.array([[table[bucket(b - a), h] for b in range(len(ids))]
                                                for a in range(len(ids))])
                weights = np.exp(scores - scores.max(-1, keepdims=True))
                mixed[:, cut] = weights / weights.sum(-1, keepdims=True) @ v[:, cut]
            x = self.norm(x + self.linear(mixed, at + n[4]), at + n[5])
            x = self.norm(x + self.linear(gelu(self.linear(x, at + n[6])), at + n[7]), at + n[8])
        return x

    def logits(self, ids, types=None):
        inner = self.linear(self.encode(ids, types)[0], self.head[0])
        inner = np.maximum(inner, 0) if self.kind == "distilbert" else np.tanh(inner)
        return self.linear(inner, self.head[1])


def pool(rows, mode, skip=0):
    """sentence-transformers' pooling modes over rows [n, hidden]; `skip` leading rows are the prompt's."""
    used = rows[skip:]
    if mode == "cls":
        return rows[0]
    if mode == "max":
        return used.max(0)
    if mode == "mean":
        return used.mean(0)
    if mode == "mean_sqrt_len":
        return used.sum(0) / math.sqrt(len(used))
    if mode == "weightedmean":
        weights = np.arange(skip + 1, len(rows) + 1)[:, None]
        return (used * weights).sum(0) / weights.sum()
    if mode == "lasttoken":
        return rows[-1]
    raise ValueError(mode)


def unit(vector):
    return vector / np.linalg.norm(vector)
