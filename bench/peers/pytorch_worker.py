"""PyTorch as a peer: answers what worker.mjs describes, for BERT, MPNet and (XLM-)RoBERTa folders.

    pytorch_worker.py --model DIR --variant f32|int8

Needs torch and numpy only: the encoders are written here in torch.nn, as the published models
compute them, on the folder's model.safetensors. int8 is torch's quantize_dynamic of the linear
layers.
"""

import argparse
import json
import math
import os
import pathlib
import sys
import time

WARM_UP_S = 0.2
SAMPLES_MIN = 5
PATIENCE = 5  # after so many times `seconds`, fewer samples will do


def say(reply):
    print(json.dumps(reply), flush=True)


for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read when torch is loaded
try:
    import numpy
    import torch
    from torch import nn
except ImportError as error:
    say({"error": str(error)})
    sys.exit(1)

# The names of a layer's parts, ours to the file's.
BERT = {"query": "attention.self.query", "key": "attention.self.key",
        "value": "attention.self.value", "out": "attention.output.dense",
        "out_norm": "attention.output.LayerNorm", "up": "intermediate.dense",
        "down": "output.dense", "down_norm": "output.LayerNorm"}
MPNET = {**BERT, "query": "attention.attn.q", "key": "attention.attn.k",
         "value": "attention.attn.v", "out": "attention.attn.o",
         "out_norm": "attention.LayerNorm"}


class Weights:
    """The tensors of a safetensors file by name, without the model's own prefix."""

    def __init__(self, path):
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
        self.path, self.start = path, 8 + size
        header.pop("__metadata__", None)
        word = "embeddings.word_embeddings.weight"
        prefix = next(name for name in header if name.endswith(word))[:-len(word)]
        self.entries = {name[len(prefix):] if name.startswith(prefix) else name: entry
                        for name, entry in header.items()}

    def __contains__(self, name):
        return name in self.entries

    def tensor(self, name):
        entry = self.entries[name]
        if entry["dtype"] != "F32":
            raise ValueError(f"{name} is {entry['dtype']}, expected F32")
        begin, end = entry["data_offsets"]
        values = numpy.fromfile(self.path, "<f4", (end - begin) // 4, offset=self.start + begin)
        return torch.from_numpy(values.reshape(entry["shape"]))

    def fill(self, module, name):
        for part, _ in list(module.named_parameters()):
            values = nn.Parameter(self.tensor(f"{name}.{part}"), requires_grad=False)
            setattr(module, part, values)
        return module

    def linear(self, name):
        outputs, inputs = self.entries[name + ".weight"]["shape"]
        return self.fill(nn.utils.skip_init(nn.Linear, inputs, outputs), name)

    def norm(self, name, epsilon):
        return self.fill(nn.LayerNorm(self.entries[name + ".weight"]["shape"], eps=epsilon), name)


class Layer(nn.Module):
    def __init__(self, weights, name, names, heads, epsilon):
        super().__init__()
        self.heads = heads
        for part in ("query", "key", "value", "out", "up", "down"):
            setattr(self, part, weights.linear(f"{name}.{names[part]}"))
        for part in ("out_norm", "down_norm"):
            setattr(self, part, weights.norm(f"{name}.{names[part]}", epsilon))

    def forward(self, x, bias):
        def split(y):
            return y.view(*y.shape[:2], self.heads, -1).transpose(1, 2)

        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        if hasattr(nn.functional, "scaled_dot_product_attention"):  # torch 2
            y = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        else:
            scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
            y = torch.softmax(scores if bias is None else scores + bias, dim=-1) @ v
        x = self.out_norm(x + self.out(y.transpose(1, 2).reshape(x.shape)))
        return self.down_norm(x + self.down(nn.functional.gelu(self.up(x))))


class Encoder(nn.Module):
    """Last hidden states, or logits where the folder has a classifier."""

    def __init__(self, folder):
        super().__init__()
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = Weights(folder / "model.safetensors")
        family, epsilon = config["model_type"], config["layer_norm_eps"]
        self.pad = config["pad_token_id"]
        self.first = 0 if family == "bert" else self.pad + 1
        self.words = weights.tensor("embeddings.word_embeddings.weight")
        self.positions = weights.tensor("embeddings.position_embeddings.weight")
        if "embeddings.token_type_embeddings.weight" in weights:
            self.positions += weights.tensor("embeddings.token_type_embeddings.weight")[0]
        self.norm = weights.norm("embeddings.LayerNorm", epsilon)
        names = MPNET if family == "mpnet" else BERT
        self.layers = nn.ModuleList(
            Layer(weights, f"encoder.layer.{i}", names, config["num_attention_heads"], epsilon)
            for i in range(config["num_hidden_layers"]))
        self.distances = (weights.tensor("encoder.relative_attention_bias.weight")
                          if family == "mpnet" else None)
        self.head = ([weights.linear("classifier.dense"), weights.linear("classifier.out_proj")]
                     if "classifier.dense.weight" in weights else None)
        self.biases = {}

    def distance_bias(self, length):
        """MPNet's bias of a pair of positions: one per bucket of their distance, per head."""
        if length not in self.biases:
            half = self.distances.shape[0] // 2
            exact = half // 2
            at = torch.arange(length)
            ahead = at[None, :] - at[:, None]
            far = ahead.abs().clamp(min=1)
            steps = torch.log(far / exact) / math.log(128 / exact) * (half - exact)
            bucket = torch.where(far < exact, ahead.abs(),
                                 (exact + steps.long()).clamp(max=half - 1))
            bucket += half * (ahead > 0)
            self.biases[length] = self.distances[bucket].permute(2, 0, 1)[None].contiguous()
        return self.biases[length]

    def forward(self, ids, counts):
        """`counts` is None without padding, else true where a token counts."""
        length = ids.shape[1]
        x = self.norm(self.words[ids] + self.positions[self.first:self.first + length])
        bias = None if self.distances is None else self.distance_bias(length)
        if counts is not None:
            hidden = torch.zeros(counts.shape).masked_fill(~counts, -math.inf)[:, None, None, :]
            bias = hidden if bias is None else hidden + bias
        for layer in self.layers:
            x = layer(x, bias)
        if self.head is None:
            return x
        return self.head[1](torch.tanh(self.head[0](x[:, 0])))


class Work:
    def __init__(self, model, texts, way):
        self.model = model
        self.batches = [texts] if way == "batch" else [[text] for text in texts]
        self.inputs = [self.inputs_of(batch) for batch in self.batches]

    def inputs_of(self, texts):
        length = max(map(len, texts))
        ids = torch.tensor([text + [self.model.pad] * (length - len(text)) for text in texts])
        counts = torch.tensor([[i < len(text) for i in range(length)] for text in texts])
        return ids, None if counts.all() else counts

    def run(self):
        return [self.model(*inputs) for inputs in self.inputs]

    def vectors(self):
        found = []
        for texts, output in zip(self.batches, self.run()):
            for text, row in zip(texts, output):
                found.append((row if self.model.head else row[:len(text)].mean(0)).tolist())
        return found


def measure(run, seconds):
    end = time.perf_counter() + WARM_UP_S
    run()
    while time.perf_counter() < end:
        run()
    samples = []
    begin = time.perf_counter()
    while True:
        passed = time.perf_counter() - begin
        if passed >= seconds and (len(samples) >= SAMPLES_MIN or passed >= PATIENCE * seconds):
            break
        start = time.perf_counter()
        run()
        samples.append(1e6 * (time.perf_counter() - start))
    return {"median_us": sorted(samples)[len(samples) // 2], "samples": len(samples)}


def memory():
    lines = pathlib.Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {key: int(fields[name].split()[0]) * 1024 / 1e6
            for key, name in (("resident_mb", "VmRSS"), ("peak_mb", "VmHWM"))}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--variant", choices=("f32", "int8"), default="f32")
    options = parser.parse_args()
    if options.version:
        say({"version": torch.__version__})
        return
    torch.set_num_threads(1)
    model = Encoder(options.model).eval()
    if options.variant == "int8":
        torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8, inplace=True)
    say({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        work = Work(model, request["ids"], request["way"])
        reply = (measure(work.run, request["seconds"]) if request.get("seconds")
                 else {"vectors": work.vectors()})
        say({**reply, **memory()})


if __name__ == "__main__":
    try:
        with torch.inference_mode():
            main()
    except Exception as error:  # the asker reads lines, not tracebacks
        say({"error": str(error).split("\n", maxsplit=1)[0]})
        sys.exit(1)
