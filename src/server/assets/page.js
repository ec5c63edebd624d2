// The page at /: what runs here, its models, and a form for each job. Data from the service gets into the page as text only.

const REFRESH_MS = 4000;
const REFRESH_WHILE_LOADING_MS = 1000;
const POLL_TIMEOUT_MS = 10000;
const FIRST_NUMBERS = 6;   // of each vector
const VECTORS_SHOWN = 50;
const COSINES_SHOWN = 12;  // lines of the table
const NOTHING = '–';

const byId = (id) => document.getElementById(id);

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made && key !== 'role') made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// Leaves the page alone where nothing changed: selections and screen readers notice every write.
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// ---- Talking to the service

let apiKey = '';        // in memory only
let keyRefused = false;

function errorText(status, body) {
  const error = body?.error;
  if (typeof error === 'string') return error;
  if (typeof error?.message === 'string') return error.message;
  if (typeof body?.message === 'string') return body.message;
  return `the service answered with status ${status}`;
}

// {ok, status, body, ms, problem}; status 0 when there was no answer. Does not throw.
async function ask(path, body, timeout_ms) {
  const headers = {};
  if (apiKey !== '') headers.Authorization = `Bearer ${apiKey}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const start = performance.now();
  let response;
  let text;
  try {
    response = await fetch(path, {
      method: body === undefined ? 'GET' : 'POST',
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store',
      signal: timeout_ms ? AbortSignal.timeout(timeout_ms) : undefined,
    });
    text = await response.text();
  } catch (error) {
    const problem = error.name === 'TimeoutError' ? 'no answer in time' : 'no answer: the service cannot be reached';
    return { ok: false, status: 0, body: null, ms: performance.now() - start, problem };
  }
  const ms = performance.now() - start;
  let answer = null;
  try {
    answer = JSON.parse(text);
  } catch {
    // Not from Garrison, or cut off: the status has to do.
  }
  if (response.status === 401) showKeyForm();
  const ok = response.ok && answer !== null;
  let problem = '';
  if (!ok) problem = response.ok ? 'the answer is not JSON' : errorText(response.status, answer);
  return { ok, status: response.status, body: answer, ms, problem };
}

function showKeyForm() {
  keyRefused = true;
  setText(byId('key-message'), apiKey === '' ? 'The service asks for an API key.' : 'This key was not accepted.');
  byId('key-form').hidden = false;
}

byId('key-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  apiKey = byId('key').value.trim();
  keyRefused = false;
  setText(byId('key-message'), 'Trying the key.');
  await refresh();
  if (keyRefused) return;
  byId('key').value = '';
  byId('key-form').hidden = true;
  byId('models-heading').focus();
});

function curlLine(path, body) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  // The key stays out of what is copied into shells and their histories.
  const key = apiKey === '' ? '' : ' -H "Authorization: Bearer $GARRISON_API_KEY"';
  return `curl ${new URL(path, document.baseURI)}${key} -H 'Content-Type: application/json' -d ${quoted(JSON.stringify(body))}`;
}

function copyable(title, text) {
  const code = element('code', {}, text);
  const button = element('button', { type: 'button', className: 'small' }, 'Copy');
  button.addEventListener('click', async () => {
    let copied = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // No clipboard without HTTPS except on localhost.
      getSelection().selectAllChildren(code);
      copied = document.execCommand('copy');
    }
    button.textContent = copied ? 'Copied' : 'Selected: press Ctrl+C';
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  });
  return element('div', { className: 'code' },
    element('div', { className: 'code-head' }, element('h3', {}, title), button), element('pre', {}, code));
}

// ---- What is running

function duration(seconds) {
  if (!Number.isFinite(seconds)) return NOTHING;
  const s = Math.floor(seconds);
  const parts = [[Math.floor(s / 86400), 'd'], [Math.floor(s / 3600) % 24, 'h'], [Math.floor(s / 60) % 60, 'min'], [s % 60, 's']];
  const first = parts.findIndex(([count]) => count > 0);
  return first < 0 ? '0 s' : parts.slice(first, first + 2).map(([count, unit]) => `${count} ${unit}`).join(' ');
}

const milliseconds = (ms) => (ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(1)} s`);

const STATE_KINDS = { loaded: 'good', loading: 'fair', failed: 'bad', unloaded: '' };

function setBadge(badge, kind, text) {
  setText(badge, text);
  badge.className = kind ? `badge ${kind}` : 'badge';
}

function showService(health, ready) {
  const badge = byId('ready').firstElementChild;
  const [kind, text] = health.status === 0 && ready.status === 0 ? ['bad', 'Not reachable']
    : ready.status === 200 ? ['good', 'Ready']
      : ['fair', 'Not ready'];
  setBadge(badge, kind, text);
  badge.title = ready.status === 200 ? '' : ready.problem;
  setText(byId('service-message'), kind === 'good' ? '' : `The service is ${text.toLowerCase()}: ${ready.problem}`);
  setText(byId('address'), location.host);
  const { version, uptime_s, gpu_available } = health.body ?? {};
  if (version !== undefined) setText(byId('version'), version);
  setText(byId('uptime'), duration(uptime_s));
  if (gpu_available !== undefined) setText(byId('gpu'), gpu_available ? 'available' : 'none');
}

// ---- Models

const cards = new Map();  // id -> the parts of its card

function makeCard(id) {
  const name = element('h3', { tabIndex: -1 }, id);
  const badge = element('span', { className: 'badge' });
  const description = element('p', {});
  const facts = element('p', { className: 'hint' });
  const error = element('p', { className: 'error' });
  const button = element('button', { type: 'button', className: 'small' });
  const root = element('li', {}, element('div', { className: 'card-head' }, name, badge), description, facts, error, button);
  const card = { root, name, badge, description, facts, error, button, busy: false };
  button.addEventListener('click', () => load(id, card));
  return card;
}

function showState(card, state) {
  setBadge(card.badge, STATE_KINDS[state], state);
  const busy = state === 'loading';
  setText(card.button, busy ? 'Loading' : 'Load');
  card.button.ariaLabel = `${card.button.textContent} ${card.name.textContent}`;
  card.button.ariaDisabled = String(busy);
  const offered = busy || state === 'unloaded' || state === 'failed';
  if (!offered && card.button === document.activeElement) card.name.focus();
  card.button.hidden = !offered;
}

function showCard(card, model) {
  const { state = 'loaded' } = model;
  showState(card, card.busy ? 'loading' : state);
  setText(card.description, model.description ?? '');
  setText(card.facts, [
    model.capabilities?.join(', '),
    model.dimension > 0 ? `${model.dimension} dimensions` : '',
    model.max_tokens > 0 ? `${model.max_tokens} tokens` : '',
    model.compute,
    model.revision ? `revision ${model.revision.slice(0, 12)}` : '',
  ].filter(Boolean).join(' · '));
  setText(card.error, state === 'failed' ? (model.error ?? 'it could not be loaded') : '');
}

async function load(id, card) {
  if (card.button.ariaDisabled === 'true') return;
  card.busy = true;
  showState(card, 'loading');
  tell(byId('models-message'), `Loading ${id}`);
  const answer = await ask('models/load', { modelId: id });
  card.busy = false;
  if (answer.ok) tell(byId('models-message'), `Loaded ${id} in ${milliseconds(answer.ms)}`);
  else tell(byId('models-message'), `${id}: ${answer.problem}`, 'bad');
  await refresh();
}

// Options stay the same elements as long as their model is there: what was chosen stays chosen.
function fillSelect(select, models) {
  const options = new Map([...select.options].map((option) => [option.value, option]));
  for (const model of models) {
    const text = (model.state ?? 'loaded') === 'loaded' ? model.id : `${model.id} (${model.state})`;
    if (!options.has(model.id)) select.append(element('option', { value: model.id }, text));
    else setText(options.get(model.id), text);
    options.delete(model.id);
  }
  for (const gone of options.values()) gone.remove();
}

function showModels(answer) {
  if (!answer.ok) {
    tell(byId('models-message'), `The models are not known: ${answer.problem}`, 'bad');
    return REFRESH_MS;
  }
  if (byId('models-message').textContent.startsWith('The models are not known')) tell(byId('models-message'), '');
  const models = answer.body.data ?? [];
  for (const model of models) {
    if (!cards.has(model.id)) {
      cards.set(model.id, makeCard(model.id));
      byId('model-list').append(cards.get(model.id).root);
    }
    showCard(cards.get(model.id), model);
  }
  for (const [id, card] of cards) {
    if (models.some((model) => model.id === id)) continue;
    card.root.remove();
    cards.delete(id);
  }
  for (const job of ['embed', 'rerank']) {
    const able = models.filter((model) => model.capabilities?.includes(job));
    if (byId(`${job}-model`).options.length === 0) able.sort((a, b) => (b.state === 'loaded') - (a.state === 'loaded'));
    fillSelect(byId(`${job}-model`), able);
    byId(`${job}-none`).hidden = able.length > 0;
    byId(`${job}-form`).hidden = able.length === 0;
  }
  return models.some((model) => model.state === 'loading') ? REFRESH_WHILE_LOADING_MS : REFRESH_MS;
}

let timer = 0;
let asked = 0;  // so that an older answer does not replace a newer one

async function refresh() {
  clearTimeout(timer);
  const mine = ++asked;
  // Without its key the service would refuse, and log, every question.
  const blocked = keyRefused && !byId('key-form').hidden;
  const [health, ready, models] = await Promise.all(
    [ask('health', undefined, POLL_TIMEOUT_MS), ask('ready', undefined, POLL_TIMEOUT_MS),
      blocked ? null : ask('v1/models', undefined, POLL_TIMEOUT_MS)]);
  if (mine !== asked) return;
  showService(health, ready);
  const pause_ms = models === null ? REFRESH_MS : showModels(models);
  timer = setTimeout(() => { if (!document.hidden) refresh(); }, pause_ms);
}

document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });

// ---- Tabs

const tabs = [...document.querySelectorAll('[role=tab]')];

function selectTab(chosen) {
  for (const tab of tabs) {
    const selected = tab === chosen;
    tab.setAttribute('aria-selected', String(selected));
    tab.tabIndex = selected ? 0 : -1;
    byId(tab.getAttribute('aria-controls')).hidden = !selected;
  }
  history.replaceState(null, '', `#${chosen.id.replace('-tab', '')}`);
}

for (const [index, tab] of tabs.entries()) {
  tab.addEventListener('click', () => selectTab(tab));
  tab.addEventListener('keydown', (event) => {
    const to = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const next = tabs[(to + tabs.length) % tabs.length];
    selectTab(next);
    next.focus();
  });
}

function selectTabOfAddress() {
  const tab = byId(`${location.hash.slice(1)}-tab`);
  if (tabs.includes(tab)) selectTab(tab);
}
addEventListener('hashchange', selectTabOfAddress);
selectTabOfAddress();

// ---- Forms

function tell(node, text, kind = '') {
  setText(node, text);
  node.classList.toggle('error', kind === 'bad');
}

const lines = (text) => text.split('\n').filter((line) => line.trim() !== '');
const chosen = (job) => byId(`${job}-model`).value || undefined;  // without a list: the service's default
const fixed = (value, digits = 3) => (typeof value === 'number' ? value.toFixed(digits) : NOTHING);

// `prepare` returns {path, body} or {problem}; `show` returns the nodes for an answer.
function wire(job, prepare, show) {
  const form = byId(`${job}-form`);
  const message = form.querySelector('.message');
  const button = form.querySelector('[type=submit]');
  const result = byId(`${job}-result`);
  let busy = false;
  form.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (busy) return;
    const { path, body, problem } = prepare();
    if (problem) {
      tell(message, problem, 'bad');
      return;
    }
    busy = true;
    button.setAttribute('aria-disabled', 'true');
    tell(message, 'Sent');
    const answer = await ask(path, body);
    busy = false;
    button.removeAttribute('aria-disabled');
    const sent = copyable('The same with curl', curlLine(path, body));
    if (!answer.ok) {
      tell(message, answer.problem, 'bad');
      result.replaceChildren(sent);
      return;
    }
    tell(message, `Answered in ${milliseconds(answer.ms)}`);
    result.replaceChildren(...show(answer.body, body), sent);
  });
}

function facts(pairs) {
  return element('dl', { className: 'facts' }, ...pairs.map(([name, value]) => element('div', {},
    element('dt', {}, name), element('dd', {}, String(value ?? NOTHING)))));
}

// A table that may be wider than the screen scrolls by itself, by keyboard as well.
function table(caption, head, rows) {
  return element('div', { className: 'scroll', role: 'region', 'aria-label': caption, tabIndex: 0 }, element('table', {},
    element('caption', {}, caption),
    element('thead', {}, element('tr', {}, ...head.map((text) => element('th', { scope: 'col' }, text)))),
    element('tbody', {}, ...rows)));
}

const short = (text, length = 60) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

function cosine(a, b) {
  let dot = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; ++i) {
    dot += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return aa > 0 && bb > 0 ? dot / Math.sqrt(aa * bb) : NaN;
}

function cosineCell(a, b) {
  const value = cosine(a, b);
  const cell = element('td', { className: 'shade' }, Number.isNaN(value) ? NOTHING : value.toFixed(3));
  cell.style.setProperty('--share', Math.max(0, value || 0).toFixed(3));
  return cell;
}

wire('embed', () => {
  const input = lines(byId('embed-texts').value);
  if (input.length === 0) return { problem: 'Write at least one line of text.' };
  return { path: 'v1/embeddings', body: { model: chosen('embed'), input } };
}, (answer, { input }) => {
  const vectors = answer.data.map((item) => item.embedding);
  const shown = vectors.slice(0, VECTORS_SHOWN);
  const parts = [
    facts([['Texts', vectors.length], ['Dimensions', vectors[0]?.length], ['Tokens', answer.usage?.total_tokens]]),
    element('h3', {}, 'Vectors'),
    element('ol', { className: 'vectors' }, ...shown.map((vector, i) => element('li', {},
      element('span', { className: 'text' }, short(input[i], 200)),
      element('code', {}, `${vector.slice(0, FIRST_NUMBERS).map((x) => fixed(x, 4).padStart(7)).join(' ')} …`)))),
  ];
  if (vectors.length > shown.length) parts.push(element('p', { className: 'hint' }, `and ${vectors.length - shown.length} more`));
  if (vectors.length > 1) {
    const some = vectors.slice(0, COSINES_SHOWN);
    parts.push(table(some.length < vectors.length ? `Cosine between the first ${some.length} lines` : 'Cosine between each pair of lines',
      ['Line', ...some.map((_, i) => String(i + 1))],
      some.map((a, i) => element('tr', {}, element('th', { scope: 'row', title: input[i] }, `${i + 1}  ${short(input[i], 24)}`),
        ...some.map((b) => cosineCell(a, b))))));
  }
  return parts;
});

wire('rerank', () => {
  const documents = lines(byId('rerank-documents').value);
  if (documents.length === 0) return { problem: 'Write at least one document.' };
  const query = byId('rerank-query').value;
  return { path: 'v1/rerank', body: { model: chosen('rerank'), query, documents, return_documents: true } };
}, (answer, { documents }) => {
  const results = [...answer.results].sort((a, b) => b.relevance_score - a.relevance_score);
  const scores = results.map((result) => result.relevance_score);
  // Probabilities are drawn as they are; other scores between the lowest and the highest.
  const plain = scores.every((score) => score >= 0 && score <= 1);
  const [low, high] = plain ? [0, 1] : [Math.min(...scores), Math.max(...scores)];
  return [
    element('h3', {}, 'Best first'),
    element('ol', { className: 'ranks' }, ...results.map((result) => {
      const bar = element('span', {});
      bar.style.width = `${high > low ? 100 * (result.relevance_score - low) / (high - low) : 100}%`;
      const text = typeof result.document === 'string' ? result.document : result.document?.text;
      return element('li', {},
        element('span', { className: 'score' }, fixed(result.relevance_score, 4)),
        element('span', { className: 'bar', 'aria-hidden': 'true' }, bar),
        element('span', { className: 'hint' }, `line ${result.index + 1}`),
        element('span', { className: 'text' }, text ?? documents[result.index] ?? ''));
    })),
  ];
});

const ACTION_KINDS = { allow: 'good', review: 'fair', block: 'bad' };
let turns = [];  // of the conversation that is shown
let conversation = '';

function verdict(action) {
  return element('span', { className: `badge ${ACTION_KINDS[action] ?? ''}` }, action ?? NOTHING);
}

wire('safety', () => {
  const body = { user_message: byId('safety-user').value, model_message: byId('safety-reply').value };
  const id = byId('safety-conversation').value.trim();
  if (id !== '') body.conversation_id = id;
  return { path: 'check-safety', body };
}, (answer, sent) => {
  // Forgotten by the service, it starts at turn 1 again.
  if (answer.conversation_id !== conversation || answer.turn === 1) turns = [];
  conversation = answer.conversation_id;
  byId('safety-conversation').value = conversation;
  turns.push({ ...answer, said: sent.model_message || sent.user_message });
  const notes = [
    ...(answer.alerts ?? []).map((alert) => `Alert: ${alert.kind ?? alert} ${fixed(alert.value)}, above ${alert.threshold ?? NOTHING}`),
    ...(answer.messages ?? []).map(String)];
  return [
    element('p', { className: 'verdict' }, verdict(answer.action), element('span', {},
      [`Turn ${answer.turn}`, answer.status, answer.quadrant].filter(Boolean).join(' · '))),
    notes.length > 0 ? element('ul', { className: 'notes' }, ...notes.map((note) => element('li', {}, note))) : null,
    facts([
      ['Likelihood', fixed(answer.likelihood)], ['R_model', fixed(answer.R_model)], ['R_user', fixed(answer.R_user)],
      ['C_model', fixed(answer.C_model)], ['rho', fixed(answer.rho)], ['Robustness', answer.robustness],
    ]),
    table('This conversation', ['Turn', 'Model message', 'R_model', 'v', 'a', 'Likelihood', 'Action'],
      turns.map((turn) => element('tr', {}, element('th', { scope: 'row' }, String(turn.turn)),
        element('td', { className: 'text' }, short(turn.said, 40)),
        ...[turn.R_model, turn.v, turn.a, turn.likelihood].map((value) => element('td', {}, fixed(value))),
        element('td', {}, verdict(turn.action))))),
  ].filter(Boolean);
});

byId('safety-new').addEventListener('click', () => {
  turns = [];
  conversation = '';
  byId('safety-conversation').value = '';
  byId('safety-result').replaceChildren();
  tell(byId('safety-form').querySelector('.message'), 'The next turn begins a new conversation.');
  byId('safety-user').focus();
});

refresh();
