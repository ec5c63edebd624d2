#!/usr/bin/env node
// How far our int8 and ONNX Runtime's are from the exact output, row by row.
//   node onnxruntime_parity.mjs [--garrison ../../build/garrison] [--dtype int8]
//        [--peer-file model_int8.onnx] [--batched] [--json] DIR...
// DIR is a model folder with onnx/model_int8.onnx, expected.json and expected.safetensors: float64 outputs of
// batches of token ids, `last_hidden_state`, `sentence_embedding` or `logits` of each. A row's figure is the
// cosine with what is expected, for a single logit the absolute difference. ONNX Runtime gets every row alone,
// with --batched the batch, padded. Without VNNI its 8-bit products saturate where weights take all 8 bits; with
// --dtype f32 --peer-file model.onnx both must be 1: that checks this script.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

const MARGIN = 1e-4;  // ours is worse only from here on

const { values: options, positionals: folders } = parseArgs({
  allowPositionals: true,
  options: {
    garrison: { type: 'string', default: '../../build/garrison' },
    dtype: { type: 'string', default: 'int8' },
    'peer-file': { type: 'string', default: 'model_int8.onnx' },
    batched: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
if (folders.length === 0) {
  console.error('usage: onnxruntime_parity.mjs [--garrison BINARY] [--dtype D] [--peer-file FILE] [--batched] '
    + '[--json] DIR...');
  process.exit(2);
}
const ort = createRequire(import.meta.url)('onnxruntime-node');
const readJson = (...parts) => JSON.parse(fs.readFileSync(path.join(...parts), 'utf8'));

/** The F64 tensors of a safetensors file: name -> {shape, data}. */
function readDoubles(file) {
  const bytes = fs.readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const tensors = {};
  for (const [name, entry] of Object.entries(JSON.parse(bytes.subarray(8, start).toString()))) {
    if (entry.dtype !== 'F64') continue;
    const [begin, end] = entry.data_offsets;
    const aligned = Uint8Array.from(bytes.subarray(start + begin, start + end));
    tensors[name] = { shape: entry.shape, data: new Float64Array(aligned.buffer) };
  }
  return tensors;
}

/** First token or mean of hidden[row], [tokens, width] of which the first `length` count. */
function pool(hidden, row, tokens, width, length, cls) {
  const out = new Float64Array(width);
  const used = cls ? 1 : length;
  for (let t = 0; t < used; ++t) {
    for (let i = 0; i < width; ++i) out[i] += hidden[(row * tokens + t) * width + i] / used;
  }
  return out;
}

/** 0 is perfect: 1 - cosine, or the difference of single numbers. */
function distance(found, wanted) {
  if (found.length !== wanted.length) throw new Error(`${found.length} numbers instead of ${wanted.length}`);
  if (wanted.length === 1) return Math.abs(found[0] - wanted[0]);
  let dot = 0, a = 0, b = 0;
  for (let i = 0; i < wanted.length; ++i) {
    dot += found[i] * wanted[i];
    a += found[i] ** 2;
    b += wanted[i] ** 2;
  }
  return 1 - dot / Math.sqrt(a * b);
}

/** [{ids, types, wanted}] of all cases, in order, and the cases they belong to. */
function readRows(folder, head, cls) {
  const expected = readJson(folder, 'expected.json');
  const arrays = readDoubles(path.join(folder, expected.arrays));
  const rows = [];
  for (const { inputs, outputs, lengths } of expected.cases) {
    const name = head ? 'logits' : 'sentence_embedding' in outputs ? 'sentence_embedding' : 'last_hidden_state';
    const { data, shape } = arrays[outputs[name].array];
    const width = shape.at(-1);
    lengths.forEach((length, row) => rows.push({
      batch: inputs, row, length,
      ids: inputs.input_ids[row].slice(0, length),
      types: inputs.token_type_ids?.[row].slice(0, length),
      wanted: name === 'last_hidden_state' ? pool(data, row, shape[1], width, length, cls)
        : data.subarray(row * width, (row + 1) * width),
    }));
  }
  return rows;
}

function ours(folder, rows, labels) {
  const lines = rows.map(({ ids, types }) => JSON.stringify(types ? { ids, type_ids: types } : { ids }));
  const verb = labels ? ['classify', '--raw'] : ['embed'];
  const out = execFileSync(options.garrison, [...verb, '--model', folder, '--dtype', options.dtype, '--input', '-'],
    { input: lines.join('\n') + '\n', encoding: 'utf8', maxBuffer: 1 << 30 });
  return out.trim().split('\n').map((line) => {
    const answer = JSON.parse(line);
    return labels ? labels.map((label) => answer.scores[label]) : answer.embedding;
  });
}

async function theirs(session, rows, head, cls) {
  const ints = (list) => new ort.Tensor('int64', BigInt64Array.from(list.flat().map(BigInt)),
    [list.length, list[0].length]);
  const found = [];
  let last = null;
  for (const { batch, row, length, ids, types } of rows) {
    if (!options.batched || last?.batch !== batch) {
      const all = options.batched ? batch : {
        input_ids: [ids], attention_mask: [ids.map(() => 1)], token_type_ids: [types ?? ids.map(() => 0)] };
      const feeds = Object.fromEntries(session.inputNames.map((name) => [name, ints(all[name])]));
      const result = await session.run(feeds);
      last = { batch, output: result[head ? 'logits' : session.outputNames[0]] };
    }
    const { data, dims } = last.output;
    const at = options.batched ? row : 0;
    found.push(head ? data.subarray(at * dims[1], (at + 1) * dims[1])
      : pool(data, at, dims[1], dims[2], length, cls));
  }
  return found;
}

async function compare(folder) {
  const config = readJson(folder, 'config.json');
  const head = config.architectures[0].endsWith('ForSequenceClassification');
  const labels = head ? Object.keys(config.id2label).map((i) => config.id2label[i]) : null;
  const pooling = path.join(folder, '1_Pooling', 'config.json');
  const cls = fs.existsSync(pooling) && readJson(pooling).pooling_mode_cls_token === true;
  const rows = readRows(folder, head, cls);
  const session = await ort.InferenceSession.create(path.join(folder, 'onnx', options['peer-file']),
    { intraOpNumThreads: 1, interOpNumThreads: 1 });
  const [mine, peer] = [ours(folder, rows, labels), await theirs(session, rows, head, cls)]
    .map((found) => found.map((row, i) => distance(row, rows[i].wanted)));
  await session.release();
  const single = rows[0].wanted.length === 1;
  const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
  const shown = (value) => single ? value : 1 - value;
  const worse = mine.map((value, i) => value - peer[i]);
  return {
    model: path.basename(path.resolve(folder)), rows: rows.length, figure: single ? 'difference' : 'cosine',
    ours_worst: shown(Math.max(...mine)), ours_mean: shown(mean(mine)),
    peer_worst: shown(Math.max(...peer)), peer_mean: shown(mean(peer)),
    ours_worse: worse.filter((value) => value > MARGIN).length,
    ours_better: worse.filter((value) => value < -MARGIN).length,
    most_worse: Math.max(0, ...worse),
  };
}

const reports = [];
for (const folder of folders) reports.push(await compare(folder));
if (options.json) {
  console.log(JSON.stringify(reports, null, 1));
} else {
  const head = ['model', 'rows', 'figure', 'ours worst', 'mean', 'peer worst', 'mean', 'ours worse', 'better', 'most worse'];
  const table = [head, ...reports.map((r) => [r.model, r.rows, r.figure, ...[r.ours_worst, r.ours_mean, r.peer_worst,
    r.peer_mean].map((x) => x.toFixed(6)), r.ours_worse, r.ours_better, r.most_worse.toFixed(6)].map(String))];
  const widths = head.map((_, i) => Math.max(...table.map((row) => row[i].length)));
  for (const row of table) {
    console.log(row.map((text, i) => i === 0 ? text.padEnd(widths[i]) : text.padStart(widths[i])).join('  '));
  }
}
