// What the workers in JavaScript share: a process that loads one model once and is then asked on standard input.
//   request, a JSON line: {"ids": [[..],..], "way": WAY, "seconds": T}    reply: {"median_us", "samples", MEMORY}
//                         {"ids": [[..],..], "way": WAY}                         {"vectors": [[..],..], MEMORY}
// MEMORY is resident_mb and peak_mb of this process. With a time the texts are run again and again for about so long;
// without one they are run once and the answer is what the model makes of them: the mean of the last hidden states of
// a text, or its logits. The first line says {"ready": true}; whatever goes wrong is an {"error": TEXT}.
// `--version` prints {"version": TEXT} and loads nothing. pytorch_worker.py speaks the same.
import fs from 'node:fs';
import readline from 'node:readline';
import { parseArgs } from 'node:util';

const WARM_UP_MS = 200;
const SAMPLES_MIN = 5;
const PATIENCE = 5;  // after so many times `seconds`, fewer samples will do

export function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function memory() {
  const status = fs.readFileSync('/proc/self/status', 'utf8');
  const mb = (field) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)[1]) * 1024 / 1e6;
  return { resident_mb: mb('VmRSS'), peak_mb: mb('VmHWM') };
}

async function time(run, seconds) {
  const warm = performance.now() + WARM_UP_MS;
  do await run(); while (performance.now() < warm);
  const samples = [];
  const begin = performance.now();
  const passed = () => (performance.now() - begin) / 1000;
  while (passed() < seconds || (samples.length < SAMPLES_MIN && passed() < PATIENCE * seconds)) {
    const start = performance.now();
    await run();
    samples.push(1000 * (performance.now() - start));
  }
  return { median_us: median(samples), samples: samples.length };
}

/**
 * `version()` names the library's version; `open({model, variant})` loads for one thread and gives
 * `prepare(ids, way)`, which gives {run, vectors, dispose?}: the work that is timed, and the same with its outcome, a
 * list of numbers per text.
 */
export async function serve(version, open) {
  const say = (reply) => console.log(JSON.stringify(reply));
  const { values: options } = parseArgs({
    options: { version: { type: 'boolean' }, model: { type: 'string' }, variant: { type: 'string' } },
  });
  try {
    if (options.version) return say({ version: await version() });
    const prepare = await open(options);
    say({ ready: true });
    for await (const line of readline.createInterface({ input: process.stdin })) {
      const { ids, way, seconds } = JSON.parse(line);
      const work = await prepare(ids, way);
      const reply = seconds ? await time(work.run, seconds) : { vectors: await work.vectors() };
      await work.dispose?.();
      say({ ...reply, ...memory() });
    }
  } catch (error) {
    say({ error: String(error.message ?? error).split('\n')[0] });
    process.exitCode = 1;
  }
}
