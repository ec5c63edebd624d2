// ONNX Runtime as a peer (worker.mjs says what it answers). One thread makes no pool, so nothing spins while it waits.
//   node onnxruntime_worker.mjs --model DIR --variant fp32|int8
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { serve } from './worker.mjs';

const FILES = { fp32: 'model.onnx', int8: 'model_int8.onnx' };
const require = createRequire(import.meta.url);

/** [texts, width]: means over the tokens that count of [texts, tokens, width]; logits are that already. */
function pool({ data, dims }, texts) {
  if (dims.length === 2) return texts.map((_, row) => [...data.subarray(row * dims[1], (row + 1) * dims[1])]);
  const [, tokens, width] = dims;
  return texts.map((text, row) => {
    const mean = new Array(width).fill(0);
    for (let t = 0; t < text.length; ++t) {
      for (let i = 0; i < width; ++i) mean[i] += data[(row * tokens + t) * width + i] / text.length;
    }
    return mean;
  });
}

await serve(() => require('onnxruntime-node/package.json').version, async ({ model, variant }) => {
  const ort = require('onnxruntime-node');
  const pad = JSON.parse(fs.readFileSync(path.join(model, 'config.json'), 'utf8')).pad_token_id ?? 0;
  const session = await ort.InferenceSession.create(path.join(model, 'onnx', FILES[variant]), {
    intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: 'sequential', graphOptimizationLevel: 'all',
  });
  const value = {
    input_ids: (text, i) => i < text.length ? text[i] : pad,
    attention_mask: (text, i) => i < text.length ? 1 : 0,
    token_type_ids: () => 0,
  };
  const feedsOf = (texts) => {
    const tokens = Math.max(...texts.map((text) => text.length));
    return Object.fromEntries(session.inputNames.map((name) => {
      const data = texts.flatMap((text) => Array.from({ length: tokens }, (_, i) => BigInt(value[name](text, i))));
      return [name, new ort.Tensor('int64', BigInt64Array.from(data), [texts.length, tokens])];
    }));
  };
  return (ids, way) => {
    const batches = way === 'batch' ? [ids] : ids.map((text) => [text]);
    const feeds = batches.map(feedsOf);
    const run = async () => {
      const outputs = [];
      for (const one of feeds) outputs.push((await session.run(one))[session.outputNames[0]]);
      return outputs;
    };
    return { run, vectors: async () => (await run()).flatMap((output, i) => pool(output, batches[i])) };
  };
});
