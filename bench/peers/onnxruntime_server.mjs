// ONNX Runtime behind Node's HTTP server: what a team would write themselves. For bench/load/run.py.
//   node onnxruntime_server.mjs --model DIR [--variant fp32|int8] [--threads N]
// Prints its port. POST / takes OpenAI's {"input": [[ids], ...]} and answers its shape, mean-pooled and normalised.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { model: { type: 'string' }, variant: { type: 'string', default: 'int8' }, threads: { type: 'string', default: '0' } },
});
const ort = createRequire(import.meta.url)('onnxruntime-node');
const file = { fp32: 'model.onnx', int8: 'model_int8.onnx' }[values.variant];
const threads = Number(values.threads);
const session = await ort.InferenceSession.create(path.join(values.model, 'onnx', file), {
  intraOpNumThreads: threads, executionMode: 'sequential', graphOptimizationLevel: 'all',
});

async function embed(ids) {
  const shape = [1, ids.length];
  const fill = (value) => new ort.Tensor('int64', BigInt64Array.from(ids, value), shape);
  const all = { input_ids: fill(BigInt), attention_mask: fill(() => 1n), token_type_ids: fill(() => 0n) };
  const feeds = Object.fromEntries(session.inputNames.map((name) => [name, all[name]]));
  const { data, dims } = (await session.run(feeds))[session.outputNames[0]];
  const width = dims.at(-1);
  const mean = new Float32Array(width);
  for (let i = 0; i < data.length; ++i) mean[i % width] += data[i];
  const length = Math.hypot(...mean) || 1;
  return Array.from(mean, (value) => value / length);
}

const server = http.createServer(async (request, response) => {
  try {
    const parts = [];
    for await (const part of request) parts.push(part);
    const { input } = JSON.parse(Buffer.concat(parts).toString());
    const data = [];
    for (const [index, ids] of input.entries()) data.push({ object: 'embedding', index, embedding: await embed(ids) });
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ object: 'list', data, model: path.basename(values.model) }));
  } catch (error) {
    response.writeHead(500);
    response.end(JSON.stringify({ error: String(error) }));
  }
});
server.keepAliveTimeout = 60000;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
