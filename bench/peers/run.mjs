#!/usr/bin/env node
// Garrison beside every peer that is installed, in turns in one run, on the same model folders. README.md has the rest.
//   node run.mjs --garrison ../../build/garrison --models DIR [--rounds 5] [--seconds 1] [--rows NAME,..]
//        [--python PYTHON] [--json] [--write FILE.md]
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { markdown } from './report.mjs';
import { median } from './worker.mjs';

const MINILM = 'all-MiniLM-L6-v2';
// A row: cells are BATCHxTOKENS, or BATCHxMIN-MAX for texts whose lengths are spread evenly. `target` is how many times
// faster Garrison should be than the fastest of `against`; `peers` are the only ones that are timed at all.
const ROWS = [
  { name: 'short', work: 'latency of one short text', model: MINILM, cells: ['1x16', '1x32'], target: 2.5,
    against: 'ONNX Runtime int8' },
  { name: 'long', work: 'latency of one long text', model: MINILM, cells: ['1x128', '1x256'], target: 4 },
  { name: 'throughput', work: 'throughput', model: MINILM, cells: ['32x32', '32x128'], target: 5 },
  { name: 'mixed', work: 'mixed lengths', model: MINILM, cells: ['64x4-256'], target: 6 },
  { name: 'mpnet', work: 'latency and throughput', model: 'all-mpnet-base-v2', cells: ['1x128', '32x128'], target: 4 },
  { name: 'rerank', work: 'one query, 100 passages', model: 'bge-reranker-base', cells: ['100x128'], target: 4 },
  { name: 'threads', work: 'two threads over one', model: MINILM, cells: ['32x128'], target: 1.8, threads: 2,
    peers: 'Garrison' },
  { name: 'avx2', work: '`GARRISON_ISA=avx2`', model: MINILM, cells: ['32x128'], target: 1.5, isa: 'avx2',
    peers: 'ONNX Runtime fp32' },
];
const DTYPES = ['int8', 'bf16', 'f32'];
const WAYS = ['batch', 'one by one'];
const exists = (...parts) => fs.existsSync(path.join(...parts));
const PEERS = [
  { name: 'ONNX Runtime', script: 'onnxruntime_worker.mjs', ways: WAYS,
    variants: (folder) => exists(folder, 'onnx') ? ['fp32', 'int8'] : [] },
  { name: 'llama.cpp', script: 'llamacpp_worker.mjs', ways: [...WAYS, 'one by one, no flash attention'],
    variants: (folder) => exists(folder, 'gguf')
      ? fs.readdirSync(path.join(folder, 'gguf')).filter((file) => file.endsWith('.gguf')) : [] },
  { name: 'PyTorch', script: 'pytorch_worker.py', ways: WAYS,
    variants: (folder) => exists(folder, 'model.safetensors') ? ['f32', 'int8'] : [] },
];
const CONTENDS = 1.5;  // who is slower than the best of its kind by more than this is timed in the first round only
// What a peer must at least make of the same ids: cosine with Garrison's f32, or difference of a single logit.
const COSINE_MIN = { whole: 0.999, rounded: 0.95 };
const DIFFERENCE_MAX = { whole: 0.02, rounded: 0.5 };
const MEMORY_CELLS = { start: '1x16', peak: '32x128' };
const STARTS = 3;

const { values: options } = parseArgs({
  options: {
    garrison: { type: 'string', default: '../../build/garrison' },
    models: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    rows: { type: 'string', default: ROWS.map((row) => row.name).join(',') },
    python: { type: 'string' },
    json: { type: 'boolean', default: false },
    write: { type: 'string' },
    keep: { type: 'string' },
  },
});
const [rounds, seconds] = [options.rounds, options.seconds].map(Number);
const names = options.rows.split(',');
const known = names.every((name) => ROWS.some((row) => row.name === name));
if (!options.models || !(rounds >= 1) || !(seconds > 0) || !known) {
  console.error('usage: run.mjs --garrison BINARY --models DIR [--rounds N] [--seconds T] [--rows NAME,..] '
    + `[--python PYTHON] [--json] [--write FILE.md] [--keep FILE.json]\nrows: ${ROWS.map((row) => row.name).join(', ')}`);
  process.exit(2);
}
const binary = path.resolve(options.garrison);
const here = path.dirname(fileURLToPath(import.meta.url));
const notes = [];  // what was left out and why
const note = (text) => {
  if (notes.includes(text)) return;
  notes.push(text);
  console.error(text);
};
const reason = (error) => String(error.stderr || error.message).trim().split('\n')[0];

const lengthsOf = (cell) => {
  const [batch, min, max = min] = cell.split(/[x-]/).map(Number);
  return Array.from({ length: batch }, (_, i) => min + (batch > 1 ? Math.round(i * (max - min) / (batch - 1)) : 0));
};
const configOf = (model) => JSON.parse(fs.readFileSync(path.join(options.models, model, 'config.json'), 'utf8'));

/** Ordinary tokens, as `garrison bench --grid` takes them. */
function drawIds(model, lengths) {
  const words = configOf(model).vocab_size;
  const [first, last] = words >= 30_000 ? [1000, 29_999] : [5, Math.min(99, words - 1)];
  let state = 1;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return lengths.map((length) => Array.from({ length }, () => first + Math.floor(random() * (last - first + 1))));
}

function garrison(args, { isa, input } = {}) {
  return execFileSync(binary, args, {
    input, encoding: 'utf8', maxBuffer: 1 << 30, stdio: ['pipe', 'pipe', 'pipe'],
    env: isa ? { ...process.env, GARRISON_ISA: isa } : process.env,
  });
}

const pythons = options.python ? [options.python] : ['python3', '/usr/bin/python3'];
const interpretersOf = (script) => script.endsWith('.py') ? pythons : [process.execPath];

/** {...peer, version, interpreter} of those that are installed. */
function findPeers() {
  return PEERS.flatMap((peer) => {
    let why;
    for (const interpreter of interpretersOf(peer.script)) {
      try {
        const args = [path.join(here, peer.script), '--version'];
        const said = execFileSync(interpreter, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
        return { ...peer, interpreter, version: JSON.parse(said).version };
      } catch (error) {
        try {
          why = JSON.parse(error.stdout).error;
        } catch {
          why = reason(error);
        }
      }
    }
    note(`${peer.name} is not installed here (${why})`);
    return [];
  });
}

/** A process that has loaded one model of one peer; worker.mjs says what it answers. */
class Worker {
  constructor(peer, model, variant) {
    const args = [path.join(here, peer.script), '--model', path.join(options.models, model), '--variant', variant];
    this.process = spawn(peer.interpreter, args, { stdio: ['pipe', 'pipe', 'ignore'] });
    this.process.stdin.on('error', () => {});  // it has died, which the next read says
    this.lines = readline.createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  async read() {
    const { value } = await this.lines.next();
    if (value === undefined) throw new Error('it ended without an answer');
    const reply = JSON.parse(value);
    if (reply.error) throw new Error(reply.error);
    return reply;
  }

  ask(request) {
    this.process.stdin.write(`${JSON.stringify(request)}\n`);
    return this.read();
  }

  close() {
    this.process.stdin.end();
    this.process.kill();
  }
}

const labelOf = (peer, variant) => `${peer.name} ${variant.replace(/\.gguf$/, '').split('-').at(-1)}`;

/** What Garrison makes of the texts in f32, for the peers to be compared with. */
function expectedOf(model, ids) {
  const scores = configOf(model).architectures[0].endsWith('ForSequenceClassification');
  const args = [...scores ? ['rerank', '--raw'] : ['embed'], '--model', path.join(options.models, model),
    '--dtype', 'f32', '--input', '-'];
  const lines = garrison(args, { input: ids.map((text) => `${JSON.stringify({ ids: text })}\n`).join('') });
  return lines.trim().split('\n').map(JSON.parse).map((line) => scores ? [line.score] : line.embedding);
}

function cosine(a, b) {
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

/** {text, good}: does this worker compute what Garrison computes? */
async function agreement(worker, peer, variant, ids, expected) {
  const precision = /32|16/.test(variant) ? 'whole' : 'rounded';
  const single = expected[0].length === 1;
  let worst = single ? 0 : 1;
  for (const way of peer.ways) {
    const { vectors } = await worker.ask({ ids, way });
    vectors.forEach((vector, i) => {
      worst = single ? Math.max(worst, Math.abs(vector[0] - expected[i][0]))
        : Math.min(worst, cosine(vector, expected[i]));
    });
  }
  return single ? { text: `difference ${worst.toFixed(4)}`, good: worst <= DIFFERENCE_MAX[precision] }
    : { text: `cosine ${worst.toFixed(5)}`, good: worst >= COSINE_MIN[precision] };
}

const checks = [];  // {model, who, agrees}

/** Loaded and checked workers of a model: [{peer, variant, label, worker}]. */
async function openWorkers(model, only) {
  const ids = drawIds(model, [16, 5, 40]);
  const expected = peers.length > 0 && only !== 'Garrison' ? expectedOf(model, ids) : [];
  const open = [];
  for (const peer of peers) {
    for (const variant of peer.variants(path.join(options.models, model))) {
      const label = labelOf(peer, variant);
      if (only && only !== label) continue;
      const worker = new Worker(peer, model, variant);
      try {
        await worker.read();
        const { text, good } = await agreement(worker, peer, variant, ids, expected);
        if (!checks.some((check) => check.model === model && check.who === label)) {
          checks.push({ model, who: label, agrees: text });
        }
        if (!good) throw new Error(`it computes something else: ${text}`);
        open.push({ peer, variant, label, worker });
      } catch (error) {
        worker.close();
        note(`${label} is left out for ${model}: ${reason(error)}`);
      }
    }
  }
  return open;
}

function timeOurs(model, cell, dtype, threads, isa) {
  const text = garrison(['bench', '--model', path.join(options.models, model), '--dtype', dtype,
    '--threads', String(threads), '--grid', cell, '--json'], { isa });
  return JSON.parse(text)[0].median_us;
}

/** Everyone who can do this cell: {label, group, way, time}. Only those of one group are compared while timing. */
function candidatesOf(row, cell, workers) {
  const ours = (threads, group, label) => DTYPES.map((dtype) => ({
    label: `${label} ${dtype}`, group, dtype, way: '', time: () => timeOurs(row.model, cell, dtype, threads, row.isa),
  }));
  const mine = ours(row.threads ?? 1, 'ours', 'Garrison');
  if (row.peers === 'Garrison') return [...mine, ...ours(1, 'against', 'Garrison, one thread,')];
  const ids = drawIds(row.model, lengthsOf(cell));
  const theirs = workers.flatMap(({ peer, label, worker }) => peer.ways
    .filter((way) => ids.length > 1 || way !== 'batch')
    .map((way) => ({
      label, group: !row.against || row.against === label ? 'against' : 'others', way,
      time: async () => (await worker.ask({ ids, way, seconds })).median_us,
    })));
  return [...mine, ...theirs];
}

/** The candidates with their times of every round, the best first. */
async function timeCell(row, cell, workers) {
  let running = candidatesOf(row, cell, workers).map((candidate) => ({ ...candidate, times: [] }));
  const all = running;
  for (let round = 0; round < rounds && running.length > 0; ++round) {
    // Who goes first alternates, so that nobody always runs on a rested machine.
    for (const candidate of round % 2 === 0 ? running : [...running].reverse()) {
      try {
        candidate.times.push(await candidate.time());
      } catch (error) {
        candidate.failed = true;
        note(`${row.model}, ${cell}, ${candidate.label}: ${reason(error)}`);
      }
    }
    running = running.filter((candidate) => !candidate.failed);
    const best = (group) => Math.min(...running.filter((c) => c.group === group).map((c) => median(c.times)));
    running = running.filter((candidate) => median(candidate.times) <= CONTENDS * best(candidate.group));
  }
  return all.filter((candidate) => !candidate.failed)
    .map(({ label, group, dtype, way, times }) => ({
      label, group, dtype, way, times, rounds: times.length, median_us: median(times), min_us: Math.min(...times),
      max_us: Math.max(...times),
    }))
    .sort((a, b) => a.median_us - b.median_us);
}

function compare(ours, theirs) {
  if (!ours || !theirs) return null;
  const ratios = ours.times.slice(0, theirs.rounds).map((time, round) => theirs.times[round] / time);
  return { ratio: theirs.median_us / ours.median_us, min: Math.min(...ratios), max: Math.max(...ratios) };
}

/** The share of what this machine could do at best, by `garrison bench --limits`. */
const peaks = new Map();
function shareOfLimit(row, cell, { dtype, median_us }) {
  const threads = row.threads ?? 1;
  const key = `one thread, ${row.isa ?? 'best'} instructions`;
  if (!peaks.has(key)) {
    try {
      peaks.set(key, JSON.parse(garrison(['bench', '--limits', '--json'], row)));
    } catch (error) {
      peaks.set(key, null);
      note(`garrison bench --limits: ${reason(error)}`);
    }
  }
  const peak = peaks.get(key);
  if (!peak) return null;
  const { hidden_size: hidden, intermediate_size: inner, num_hidden_layers: layers } = configOf(row.model);
  const weights = layers * (4 * hidden * hidden + 2 * hidden * inner);
  const ops = lengthsOf(cell).reduce((sum, length) => sum + length * (2 * weights + layers * 4 * length * hidden), 0);
  const compute_us = ops / threads / { int8: peak.int8_gops, bf16: peak.bf16_gflops, f32: peak.f32_gflops }[dtype] / 1000;
  const read_us = weights * { int8: 1, bf16: 2, f32: 4 }[dtype] / peak.l3_gb_s / 1000;
  return Math.max(compute_us, read_us) / median_us;
}

async function timeRow(row) {
  const missing = ['config.json', 'model.safetensors'].find((file) => !exists(options.models, row.model, file));
  if (missing) {
    note(`${row.model} is left out: ${path.join(options.models, row.model, missing)} is not there`);
    return [];
  }
  const workers = await openWorkers(row.model, row.peers);
  try {
    const results = [];
    for (const cell of row.cells) {
      console.error(`${row.model}, ${row.work}, ${cell}`);
      const times = await timeCell(row, cell, workers);
      const best = (groups) => times.find((time) => groups.includes(time.group));
      const [ours, theirs, best_peer] = [best(['ours']), best(['against']), best(['against', 'others'])];
      results.push({
        ...row, cell, ours, theirs, ...compare(ours, theirs), best_peer, best_ratio: compare(ours, best_peer)?.ratio,
        share: ours ? shareOfLimit(row, cell, ours) : null, times,
      });
    }
    return results;
  } finally {
    for (const { worker } of workers) worker.close();
  }
}

/** Start and memory of all on the small model: each in fresh processes, for the first text and for a large batch. */
async function measureMemory() {
  const model = MINILM;
  const folder = path.join(options.models, model);
  if (!exists(folder, 'model.safetensors')) return { rows: [], ours: [] };
  const [one, many] = [MEMORY_CELLS.start, MEMORY_CELLS.peak].map((cell) => drawIds(model, lengthsOf(cell)));
  const ours = [], rows = [];
  for (const dtype of DTYPES) {
    console.error(`start and memory, Garrison ${dtype}`);
    const times = Array.from({ length: STARTS }, () => {
      const start = performance.now();
      garrison(['embed', '--model', folder, '--dtype', dtype, '--threads', '1', '--input', '-'],
        { input: `${JSON.stringify({ ids: one[0] })}\n` });
      return performance.now() - start;
    });
    let memory = {};
    try {
      const found = JSON.parse(garrison(
        ['bench', '--model', folder, '--dtype', dtype, '--threads', '1', '--memory', '--json']));
      memory = Array.isArray(found) ? found[0] : found;
      ours.push({ ...memory, dtype });
    } catch (error) {
      note(`garrison bench --memory: ${reason(error)}`);
    }
    const { resident_mb, peak_mb } = memory;
    rows.push({ who: `Garrison ${dtype}`, start_ms: median(times), resident_mb, peak_mb });
  }
  for (const peer of peers) {
    for (const variant of peer.variants(folder)) {
      const who = labelOf(peer, variant);
      console.error(`start and memory, ${who}`);
      try {
        const found = [];
        for (let i = 0; i < STARTS; ++i) {
          const start = performance.now();
          const worker = new Worker(peer, model, variant);
          try {
            await worker.read();
            const { resident_mb } = await worker.ask({ ids: one, way: 'one by one' });
            const start_ms = performance.now() - start;
            const { peak_mb } = await worker.ask({ ids: many, way: 'batch', seconds: 0.001 });
            found.push({ start_ms, resident_mb, peak_mb });
          } finally {
            worker.close();
          }
        }
        rows.push({ who, ...Object.fromEntries(['start_ms', 'resident_mb', 'peak_mb'].map((field) => [
          field, median(found.map((one) => one[field]))])) });
      } catch (error) {
        note(`start and memory of ${who}: ${reason(error)}`);
      }
    }
  }
  return { model, cells: MEMORY_CELLS, rows, ours };
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

const load = os.loadavg()[0];  // before we add to it
const peers = findPeers();
// A long run that is cut off goes on where it was: rows of the same binary and options are kept in a file.
const made = JSON.stringify([fs.statSync(binary).mtimeMs, options.models, rounds, seconds]);
const found = options.keep && fs.existsSync(options.keep) ? JSON.parse(fs.readFileSync(options.keep, 'utf8')) : {};
const kept = found.made === made ? found : { made, rows: {}, checks: [], notes: [], peaks: {} };
checks.push(...kept.checks);
notes.push(...kept.notes);
for (const [key, peak] of Object.entries(kept.peaks)) peaks.set(key, peak);
const results = [];
for (const row of ROWS.filter((one) => names.includes(one.name))) {
  kept.rows[row.name] ??= await timeRow(row);
  results.push(...kept.rows[row.name]);
  if (!options.keep) continue;
  fs.writeFileSync(options.keep, JSON.stringify({ ...kept, checks, notes, peaks: Object.fromEntries(peaks) }));
}
const memory = await measureMemory();
const report = {
  date: new Date().toISOString().slice(0, 10), hardware: lscpu(), system: `${os.type()} ${os.release()}`, load, rounds,
  seconds,
  versions: Object.fromEntries([['Garrison', garrison(['version']).trim().replace(/^garrison /i, '')],
    ...peers.map((peer) => [peer.name, peer.version]), ['Node', process.versions.node]]),
  results, checks, memory, peaks: Object.fromEntries(peaks), notes,
};
if (options.json) console.log(JSON.stringify(report, null, 1));
if (options.write) {
  const before = fs.existsSync(options.write) ? fs.readFileSync(options.write, 'utf8') : '';
  fs.writeFileSync(options.write, markdown(report, before));
}
if (!options.json && !options.write) console.log(markdown(report, ''));
