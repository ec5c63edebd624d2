// The report of run.mjs in Markdown.

const BY_HAND = '<!-- written by hand -->';
const FLAGS = ['avx2', 'fma', 'avx_vnni', 'avx512f', 'avx512bw', 'avx512_vnni', 'avx512_bf16', 'amx_tile',
  'amx_int8', 'amx_bf16', 'asimd', 'asimddp', 'i8mm', 'bf16'];
/** How several texts were computed, and that flash attention was off. */
const mark = (cell, way) => /no flash/.test(way) ? ' ²' : way === 'one by one' && !cell.startsWith('1x') ? ' ¹' : '';

const ms = (us) => us < 1e6 ? (us / 1000).toPrecision(3) : (us / 1000).toFixed(0);
const number = (value) => typeof value === 'number' ? value.toFixed(value < 10 ? 1 : 0) : '';
const range = (time) => `${ms(time.median_us)} (${ms(time.min_us)}-${ms(time.max_us)})`;
const line = (row) => `| ${row.join(' | ')} |`;
const table = (head, rows) => [line(head), line(head.map(() => '---')), ...rows.map(line), ''];

function about({ date, hardware, system, load, rounds, seconds, versions }) {
  const flags = (hardware.Flags ?? '').split(' ');
  const caches = ['L1d', 'L2', 'L3'].filter((name) => hardware[`${name} cache`])
    .map((name) => `${name} ${hardware[`${name} cache`]}`);
  return [
    '# Performance', '',
    '`make bench-peers MODELS=DIR` writes this file; `bench/peers/README.md` says what is measured and how.', '',
    `- ${date}, ${hardware['Model name'] ?? 'unknown processor'}, ${hardware['CPU(s)'] ?? '?'} CPUs, ${system}`,
    `- caches: ${caches.join(', ')}; instruction sets: ${FLAGS.filter((flag) => flags.includes(flag)).join(', ')}`,
    `- ${Object.entries(versions).map((pair) => pair.join(' ')).join(', ')}`,
    `- rounds: ${rounds}, ${seconds} s each, everyone in turns, one thread unless a row says otherwise`,
    `- load before: ${load.toFixed(2)}`, '',
  ];
}

function targets(results) {
  const head = ['model', 'work', 'batch x tokens', 'target', 'Garrison, ms', 'peer, ms', 'ratio', 'reached',
    'of the limit', 'ratio to the best of all peers'];
  return [
    '## Against the targets', '',
    'Times are medians over the rounds of a round\'s median, ranges are over rounds. Ratio: the time of the peer over',
    'that of Garrison, above 1 Garrison is faster. The limit is the time that the arithmetic of the row takes at the',
    'measured peak of the type, or that reading the weights once from L3 takes, whichever is longer. ¹, ²: see below.',
    '',
    ...table(head, results.map((r) => [
      r.model, r.work, r.cell, `>= ${r.target}${r.against ? ` (${r.against})` : ''}`,
      r.ours ? `${r.ours.dtype} ${range(r.ours)}` : 'not timed',
      r.theirs ? `${r.theirs.label} ${range(r.theirs)}${mark(r.cell, r.theirs.way)}` : 'none',
      r.ratio ? `**${r.ratio.toFixed(2)}** (${r.min.toFixed(2)}-${r.max.toFixed(2)})` : '',
      r.ratio ? r.ratio >= r.target ? 'yes' : 'no' : '',
      r.share ? `${(100 * r.share).toFixed(0)} %` : '',
      r.best_ratio && r.best_peer !== r.theirs ? `${r.best_ratio.toFixed(2)} (${r.best_peer.label})` : '',
    ])),
  ];
}

function everyone(results) {
  const rows = results.filter((r) => r.peers === undefined);
  const times = rows.flatMap((r) => r.times);
  if (times.length === 0) return [];
  const labels = [...new Set(times.map((time) => time.label))].sort();
  const most = Math.max(...times.map((time) => time.rounds));
  const entry = (r, label) => {
    const time = r.times.find((one) => one.label === label);  // the fastest way is the first
    if (!time) return '';
    const text = ms(time.median_us) + mark(r.cell, time.way);
    return time.rounds < most ? `(${text})` : text;
  };
  return [
    '## Everyone, in ms', '',
    'In parentheses: not timed to the end, because another of its kind was 1.5 times faster. ¹ one text at a time, as',
    'that was faster than one batch; ² the same without flash attention, as that was faster than with it.', '',
    ...table(['model', 'batch x tokens', ...labels], rows.map((r) => [
      r.model, r.cell, ...labels.map((label) => entry(r, label))])),
  ];
}

/** The fields that are numbers. */
const numbersOf = (rows) => [...new Set(rows.flatMap(Object.entries).filter(([, value]) => Number.isFinite(value))
  .map(([field]) => field))];

function memoryTables({ model, cells, rows, ours }) {
  if (rows.length === 0) return [];
  const fields = numbersOf(ours);
  return [
    '## Start and memory', '',
    `${model}, one thread: from the start of the process to the first embedding of ${cells.start} (Garrison: to the`,
    `end of \`garrison embed\`), resident memory then, and its peak after ${cells.peak}. A MB is 10^6 bytes.`, '',
    ...table(['', 'first embedding, ms', 'resident, MB', 'peak, MB'], rows.map((row) => [
      row.who, number(row.start_ms), number(row.resident_mb), number(row.peak_mb)])),
    ...fields.length === 0 ? [] : ['`garrison bench --memory`:', '',
      ...table(['type', ...fields], ours.map((one) => [one.dtype, ...fields.map((field) => number(one[field]))]))],
  ];
}

function agreements(checks) {
  if (checks.length === 0) return [];
  const labels = [...new Set(checks.map((check) => check.who))];
  const models = [...new Set(checks.map((check) => check.model))];
  const found = (who, model) => checks.find((check) => check.who === who && check.model === model)?.agrees ?? '';
  return [
    '## Do they compute the same?', '',
    'The same ids, alone and in a batch: the lowest cosine with f32 of Garrison; of one logit the greatest difference.',
    '', ...table(['', ...models], labels.map((who) => [who, ...models.map((model) => found(who, model))])),
  ];
}

function limits(peaks) {
  const known = Object.entries(peaks).filter(([, peak]) => peak);
  if (known.length === 0) return [];
  const fields = numbersOf(known.map(([, peak]) => peak)).filter((field) => field !== 'threads');
  return [
    '## Limits of this machine', '', '`garrison bench --limits`:', '',
    ...table(['', ...fields], known.map(([name, peak]) => [
      name, ...fields.map((field) => number(peak[field]))])),
  ];
}

/** The whole file; what follows BY_HAND in the file so far stays. */
export function markdown(report, before) {
  const at = before.indexOf(BY_HAND);
  const generated = [
    ...about(report), ...targets(report.results), ...everyone(report.results), ...memoryTables(report.memory),
    ...agreements(report.checks), ...limits(report.peaks),
    ...report.notes.length === 0 ? [] : ['## Left out', '', ...report.notes.map((text) => `- ${text}`), ''],
  ];
  return `${generated.join('\n')}\n${at < 0 ? `${BY_HAND}\n` : before.slice(at)}`;
}
