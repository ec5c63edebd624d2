#!/usr/bin/env node
// `garrison bench --grid` against ONNX Runtime on the same model, in turns in one run.
//   cd bench/peers && npm install --ignore-scripts
//   node onnxruntime.mjs --garrison ../../build/garrison --model DIR [--threads 1] [--rounds 5]
//        [--grid 1x16,1x32,1x128,32x32,32x128] [--seconds 1] [--json] [--write FILE.md]
// DIR is a model folder that also has onnx/model.onnx and onnx/model_int8.onnx. Both sides get batches of
// random token ids without padding and the same number of threads, warm up for 0.2 s and then repeat a cell
// for about a second (at least five times); a round's figure is the median. Ours includes the head (pooling),
// ONNX Runtime's file ends with the last hidden state.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

const WARM_UP_MS = 200;
const SAMPLES_MIN = 5;
const FLAGS = ['avx2', 'fma', 'avx_vnni', 'avx512f', 'avx512bw', 'avx512_vnni', 'avx512_bf16', 'amx_tile',
  'amx_int8', 'amx_bf16', 'asimd', 'asimddp', 'i8mm', 'bf16'];
const TYPES = [{ dtype: 'f32', file: 'model.onnx' }, { dtype: 'int8', file: 'model_int8.onnx' }];

const { values: options } = parseArgs({
  options: {
    garrison: { type: 'string', default: '../../build/garrison' },
    model: { type: 'string' },
    threads: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '5' },
    grid: { type: 'string', default: '1x16,1x32,1x128,32x32,32x128' },
    seconds: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    write: { type: 'string' },
  },
});
const [threads, rounds, seconds] = [options.threads, options.rounds, options.seconds].map(Number);
const grid = options.grid.split(',');
if (!options.model || !(threads >= 1) || !(rounds >= 1) || !grid.every((cell) => /^[1-9]\d*x[1-9]\d*$/.test(cell))) {
  console.error('usage: onnxruntime.mjs --garrison BINARY --model DIR [--threads N] [--rounds N] [--grid BxS,..] '
    + '[--seconds T] [--json] [--write FILE.md]');
  process.exit(2);
}
const ort = createRequire(import.meta.url)('onnxruntime-node');
const run = (...args) => execFileSync(options.garrison, args, { encoding: 'utf8' });
const sorted = (list) => [...list].sort((a, b) => a - b);
const median = (list) => sorted(list)[Math.floor(list.length / 2)];

const config = JSON.parse(fs.readFileSync(path.join(options.model, 'config.json'), 'utf8'));
let state = 1;
const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;

/** A batch of ordinary tokens, as `garrison bench --grid` draws them. */
function makeFeeds(session, cell) {
  const [batch, length] = cell.split('x').map(Number);
  const [first, last] = config.vocab_size >= 30_000 ? [1000, 29_999] : [5, Math.min(99, config.vocab_size - 1)];
  const value = {
    input_ids: () => BigInt(first + Math.floor(random() * (last - first + 1))),
    attention_mask: () => 1n,
    token_type_ids: () => 0n,
  };
  return Object.fromEntries(session.inputNames.map((name) => [
    name, new ort.Tensor('int64', BigInt64Array.from({ length: batch * length }, value[name]), [batch, length])]));
}

function timeOurs(cell, dtype) {
  const text = run('bench', '--model', options.model, '--dtype', dtype, '--threads', String(threads), '--grid', cell,
    '--json');
  return JSON.parse(text)[0].median_us;
}

async function timeTheirs(cell, session) {
  const feeds = makeFeeds(session, cell);
  for (const end = performance.now() + WARM_UP_MS; performance.now() < end;) await session.run(feeds);
  const samples = [];
  for (const end = performance.now() + 1000 * seconds; samples.length < SAMPLES_MIN || performance.now() < end;) {
    const start = performance.now();
    await session.run(feeds);
    samples.push(1000 * (performance.now() - start));
  }
  return median(samples);
}

const load = os.loadavg()[0];  // before we add to it
const cells = [];
for (const { dtype, file } of TYPES) {
  const session = await ort.InferenceSession.create(path.join(options.model, 'onnx', file), {
    intraOpNumThreads: threads, interOpNumThreads: 1, executionMode: 'sequential', graphOptimizationLevel: 'all',
  });
  const times = new Map(grid.map((cell) => [cell, { ours: [], peer: [] }]));
  for (let round = 0; round < rounds; ++round) {
    for (const cell of grid) {
      // Who goes first alternates, so that neither always runs on a rested machine.
      for (const side of round % 2 === 0 ? ['ours', 'peer'] : ['peer', 'ours']) {
        times.get(cell)[side].push(side === 'ours' ? timeOurs(cell, dtype) : await timeTheirs(cell, session));
      }
    }
  }
  await session.release();
  for (const [cell, { ours, peer }] of times) {
    const ratios = sorted(peer.map((time, round) => time / ours[round]));
    cells.push({
      dtype, cell, ours_us: median(ours), ours_min_us: Math.min(...ours), ours_max_us: Math.max(...ours),
      peer_us: median(peer), peer_min_us: Math.min(...peer), peer_max_us: Math.max(...peer),
      ratio: median(peer) / median(ours), ratio_min: ratios[0], ratio_max: ratios.at(-1),
    });
  }
}

/** lscpu's answer by field; empty where there is no lscpu. */
function lscpu() {
  try {
    const lines = execFileSync('lscpu', { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } }).split('\n');
    return Object.fromEntries(lines.map((line) => line.split(/:\s*(.*)/s).slice(0, 2).map((part) => part.trim())));
  } catch {
    return {};
  }
}
const cpu = lscpu();
const flags = (cpu.Flags ?? '').split(' ');
const about = {
  date: new Date().toISOString().slice(0, 10),
  cpu: cpu['Model name'] ?? os.cpus()[0]?.model ?? 'unknown',
  cpus: os.cpus().length,
  flags: FLAGS.filter((flag) => flags.includes(flag)),
  system: `${os.type()} ${os.release()}`,
  garrison: run('version').trim(),
  onnxruntime: createRequire(import.meta.url)('onnxruntime-node/package.json').version,
  node: process.version,
  model: path.basename(path.resolve(options.model)),
  model_type: config.model_type, layers: config.num_hidden_layers ?? config.n_layers,
  hidden: config.hidden_size ?? config.dim,
  threads, rounds, load,
};

const ms = (us) => (us / 1000).toFixed(us < 10_000 ? 3 : 1);
const HEAD = ['dtype', 'batch x tokens', 'Garrison ms', 'its range', 'ONNX Runtime ms', 'its range', 'ratio',
  'its range'];
const rows = cells.map((c) => [
  c.dtype, c.cell, ms(c.ours_us), `${ms(c.ours_min_us)}-${ms(c.ours_max_us)}`, ms(c.peer_us),
  `${ms(c.peer_min_us)}-${ms(c.peer_max_us)}`, c.ratio.toFixed(2), `${c.ratio_min.toFixed(2)}-${c.ratio_max.toFixed(2)}`]);

function markdown() {
  const line = (row) => `| ${row.join(' | ')} |`;
  return [
    `## ${about.model} against ONNX Runtime, ${threads} thread${threads === 1 ? '' : 's'}`, '',
    `${about.date}; ${about.cpu}, ${about.cpus} CPUs (${about.flags.join(', ')}), ${about.system}; ${about.garrison}, `
      + `onnxruntime-node ${about.onnxruntime}, Node ${about.node}. ${about.model_type}, ${about.layers} layers, `
      + `${about.hidden} wide. In turns, rounds: ${rounds}; load before: ${load.toFixed(1)}. Times are medians over rounds `
      + 'of a round\'s median, ranges are over rounds. Ratio: ONNX Runtime\'s time over Garrison\'s; above 1 Garrison is faster.', '',
    line(HEAD), line(HEAD.map(() => '---')), ...rows.map(line), '',
  ].join('\n');
}

if (options.json) {
  console.log(JSON.stringify({ ...about, cells }, null, 1));
} else {
  const widths = HEAD.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i].length)));
  for (const row of [HEAD, ...rows]) console.log(row.map((text, i) => text.padStart(widths[i])).join('  '));
}
if (options.write) fs.writeFileSync(options.write, markdown());
