#!/usr/bin/env node
// Our tokenizers against npm `tokenizers` (the reference library, native), one thread each, on the
// same lines, in turns in one run.
//   cd bench/peers && npm install
//   node tokenizers.mjs --binary ../../build/garrison --input LINES.txt [--rounds 5] DIR...
// DIR holds a tokenizer.json. Prints MB/s of text and the ratio of the medians. Ours makes ids, as
// a model needs them; "ranges" is ours with offsets, which the reference always makes.
process.env.TOKENIZERS_PARALLELISM = 'false';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
const { Tokenizer } = createRequire(import.meta.url)('tokenizers');

const options = { binary: '../../build/garrison', input: '', rounds: '5' };
const folders = [];
for (let i = 2; i < process.argv.length; ++i) {
  const argument = process.argv[i];
  if (argument.startsWith('--')) options[argument.slice(2)] = process.argv[++i];
  else folders.push(argument);
}
if (!options.input || folders.length === 0) {
  console.error('usage: tokenizers.mjs --binary FILE --input LINES.txt [--rounds N] DIR...');
  process.exit(2);
}

const BATCH = 256;
const lines = fs.readFileSync(options.input, 'utf8').split('\n').filter((line) => line !== '');
const bytes = lines.reduce((sum, line) => sum + Buffer.byteLength(line), 0);
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

function ours(folder) {
  const out = execFileSync(options.binary, ['bench', '--tokenizer', folder, '--input', options.input, '--json']);
  return JSON.parse(out);
}

async function theirs(tokenizer) {
  let ids = 0;
  const start = process.hrtime.bigint();
  for (let i = 0; i < lines.length; i += BATCH) {
    const encodings = await tokenizer.encodeBatch(lines.slice(i, i + BATCH), { addSpecialTokens: true });
    for (const encoding of encodings) ids += encoding.getLength();
  }
  return { ids, mb_per_s: bytes / 1e6 / (Number(process.hrtime.bigint() - start) / 1e9) };
}

console.log(`${lines.length} lines, ${(bytes / 1e6).toFixed(2)} MB, ${options.rounds} rounds`);
console.log(`${'tokenizer'.padEnd(32)} ${'ours'.padStart(8)} ${'ranges'.padStart(8)} ${'theirs'.padStart(8)} ${'ratio'.padStart(7)} ${'ranges'.padStart(7)}`);
for (const folder of folders) {
  const tokenizer = Tokenizer.fromFile(path.join(folder, 'tokenizer.json'));
  tokenizer.disableTruncation();
  tokenizer.disablePadding();
  await theirs(tokenizer);  // warm its cache; ours is timed warm as well
  const ids = [], ranges = [], peer = [];
  for (let round = 0; round < Number(options.rounds); ++round) {
    const mine = ours(folder);
    const other = await theirs(tokenizer);
    if (mine.ids !== other.ids) throw new Error(`${folder}: ${mine.ids} ids, the reference has ${other.ids}`);
    ids.push(mine.mb_per_s);
    ranges.push(mine.mb_per_s_with_ranges);
    peer.push(other.mb_per_s);
  }
  const [a, b, c] = [median(ids), median(ranges), median(peer)];
  console.log(`${path.basename(folder).padEnd(32)} ${a.toFixed(1).padStart(8)} ${b.toFixed(1).padStart(8)} ${c.toFixed(1).padStart(8)} ${(a / c).toFixed(1).padStart(7)} ${(b / c).toFixed(1).padStart(7)}`);
}
