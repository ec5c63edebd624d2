// The pages at / and /docs of the real binary, in a real browser.
//
//     node tests/node/page_test.mjs build/garrison [MODELS_FOLDER]
//
// Needs Debian's chromium (CHROMIUM=FILE for another) and, once, `npm ci` in this folder. Without either it says so and
// exits with 77: skipped. MODELS_FOLDER becomes engine.models_folder; the rerank test with a real model needs a
// reranker in it and is skipped without. Screenshots of both themes go to the folder GARRISON_SCREENSHOTS, or else to a
// temporary one that is named at the end.
//
// Where the real service cannot be brought to say something (a model that fails, a 401), its answer is put in between.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { pictureOf } from './picture.mjs';

const PATIENCE_MS = 30_000;  // before a hang counts as a failure
const SKIPPED = 77;
const ASSETS = ['/assets/style.css', '/assets/page.js', '/assets/docs.js', '/assets/icon.svg'];
const BYTES_AT_MOST = 60_000;  // of both pages with their assets
const POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const WIDTHS = [320, 768, 1280];
const THEMES = ['light', 'dark'];

function skip(reason) {
  console.error(`page_test: skipped: ${reason}`);
  process.exit(SKIPPED);
}

const [binary, modelsFolder] = process.argv.slice(2);
if (!binary) {
  console.error('usage: node page_test.mjs GARRISON_BINARY [MODELS_FOLDER]');
  process.exit(2);
}
const chromiumFile = process.env.CHROMIUM ?? '/usr/bin/chromium';
if (!fs.existsSync(chromiumFile)) skip(`there is no ${chromiumFile}; apt-get install chromium`);
const { chromium } = await import('playwright-core').catch(() => skip('there is no playwright-core; npm ci in tests/node'));

// ---- The service and the browser

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// The value of `look` once it is truthy and throws nothing.
async function eventually(look, what, patience_ms = PATIENCE_MS) {
  const end = Date.now() + patience_ms;
  for (let last = ''; ; await sleep(20)) {
    try {
      const value = await look();
      if (value) return value;
    } catch (error) {
      last = `: ${error.message}`;
    }
    if (Date.now() > end) throw new Error(`waited in vain for ${what}${last}`);
  }
}

async function startService() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'garrison-page-'));
  const portFile = path.join(folder, 'port');
  const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('GARRISON_')));
  const models = modelsFolder ? ['--set', `engine.models_folder=${path.resolve(modelsFolder)}`] : [];
  const child = spawn(path.resolve(binary), ['serve', '--set', 'server.port=0', '--port-file', portFile, ...models],
    { cwd: folder, env: environment, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  let ended = false;
  child.stderr.on('data', (data) => { log += data; });
  child.on('error', (error) => { log += error; ended = true; });
  child.on('exit', () => { ended = true; });
  const stop = async () => {
    child.kill('SIGTERM');
    await eventually(() => ended, 'the service to stop', 10_000).catch(() => child.kill('SIGKILL'));
    fs.rmSync(folder, { recursive: true, force: true });
  };
  try {
    const port = await eventually(() => {
      if (ended) return 'ended';
      return fs.existsSync(portFile) && fs.readFileSync(portFile, 'utf8').trim();
    }, 'the service to listen');
    assert.notEqual(port, 'ended', `the service did not start: ${log}`);
    return { origin: `http://127.0.0.1:${port}`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

let service;
let browser;

before(async () => {
  service = await startService();
  browser = await chromium.launch({ executablePath: chromiumFile, args: process.getuid() === 0 ? ['--no-sandbox'] : [] });
}, { timeout: 2 * PATIENCE_MS });

after(async () => {
  await browser?.close();
  await service?.stop();
});

async function direct(route, body, headers = {}) {
  const response = await fetch(service.origin + route, body === undefined ? { headers }
    : { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json', ...headers } });
  assert.equal(response.status, 200, `${route} answered with ${response.status}`);
  return response.json();
}

// Runs `act` on a page of its own, which afterwards must have no errors, no violation of its policy, and no request
// to elsewhere. `expected` matches the errors that a test provokes; `prepare` runs before the page is opened.
async function onPage(address, act, { expected, prepare, theme = 'light', width = 1280, ...options } = {}) {
  const context = await browser.newContext({ colorScheme: theme, viewport: { width, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const problems = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) problems.push(`console: ${message.text()} ${message.location().url ?? ''}`);
  });
  page.on('pageerror', (error) => problems.push(`error: ${error.stack}`));
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== service.origin) problems.push(`request to ${request.url()}`);
  });
  await page.exposeFunction('reportViolation', (text) => problems.push(`policy: ${text}`));
  await page.addInitScript(() => document.addEventListener('securitypolicyviolation',
    (event) => window.reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`)));
  try {
    await prepare?.(page);
    await page.goto(service.origin + address);
    await act(page, context);
    const unexpected = problems.filter((problem) => !expected?.test(problem));
    assert.deepEqual(unexpected, [], `problems on ${address}`);
  } finally {
    await context.close();
  }
}

const shown = (page, selector) => page.locator(selector).first().waitFor({ state: 'visible' });
const textOf = async (page, selector) => (await page.locator(selector).first().textContent()).trim();
const textsOf = async (page, selector) => (await page.locator(selector).allTextContents()).map((text) => text.trim());

async function textBecomes(page, selector, pattern) {
  await eventually(async () => pattern.test(await textOf(page, selector)), `${selector} to match ${pattern}`)
    .catch(async (error) => assert.fail(`${error.message}; it is "${await textOf(page, selector)}"`));
}

const model = (id, state, capabilities, more = {}) => ({
  id, object: 'model', created: 1, owned_by: 'garrison', revision: '', dimension: 384, max_tokens: 512, compute: 'cpu-f32',
  capabilities, state, description: `The model ${id}`, ...more,
});

// The list may be a function: then every question gets a new one.
const withModels = (list) => (page) => page.route('**/v1/models', (route) => route.fulfill(
  { json: { object: 'list', data: typeof list === 'function' ? list() : list } }));

const BUILTIN = model('builtin:lexical', 'loaded', ['embed']);
const RERANKER = model('reranker', 'loaded', ['rerank'], { dimension: 0 });

const fakeRerank = (scores) => (page) => page.route('**/v1/rerank', (route) => {
  const { documents } = route.request().postDataJSON();
  return route.fulfill({ json: { results: documents.map((text, index) => ({ index, relevance_score: scores[index], document: { text } })) } });
});

// Every part of the page with something in it.
async function fillPage(page) {
  await page.click('#embed-form [type=submit]');
  await shown(page, '#embed-result table');
  await page.click('#rerank-tab');
  await page.click('#rerank-form [type=submit]');
  await shown(page, '#rerank-result li');
  await page.click('#safety-tab');
  for (let turn = 1; turn <= 3; ++turn) {
    await page.click('#safety-form [type=submit]');
    await shown(page, `#safety-result tbody tr:nth-child(${turn})`);
  }
}

const FULL_LIST = [BUILTIN, RERANKER, model('waiting', 'unloaded', ['embed']), model('coming', 'loading', ['embed']),
  model('broken', 'failed', ['embed'], { error: 'model.safetensors: ends early' })];
const fullPage = async (page) => {
  await withModels(FULL_LIST)(page);
  await fakeRerank([0.2, 0.93, 0.5])(page);
};
const TABS = ['embed', 'rerank', 'safety'];

// ---- What is served

test('both pages and their assets are served with the policy, and are small', async () => {
  let bytes = 0;
  for (const address of ['/', '/docs', ...ASSETS]) {
    const response = await fetch(service.origin + address, { headers: { Accept: 'text/html,*/*' } });
    assert.equal(response.status, 200, address);
    bytes += (await response.arrayBuffer()).byteLength;
    const type = response.headers.get('content-type');
    const wanted = { css: /^text\/css/, js: /^(text|application)\/javascript/, svg: /^image\/svg\+xml/ }[address.split('.')[1]] ?? /^text\/html; ?charset=utf-8/i;
    assert.match(type, wanted, address);
    assert.equal(response.headers.get('content-security-policy'), POLICY, address);
  }
  assert.ok(bytes < BYTES_AT_MOST, `${bytes} bytes are more than ${BYTES_AT_MOST}`);
});

// ---- Page /

test('the state of the service and its models are shown as the API tells them', async () => {
  const health = await direct('/health');
  const { data } = await direct('/v1/models');
  await onPage('/', async (page) => {
    await textBecomes(page, '#ready', /^Ready$/);
    assert.equal(await textOf(page, '#address'), new URL(service.origin).host);
    assert.equal(await textOf(page, '#version'), health.version);
    assert.match(await textOf(page, '#uptime'), /^\d+ (s|min|h|d)/);
    assert.equal(await textOf(page, '#gpu'), health.gpu_available ? 'available' : 'none');
    await shown(page, '#model-list li');
    assert.deepEqual(await textsOf(page, '#model-list h3'), data.map(({ id }) => id));
    assert.deepEqual(await textsOf(page, '#model-list .badge'), data.map(({ state }) => state));
    for (const [index, { dimension, compute, description, capabilities }] of data.entries()) {
      const card = await page.locator('#model-list li').nth(index).textContent();
      for (const part of [description, compute, dimension > 0 ? `${dimension} dimensions` : '', ...capabilities]) {
        assert.ok(card.includes(part ?? ''), `"${part}" is not in "${card}"`);
      }
    }
    const offered = (job) => data.filter(({ capabilities }) => capabilities.includes(job)).map(({ id }) => id).sort();
    for (const job of ['embed', 'rerank']) {
      const options = await page.locator(`#${job}-model option`).evaluateAll((all) => all.map((option) => option.value));
      assert.deepEqual(options.sort(), offered(job), `the models that can ${job}`);
    }
    for (const [name, address] of [['API', '/docs'], ['Metrics', '/metrics']]) {
      assert.equal(await page.getByRole('link', { name, exact: true }).evaluate((link) => link.pathname), address);
    }
  });
});

test('embed shows the numbers that the API gives', async () => {
  const input = ['a cat sat on the mat', "the cat's mat <b>&amp;", 'share prices fell'];
  const answer = await direct('/v1/embeddings', { model: 'builtin:lexical', input });
  const vectors = answer.data.map(({ embedding }) => embedding);
  const cosine = (a, b) => {
    const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
    return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  };
  await onPage('/', async (page, context) => {
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: service.origin });
    await shown(page, '#model-list li');
    await page.locator('#embed-panel').getByLabel('Model', { exact: true }).selectOption('builtin:lexical');
    await page.getByLabel('Texts, one per line').fill(`${input[0]}\n\n${input[1]}\n${input[2]}\n  \n`);
    await page.getByRole('button', { name: 'Embed', exact: true }).click();
    await shown(page, '#embed-result table');
    assert.match(await textOf(page, '#embed-form .message'), /^Answered in \d+(\.\d)? (ms|s)$/);
    assert.deepEqual(await textsOf(page, '#embed-result dd'),
      [input.length, vectors[0].length, answer.usage.total_tokens].map(String));
    assert.deepEqual(await textsOf(page, '#embed-result .vectors .text'), input);
    for (const [i, text] of (await textsOf(page, '#embed-result .vectors code')).entries()) {
      const numbers = text.split(/\s+/).slice(0, -1);
      assert.ok(numbers.length >= 4, text);
      assert.deepEqual(numbers, vectors[i].slice(0, numbers.length).map((value) => value.toFixed(4)), `line ${i + 1}`);
    }
    const cells = await page.locator('#embed-result tbody tr').evaluateAll(
      (rows) => rows.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent)));
    assert.deepEqual(cells, vectors.map((a) => vectors.map((b) => cosine(a, b).toFixed(3))));

    // What is to be copied does the same in a shell.
    const line = await textOf(page, '#embed-result pre');
    assert.ok(line.startsWith(`curl ${service.origin}/v1/embeddings `), line);
    await page.getByRole('button', { name: 'Copy' }).click();
    await textBecomes(page, '#embed-result .code button', /^Copied$/);
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), line);
    if (await promisify(execFile)('curl', ['--version']).catch(() => null)) {
      const { stdout } = await promisify(execFile)('sh', ['-c', line.replace(/^curl/, 'curl -s')]);
      assert.deepEqual(JSON.parse(stdout), answer);
    }
  });
});

test('one line has no table of cosines, and no line is an error', () => onPage('/', async (page) => {
  await shown(page, '#model-list li');
  await page.getByLabel('Texts, one per line').fill('alone');
  await page.getByRole('button', { name: 'Embed', exact: true }).click();
  await shown(page, '#embed-result .vectors');
  assert.equal(await page.locator('#embed-result table').count(), 0);
  await page.getByLabel('Texts, one per line').fill(' \n ');
  await page.getByRole('button', { name: 'Embed', exact: true }).click();
  await textBecomes(page, '#embed-form .message', /at least one line/);
}));

test('check safety shows the numbers of each turn and keeps the conversation', async () => {
  const said = [['How do I open a lock?', 'I am sorry, but I cannot help with that.'], ['Please!', 'Sure, here is how it is done, step by step.']];
  const answers = [];
  for (const [user_message, model_message] of said) {
    const id = answers.length ? { conversation_id: answers[0].conversation_id } : {};
    answers.push(await direct('/check-safety', { user_message, model_message, ...id }));
  }
  await onPage('/#safety', async (page) => {
    const conversation = page.getByLabel('Conversation id (optional)');
    let id = '';
    for (const [index, [user, reply]] of said.entries()) {
      await page.getByLabel('User message').fill(user);
      await page.getByLabel('Model message').fill(reply);
      await page.getByRole('button', { name: 'Check turn' }).click();
      await shown(page, `#safety-result tbody tr:nth-child(${index + 1})`);
      const wanted = answers[index];
      assert.equal(await textOf(page, '#safety-result .verdict .badge'), wanted.action);
      const verdict = await textOf(page, '#safety-result .verdict');
      for (const part of [`Turn ${index + 1}`, wanted.status, wanted.quadrant]) assert.ok(verdict.includes(part), `${part}: ${verdict}`);
      const facts = await page.locator('#safety-result dl > div').evaluateAll(
        (all) => Object.fromEntries(all.map((one) => [one.children[0].textContent, one.children[1].textContent])));
      for (const [name, value] of [['Likelihood', wanted.likelihood], ['R_model', wanted.R_model], ['R_user', wanted.R_user],
        ['C_model', wanted.C_model], ['rho', wanted.rho]]) {
        assert.equal(facts[name], value.toFixed(3), name);
      }
      const notes = await textsOf(page, '#safety-result .notes li');
      assert.equal(notes.length, wanted.alerts.length + wanted.messages.length, notes.join('; '));
      for (const message of wanted.messages) assert.ok(notes.includes(message), message);
      for (const { kind } of wanted.alerts) assert.ok(notes.some((note) => note.includes(kind)), kind);
      if (index === 0) id = await conversation.inputValue();
      assert.match(id, /^\S{1,128}$/);
      assert.equal(await conversation.inputValue(), id, 'the conversation is kept');
    }
    await page.getByRole('button', { name: 'New conversation' }).click();
    assert.equal(await conversation.inputValue(), '');
    assert.equal(await textOf(page, '#safety-result'), '');
    await page.getByRole('button', { name: 'Check turn' }).click();
    await shown(page, '#safety-result tbody tr');
    assert.equal(await page.locator('#safety-result tbody tr').count(), 1);
    assert.notEqual(await conversation.inputValue(), id);
  });
});

test('errors of the service, of any shape, and of the network are shown beside the form', () => onPage('/#safety', async (page) => {
  const message = '#safety-form .message';
  assert.equal(await page.locator(message).getAttribute('role'), 'status');
  const send = () => page.getByRole('button', { name: 'Check turn' }).click();
  await page.getByLabel('Model message').fill('');
  await send();
  await textBecomes(page, message, /model_message/);
  await shown(page, '#safety-result pre');
  let answer;
  await page.route('**/check-safety', (route) => (answer ? route.fulfill(answer) : route.abort()));
  for (const [fulfilled, wanted] of [
    [{ status: 500, json: { error: { message: 'first <i>shape</i>' } } }, /^first <i>shape<\/i>$/],
    [{ status: 413, json: { error: 'second shape', error_type: 'validation' } }, /^second shape$/],
    [{ status: 424, json: { message: 'third shape' } }, /^third shape$/],
    [{ status: 502, body: '<html>' }, /502/],
    [{ status: 200, body: '{"conversation_id": "x' }, /not JSON/],
    [null, /cannot be reached/],
  ]) {
    answer = fulfilled;
    await send();
    await textBecomes(page, message, wanted);
    assert.ok(await page.locator(message).evaluate((node) => node.classList.contains('error')), String(wanted));
  }
  await page.unroute('**/check-safety');
  await page.getByLabel('Model message').fill('well again');
  await send();
  await textBecomes(page, message, /^Answered/);
}, { expected: /Failed to load resource.*check-safety/ }));

test('without a reranker the page says what to do', () => onPage('/#rerank', async (page) => {
  await shown(page, '#rerank-none');
  assert.match(await textOf(page, '#rerank-none'), /engine\.models_folder.*--model DIR/);
  assert.equal(await page.locator('#rerank-form').isVisible(), false);
}, { prepare: withModels([BUILTIN]) }));

for (const [name, scores, widths] of [['probabilities', [0.25, 0.75, 0.5], [75, 50, 25]], ['scores of any size', [-4, 6, 1], [100, 50, 0]]]) {
  test(`rerank sorts and draws ${name}`, () => onPage('/#rerank', async (page) => {
    await shown(page, '#rerank-form');
    await page.getByLabel('Query').fill('q');
    await page.getByLabel('Documents, one per line').fill('first\nsecond\nthird');
    await page.getByRole('button', { name: 'Rerank', exact: true }).click();
    await shown(page, '#rerank-result li');
    const order = [1, 2, 0];
    assert.deepEqual(await textsOf(page, '#rerank-result .text'), order.map((i) => ['first', 'second', 'third'][i]));
    assert.deepEqual(await textsOf(page, '#rerank-result .score'), order.map((i) => scores[i].toFixed(4)));
    const drawn = await page.locator('#rerank-result .bar').evaluateAll(
      (bars) => bars.map((bar) => Math.round(100 * bar.firstElementChild.offsetWidth / bar.offsetWidth)));
    for (const [i, width] of widths.entries()) assert.ok(Math.abs(drawn[i] - width) <= 1, `bars ${drawn}, wanted ${widths}`);
  }, { prepare: async (page) => { await withModels([BUILTIN, RERANKER])(page); await fakeRerank(scores)(page); } }));
}

test('rerank with a real model agrees with the API', { skip: modelsFolder ? false : 'no MODELS_FOLDER was given' }, async (t) => {
  const { data } = await direct('/v1/models');
  const reranker = data.find(({ capabilities }) => capabilities.includes('rerank'));
  if (!reranker) {
    t.skip(`${modelsFolder} has no reranker`);
    return;
  }
  await onPage('/#rerank', async (page) => {
    await shown(page, '#rerank-form');
    await page.locator('#rerank-model').selectOption(reranker.id);
    if (reranker.state !== 'loaded') {
      await page.getByRole('button', { name: `Load ${reranker.id}` }).click();
      await textBecomes(page, '#models-message', /^Loaded /);
    }
    const query = await page.getByLabel('Query').inputValue();
    const documents = (await page.getByLabel('Documents, one per line').inputValue()).split('\n');
    await page.getByRole('button', { name: 'Rerank', exact: true }).click();
    await eventually(async () => /^Answered/.test(await textOf(page, '#rerank-form .message')), 'the answer')
      .catch(async () => assert.fail(await textOf(page, '#rerank-form .message')));
    const wanted = await direct('/v1/rerank', { model: reranker.id, query, documents, return_documents: true });
    const sorted = [...wanted.results].sort((a, b) => b.relevance_score - a.relevance_score);
    assert.deepEqual(await textsOf(page, '#rerank-result .score'), sorted.map((result) => result.relevance_score.toFixed(4)));
    assert.deepEqual(await textsOf(page, '#rerank-result .text'), sorted.map((result) => documents[result.index]));
  });
});

test('the list refreshes itself and leaves focus, typed text and choices alone', () => {
  let asked = 0;
  return onPage('/', async (page) => {
    await shown(page, '#model-list li');
    await page.locator('#embed-model').selectOption('b');
    const texts = page.getByLabel('Texts, one per line');
    await texts.fill('');
    await texts.pressSequentially('half a sen');
    await page.keyboard.press('ArrowLeft');
    const first = asked;
    await eventually(() => asked >= first + 2, 'two more questions for the models');
    await eventually(async () => Number((await textOf(page, '#model-list li p')).replace('answer ', '')) >= first + 2, 'the newer answer');
    assert.equal(await texts.inputValue(), 'half a sen');
    assert.equal(await texts.evaluate((node) => node.selectionStart), 9);
    assert.ok(await texts.evaluate((node) => node === document.activeElement), 'the focus stays');
    assert.equal(await page.locator('#embed-model').inputValue(), 'b');
    assert.deepEqual(await textsOf(page, '#model-list h3'), ['a', 'b', 'late'], 'a new model comes into the list');
  }, { prepare: withModels(() => {
    asked += 1;
    return [model('a', 'loaded', ['embed'], { description: `answer ${asked}` }), model('b', 'loaded', ['embed']),
      ...(asked > 1 ? [model('late', 'loaded', ['embed'])] : [])];
  }) });
});

test('Load loads, shows progress and failure, and never drops the focus', () => {
  const states = { waiting: 'unloaded', broken: 'failed' };
  const asked = [];
  return onPage('/', async (page) => {
    await page.route('**/models/load', async (route) => {
      const { modelId } = route.request().postDataJSON();
      asked.push(modelId);
      if (modelId === 'broken') return route.fulfill({ status: 500, json: { error: 'it ends <early>', error_type: 'x' } });
      await sleep(300);
      states.waiting = 'loaded';
      return route.fulfill({ json: { status: 'loaded' } });
    });
    const load = page.locator('#model-list li:nth-child(1) button');
    const badge = '#model-list li:nth-child(1) .badge';
    await load.waitFor();
    assert.equal(await textOf(page, badge), 'unloaded');
    assert.match(await textOf(page, '#model-list li:nth-child(2) .error'), /tensor is missing/);
    await load.focus();
    await page.keyboard.press('Enter');
    await textBecomes(page, badge, /^loading$/);
    assert.equal(await load.getAttribute('aria-label'), 'Loading waiting');
    await page.keyboard.press('Enter');
    await textBecomes(page, badge, /^loaded$/);
    assert.deepEqual(asked, ['waiting'], 'a second press while it loads does nothing');
    await load.waitFor({ state: 'hidden' });
    assert.match(await textOf(page, '#models-message'), /^Loaded waiting in /);
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'waiting', 'the focus moves to the name of the model');
    await page.getByRole('button', { name: 'Load broken' }).click();
    await textBecomes(page, '#models-message', /^broken: it ends <early>$/);
  }, {
    expected: /Failed to load resource.*models\/load/,
    prepare: withModels(() => [model('waiting', states.waiting, ['embed']), model('broken', states.broken, ['embed'], { error: 'a tensor is missing' })]),
  });
});

test('a service that is not ready or gone is said so, and comes back', () => {
  let status = 503;
  return onPage('/', async (page) => {
    await textBecomes(page, '#ready', /^Not ready$/);
    assert.match(await textOf(page, '#service-message'), /shutting down/);
    status = 0;
    await textBecomes(page, '#ready', /^Not reachable$/);
    await textBecomes(page, '#models-message', /not known.*cannot be reached/);
    assert.equal(await page.locator('#model-list li').count(), 1, 'what was known stays');
    status = 200;
    await textBecomes(page, '#ready', /^Ready$/);
    await textBecomes(page, '#models-message', /^$/);
  }, {
    expected: /Failed to load resource/,
    prepare: (page) => page.route(/\/(ready|health|v1\/models)$/, (route) => {
      if (status === 0) return route.abort();
      if (status === 503 && route.request().url().endsWith('/ready')) {
        return route.fulfill({ status, json: { error: { message: 'the service is shutting down' } } });
      }
      if (route.request().url().endsWith('/v1/models')) return route.fulfill({ json: { object: 'list', data: [BUILTIN] } });
      return route.continue();
    }),
  });
});

test('a 401 asks for an API key, which stays in memory', () => {
  const keys = [];
  return onPage('/', async (page, context) => {
    await shown(page, '#key-form');
    assert.match(await textOf(page, '#key-message'), /asks for an API key/);
    const asked = keys.length;
    await sleep(5000);
    assert.equal(keys.length, asked, 'without a key the service is not asked again and again');
    for (const [key, accepted] of [['wrong', false], ['right', true]]) {
      await page.getByLabel('API key').fill(key);
      await page.keyboard.press('Enter');
      if (!accepted) await textBecomes(page, '#key-message', /not accepted/);
    }
    await page.locator('#key-form').waitFor({ state: 'hidden' });
    await shown(page, '#model-list li');
    assert.ok(keys.includes('Bearer wrong') && keys.at(-1) === 'Bearer right', keys.join());
    const [request] = await Promise.all([page.waitForRequest('**/v1/embeddings'), page.getByRole('button', { name: 'Embed', exact: true }).click()]);
    assert.equal(request.headers().authorization, 'Bearer right');
    await shown(page, '#embed-result pre');
    const line = await textOf(page, '#embed-result pre');
    assert.ok(line.includes('Bearer $GARRISON_API_KEY') && !line.includes('right'), line);
    assert.ok(!(await page.content()).includes('right"'), 'the key is in the page');
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]));
    assert.ok(!kept.includes('right'), kept);
    assert.deepEqual((await context.storageState()).cookies, []);
  }, {
    expected: /Failed to load resource.*v1\/models/,
    prepare: (page) => page.route('**/v1/models', (route) => {
      const key = route.request().headers().authorization;
      keys.push(key);
      return key === 'Bearer right' ? route.continue() : route.fulfill({ status: 401, json: { error: { message: 'no key' } } });
    }),
  });
});

test('what the service says is text, never markup', () => {
  const bad = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
  return onPage('/', async (page) => {
    await shown(page, '#model-list li');
    assert.equal(await textOf(page, '#model-list h3'), bad);
    assert.ok((await textOf(page, '#model-list li')).includes(bad));
    assert.equal(await page.locator('#model-list img, #model-list script').count(), 0);
    assert.equal(await page.title(), 'Garrison');
  }, { prepare: withModels([model(bad, 'failed', [bad, 'embed'], { description: bad, error: bad, compute: bad, revision: bad })]) });
});

// ---- Keyboard and assistive technology

test('tabs follow the keyboard, and Ctrl+Enter sends', () => onPage('/', async (page) => {
  await shown(page, '#model-list li');
  const focused = () => page.evaluate(() => document.activeElement.id);
  await page.locator('#embed-tab').focus();
  for (const [key, wanted] of [['ArrowRight', 'rerank'], ['ArrowRight', 'safety'], ['ArrowRight', 'embed'], ['ArrowLeft', 'safety'],
    ['Home', 'embed'], ['End', 'safety'], ['ArrowLeft', 'rerank'], ['ArrowLeft', 'embed']]) {
    await page.keyboard.press(key);
    assert.equal(await focused(), `${wanted}-tab`, key);
    for (const name of TABS) {
      const tab = page.locator(`#${name}-tab`);
      assert.equal(await tab.getAttribute('aria-selected'), String(name === wanted));
      assert.equal(await tab.evaluate((node) => node.tabIndex), name === wanted ? 0 : -1);
      assert.equal(await page.locator(`#${name}-panel`).isVisible(), name === wanted);
    }
    assert.equal(new URL(page.url()).hash, `#${wanted}`);
  }
  await page.getByLabel('Texts, one per line').focus();
  await page.keyboard.press('Enter');
  assert.equal(await textOf(page, '#embed-form .message'), '', 'Enter alone makes a new line');
  await page.keyboard.press('Control+Enter');
  await textBecomes(page, '#embed-form .message', /^Answered/);
  await page.goto(`${service.origin}/#safety`);
  await page.getByLabel('Model message').focus();
  await page.keyboard.press('Control+Enter');
  await textBecomes(page, '#safety-form .message', /^Answered/);
}));

for (const address of ['/', '/docs']) {
  test(`the skip link of ${address} comes first and leads to the content`, () => onPage(address, async (page) => {
    await page.keyboard.press('Tab');
    const link = page.getByRole('link', { name: 'Skip to the content' });
    assert.ok(await link.evaluate((node) => node === document.activeElement));
    await eventually(async () => (await link.boundingBox()).y >= 0, 'the skip link to be on the screen');
    assert.ok(await link.evaluate((node) => parseFloat(getComputedStyle(node).outlineWidth) >= 2), 'it shows the focus');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  }));
}

// Colours as the browser draws them, and what lies behind an element. Runs in the page.
function colourTools() {
  const context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const parse = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((x, i) => x * a + below[i] * (1 - a));
  const behind = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) {
      layers.push(parse(getComputedStyle(at).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((x) => (x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (colour, background) => {
    const [a, b] = [over(parse(colour), background), background].map(luminance);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const name = (node) => `${node.tagName.toLowerCase()}${node.id ? `#${node.id}` : ''}${[...node.classList].map((c) => `.${c}`).join('')} "${node.textContent.trim().slice(0, 30)}"`;
  return { behind, contrast, luminance, name };
}
const withColours = (page, body, argument) => page.evaluate(
  `(${body})((${colourTools})(), ${JSON.stringify(argument ?? null)})`);

// Every stop of the Tab key, until the focus leaves the page: each must be marked, and all must be reached.
async function checkTabOrder(page, where) {
  const wanted = await page.evaluate(() => {
    const all = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')]
      .filter((node) => node.tabIndex >= 0 && node.checkVisibility({ visibilityProperty: true }));
    all.forEach((node, index) => node.setAttribute('data-stop', index));
    all[0].focus();
    return all.length;
  });
  const reached = new Set(['0']);
  for (let i = 0; i <= wanted + 2; ++i) {
    await page.keyboard.press('Tab');
    const stop = await withColours(page, (tools) => {
      const node = document.activeElement;
      if (node === document.body || node === null) return null;
      const style = getComputedStyle(node);
      return {
        stop: node.dataset.stop, name: tools.name(node), width: style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth),
        contrast: tools.contrast(style.outlineColor, tools.behind(node.parentElement)),
      };
    });
    if (stop === null) break;
    assert.ok(stop.stop !== undefined, `${where}: ${stop.name} takes the focus and should not`);
    assert.ok(stop.width >= 2, `${where}: no outline on ${stop.name}`);
    assert.ok(stop.contrast >= 3, `${where}: outline of ${stop.name} has contrast ${stop.contrast}`);
    if (reached.has(stop.stop)) break;
    reached.add(stop.stop);
  }
  assert.equal(reached.size, wanted, `${where}: the Tab key reaches ${reached.size} of ${wanted} elements`);
}

for (const theme of THEMES) {
  test(`every control is reached by the Tab key and shows the focus, ${theme}`, async () => {
    await onPage('/', async (page) => {
      await shown(page, '#model-list li');
      await fillPage(page);
      for (const name of TABS) {
        await page.click(`#${name}-tab`);
        await checkTabOrder(page, name);
      }
    }, { prepare: fullPage, theme });
    await onPage('/docs', async (page) => {
      await shown(page, '.operation');
      await checkTabOrder(page, 'docs');
    }, { theme });
  });
}

// Runs in the page: what an accessibility checker would say of what is visible.
function audit() {
  const found = [];
  const visible = (node) => node.checkVisibility({ visibilityProperty: true });
  const all = (selector) => [...document.querySelectorAll(selector)].filter(visible);
  const describe = (node) => node.outerHTML.slice(0, 90);
  const expect = (good, text) => { if (!good) found.push(text); };
  expect(document.documentElement.lang === 'en', 'no lang');
  expect(document.title !== '', 'no title');
  expect(all('h1').length === 1, `${all('h1').length} h1`);
  expect(all('main').length === 1, `${all('main').length} main`);
  expect(all('body > header').length === 1, 'no banner');
  expect(all('body > footer').length === 1, 'no footer');
  for (const nav of all('nav')) expect(nav.ariaLabel, `nav without a name: ${describe(nav)}`);
  const names = all('nav').map((nav) => nav.ariaLabel);
  expect(new Set(names).size === names.length, 'two nav of one name');
  let level = 0;
  for (const heading of all('h1, h2, h3, h4, h5, h6')) {
    const next = Number(heading.tagName[1]);
    expect(heading.textContent.trim() !== '', `empty heading: ${describe(heading)}`);
    expect(next <= level + 1, `h${next} after h${level}: ${describe(heading)}`);
    level = next;
  }
  const ids = [...document.querySelectorAll('[id]')].map((node) => node.id);
  expect(new Set(ids).size === ids.length, `an id occurs twice: ${ids.filter((id, i) => ids.indexOf(id) !== i)}`);
  for (const name of ['aria-controls', 'aria-labelledby', 'aria-describedby', 'for']) {
    for (const node of document.querySelectorAll(`[${name}]`)) {
      for (const id of node.getAttribute(name).split(' ')) expect(document.getElementById(id), `${name}: there is no ${id}`);
    }
  }
  for (const node of document.querySelectorAll('input, select, textarea')) {
    expect([...node.labels].some((label) => label.textContent.trim() !== ''), `no label: ${describe(node)}`);
  }
  for (const node of all('button, a[href], summary, [role=tab]')) {
    expect((node.ariaLabel ?? node.textContent).trim() !== '', `no name: ${describe(node)}`);
    const box = node.getBoundingClientRect();
    if (node.tagName === 'BUTTON') expect(box.width >= 24 && box.height >= 24, `smaller than 24 px: ${describe(node)}`);
  }
  for (const node of document.querySelectorAll('button')) {
    expect(['button', 'submit'].includes(node.getAttribute('type')), `no type: ${describe(node)}`);
    // A spoken command has the words that are seen.
    if (node.ariaLabel) expect(node.ariaLabel.startsWith(node.textContent.trim()), `name and text differ: ${describe(node)}`);
  }
  for (const image of document.querySelectorAll('img')) expect(image.hasAttribute('alt'), `no alt: ${describe(image)}`);
  for (const node of document.querySelectorAll('[tabindex]')) expect(node.tabIndex <= 0, `tabindex above 0: ${describe(node)}`);
  for (const list of document.querySelectorAll('ul, ol')) {
    expect([...list.children].every((child) => child.tagName === 'LI'), `list with other children: ${describe(list)}`);
  }
  for (const table of document.querySelectorAll('table')) {
    expect(table.caption?.textContent, 'table without a caption');
    expect([...table.querySelectorAll('th')].every((cell) => cell.scope), 'th without scope');
  }
  for (const node of document.querySelectorAll('[role=region]')) expect(node.ariaLabel, `region without a name: ${describe(node)}`);
  for (const tab of document.querySelectorAll('[role=tab]')) {
    expect(tab.closest('[role=tablist]'), 'tab outside of a tablist');
    const panel = document.getElementById(tab.getAttribute('aria-controls'));
    expect(panel?.role === 'tabpanel' && panel.getAttribute('aria-labelledby') === tab.id, `${tab.id} and its panel`);
  }
  for (const form of document.querySelectorAll('main form')) {
    const region = form.querySelector('[role=status], [role=alert]');
    expect(region, `no live region: ${describe(form)}`);
  }
  expect(document.querySelectorAll('[style]:not(.shade, .bar > span), style, script:not([src]), [onclick]').length === 0, 'inline style or script');
  return found;
}

test('landmarks, headings, names and labels are right', async () => {
  await onPage('/', async (page) => {
    await shown(page, '#model-list li');
    assert.deepEqual(await page.evaluate(audit), [], 'empty');
    await fillPage(page);
    for (const name of TABS) {
      await page.click(`#${name}-tab`);
      assert.deepEqual(await page.evaluate(audit), [], name);
    }
  }, { prepare: fullPage });
  await onPage('/docs', async (page) => {
    await shown(page, '.operation');
    assert.deepEqual(await page.evaluate(audit), [], 'docs');
  });
});

// ---- Looks

// Runs in the page: text below 4.5:1 (3:1 where it is large), edges of fields below 3:1.
const lowContrast = (tools) => {
  const low = [];
  let checked = 0;
  const check = (node, colour, background, least, what) => {
    checked += 1;
    const value = tools.contrast(colour, background);
    if (value < least) low.push(`${what} of ${tools.name(node)}: ${value.toFixed(2)}`);
  };
  for (const node of document.body.querySelectorAll('*')) {
    if (!node.checkVisibility({ visibilityProperty: true, opacityProperty: true }) || node.tagName === 'OPTION') continue;
    const style = getComputedStyle(node);
    if (style.opacity !== '1') low.push(`opacity of ${tools.name(node)}`);
    const field = ['INPUT', 'SELECT', 'TEXTAREA'].includes(node.tagName);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (field || [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim() !== '')) {
      check(node, style.color, tools.behind(node), large ? 3 : 4.5, 'text');
    }
    if (field) {
      check(node, style.borderTopColor, tools.behind(node), 3, 'inner edge');
      check(node, style.borderTopColor, tools.behind(node.parentElement), 3, 'outer edge');
      if (node.placeholder) check(node, getComputedStyle(node, '::placeholder').color, tools.behind(node), 4.5, 'placeholder');
    }
    if (node.matches('.bar > span')) check(node, style.backgroundColor, tools.behind(node.parentElement), 3, 'bar');
  }
  return { low, checked, page: tools.luminance(tools.behind(document.body)) };
};

const screenshots = process.env.GARRISON_SCREENSHOTS ?? fs.mkdtempSync(path.join(os.tmpdir(), 'garrison-screenshots-'));
fs.mkdirSync(screenshots, { recursive: true });
after(() => console.log(`screenshots are in ${screenshots}`));

async function checkLooks(page, name, theme, width) {
  await page.mouse.move(0, 0);
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  await page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => null))));
  const where = `${name}, ${theme}, ${width} px`;
  const { low, checked, page: background } = await withColours(page, lowContrast);
  assert.ok(checked > 20, `${where}: only ${checked} texts`);
  assert.deepEqual(low, [], where);
  assert.ok(theme === 'dark' ? background < 0.1 : background > 0.8, `${where}: the page's luminance is ${background}`);
  const scroll = await page.evaluate(() => ({
    have: document.documentElement.scrollWidth, room: document.documentElement.clientWidth,
    out: [...document.body.querySelectorAll('*')].filter((node) => node.checkVisibility() && !node.closest('.scroll, .skip, .unseen')
      && node.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5).map((node) => node.outerHTML.slice(0, 90)),
  }));
  assert.ok(scroll.have <= scroll.room, `${where}: ${scroll.have} px wide`);
  assert.deepEqual(scroll.out, [], `${where}: beyond the right edge`);
  const png = await page.screenshot({ fullPage: name !== 'docs', path: path.join(screenshots, `${name}-${theme}-${width}.png`) });
  const picture = await pictureOf(browser, png);
  assert.equal(picture.width, width, where);
  assert.ok(picture.colours > 50 && picture.most < 0.95, `${where}: blank: ${JSON.stringify(picture)}`);
  assert.ok(theme === 'dark' ? picture.light < 0.25 : picture.light > 0.75, `${where}: ${JSON.stringify(picture)}`);
}

for (const theme of THEMES) {
  for (const width of WIDTHS) {
    test(`contrast, width and picture, ${theme}, ${width} px`, async () => {
      await onPage('/', async (page) => {
        await shown(page, '#model-list li');
        await fillPage(page);
        for (const name of TABS) {
          await page.click(`#${name}-tab`);
          await checkLooks(page, name, theme, width);
        }
        // An error, and the colours under the pointer.
        await page.click('#embed-tab');
        await page.getByLabel('Texts, one per line').fill(' ');
        await page.click('#embed-form [type=submit]');
        await page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => null))));
        assert.deepEqual((await withColours(page, lowContrast)).low, [], 'an error, and a button under the pointer');
      }, { prepare: fullPage, theme, width });
      await onPage('/docs', async (page) => {
        await shown(page, '.operation');
        await page.evaluate(() => document.querySelectorAll('details').forEach((node) => { node.open = true; }));
        await checkLooks(page, 'docs', theme, width);
      }, { theme, width });
      await onPage('/', async (page) => {
        await shown(page, '#key-form');
        await checkLooks(page, 'key', theme, width);
      }, { theme, width, expected: /401/, prepare: (page) => page.route('**/v1/models', (route) => route.fulfill({ status: 401, json: {} })) });
    });
  }
}

test('nothing moves for those who do not want it', async () => {
  const moving = () => [...document.querySelectorAll('*')].filter((node) => {
    const style = getComputedStyle(node);
    return style.transitionDuration.split(', ').some((time) => time !== '0s') || style.animationName !== 'none' || style.scrollBehavior === 'smooth';
  }).map((node) => node.outerHTML.slice(0, 60));
  await onPage('/', async (page) => {
    await shown(page, '#model-list li');
    assert.deepEqual(await page.evaluate(moving), []);
  }, { reducedMotion: 'reduce' });
});

// ---- Page /docs

const slug = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');

test('/docs shows every route of openapi.json', async () => {
  const api = await direct('/openapi.json');
  const routes = Object.entries(api.paths).flatMap(([route, item]) => ['get', 'post', 'put', 'patch', 'delete']
    .filter((method) => item[method]).map((method) => ({ route, method, operation: item[method], id: slug(`${method} ${route}`) })));
  await onPage('/docs', async (page) => {
    await shown(page, '.operation');
    assert.equal(await textOf(page, '#title'), api.info.title);
    assert.equal(await page.locator('.operation').count(), routes.length);
    assert.equal(await page.locator('#route-list li').count(), routes.length);
    for (const { route, method, operation, id } of routes) {
      const part = page.locator(`[id="${id}"]`);
      const text = await part.textContent();
      for (const wanted of [method.toUpperCase(), route, ...(operation.summary ? [operation.summary.replaceAll('`', '')] : []),
        `${service.origin}${route}`, ...Object.keys(operation.responses ?? {})]) {
        assert.ok(text.includes(wanted), `${method} ${route}: "${wanted}" is missing`);
      }
      const tag = await part.evaluate((node) => node.closest('section').querySelector('h2').textContent);
      assert.equal(tag, operation.tags?.[0] ?? 'other', route);
      const media = operation.requestBody?.content?.['application/json'];
      let schema = media?.schema ?? {};
      if (schema.$ref) schema = api.components.schemas[schema.$ref.split('/').pop()];
      const paths = await part.locator('.fields .path').allTextContents();
      for (const [name] of Object.entries(schema.properties ?? {})) assert.ok(paths.includes(name), `${route}: no field ${name}`);
      for (const name of schema.required ?? []) {
        const row = part.locator('.fields > li').filter({ has: page.getByText(name, { exact: true }) }).first();
        assert.match(await row.textContent(), /required/, `${route}: ${name}`);
      }
      if (media?.example !== undefined) assert.ok(text.includes(JSON.stringify(media.example, null, 2)), `${route}: example`);
    }
  });
});

test('/docs filters, and leads to one route by its address', async () => {
  await onPage('/docs', async (page) => {
    await shown(page, '.operation');
    const visible = () => page.locator('.operation:visible h3 .path').allTextContents();
    const all = (await visible()).length;
    await page.getByLabel('Filter').fill('CHECK-safety');
    assert.deepEqual(await page.locator('[id="post-check-safety"]:visible').count(), 1);
    assert.ok((await visible()).length < all);
    assert.equal(await textOf(page, '#count'), `${(await visible()).length} of ${all} routes`);
    assert.equal(await page.locator('#route-list li:visible').count(), (await visible()).length);
    await page.getByLabel('Filter').fill('no such thing anywhere');
    assert.deepEqual(await visible(), []);
    assert.equal(await page.locator('#operations h2:visible').count(), 0);
    await page.getByLabel('Filter').fill('');
    assert.equal((await visible()).length, all);
  });
  await onPage('/docs#post-check-safety', async (page) => {
    await shown(page, '.operation');
    await eventually(() => page.locator('[id="post-check-safety"]').evaluate(
      (node) => Math.abs(node.getBoundingClientRect().top) < innerHeight / 2), 'the route of the address to be on the screen');
    assert.ok(await page.locator('[id="post-check-safety"]').evaluate((node) => node.matches(':target')), 'it is marked');
  });
});

test('/docs survives a description that refers to itself, and any schema', () => {
  const ref = (name) => ({ $ref: `#/components/schemas/${name}` });
  const body = (schema) => ({ requestBody: { content: { 'application/json': { schema } } }, responses: { 200: { $ref: '#/components/responses/Good' } } });
  const many = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`M${i}`, {
    type: 'object', properties: Object.fromEntries(Array.from({ length: 12 }, (__, j) => [`to${j}`, ref(`M${j}`)])) }]));
  const api = {
    openapi: '3.1.0', info: { title: '<b>Odd</b>', version: '1' },
    paths: {
      '/tree': { post: { tags: ['t'], summary: 'A `tree`', ...body(ref('Node')) } },
      '/loop': { post: body(ref('Loop')) }, '/gone': { post: body(ref('Nowhere')) }, '/many': { post: body(ref('M0')) },
      '/all': { post: body({ allOf: [ref('Node'), { properties: { extra: { type: ['integer', 'null'], minimum: 3, default: 4 } }, required: ['extra'] }] }) },
      '/either': { post: body({ oneOf: [{ type: 'string' }, ref('Node')] }) }, '/none': { post: body(true) }, '/bare': { get: {} },
      '/items/{id}': { parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }], delete: { responses: { 204: {} } } },
    },
    components: {
      responses: { Good: { description: 'good', content: { 'application/json': { schema: { type: 'array', items: ref('Node') } } } } },
      schemas: {
        Node: { type: 'object', required: ['name'], properties: { name: { type: 'string', enum: ['a', 'b'] }, children: { type: 'array', items: ref('Node') }, parent: { oneOf: [ref('Node'), { type: 'null' }] } } },
        Loop: ref('Loop2'), Loop2: ref('Loop'), ...many,
      },
    },
  };
  return onPage('/docs', async (page) => {
    await shown(page, '.operation');
    assert.equal(await page.locator('.operation').count(), 9);
    assert.equal(await textOf(page, '#title'), '<b>Odd</b>');
    const fields = (id) => page.locator(`[id="${id}"] > .fields > li`).evaluateAll((rows) => rows.map((row) => row.textContent));
    assert.deepEqual(await fields('post-tree'), ['name"a" | "b"required', 'childrenlist of Node', 'parentNode | null']);
    assert.ok((await fields('post-all')).includes('extrainteger | nullrequiredat least 3, default 4'), (await fields('post-all')).join('; '));
    assert.ok((await fields('post-either')).some((row) => row.startsWith('name')));
    assert.match(await textOf(page, '[id="delete-items-id"] pre'), /^curl -X DELETE '.*\/items\/\{id\}'$/);
    assert.match(await textOf(page, '[id="post-tree"] .code pre'), /"name": "a"/);
  }, { prepare: (page) => page.route('**/openapi.json', (route) => route.fulfill({ json: api })) });
});

test('/docs says why it has nothing to show', async () => {
  for (const [answer, wanted] of [[{ status: 500, json: {} }, /500/], [{ status: 200, body: '{' }, /not JSON/], [null, /cannot be reached/]]) {
    await onPage('/docs', (page) => textBecomes(page, '#message', wanted), {
      expected: /Failed to load resource/,
      prepare: (page) => page.route('**/openapi.json', (route) => (answer ? route.fulfill(answer) : route.abort())),
    });
  }
});
