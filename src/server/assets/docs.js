// The page at /docs: openapi.json for people. Data from the service gets into the page as text only.

const DEEPEST = 8;        // levels of fields
const MOST_FIELDS = 400;  // of one body
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

const byId = (id) => document.getElementById(id);

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made && key !== 'role') made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== ''));
  return made;
}

let api = {};

// ---- Schemas

// The target of a local $ref; what stands beside the $ref goes first. A chain that bites its tail ends in {}.
function resolve(node) {
  const seen = new Set();
  let found = node ?? {};
  while (typeof found.$ref === 'string') {
    const { $ref: ref, ...beside } = found;
    if (seen.has(ref) || !ref.startsWith('#/')) return beside;
    seen.add(ref);
    const target = ref.slice(2).split('/')
      .map((part) => decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~'))
      .reduce((at, part) => at?.[part], api);
    found = { ...(target ?? {}), ...beside };
  }
  return found;
}

const refName = (schema) => (typeof schema?.$ref === 'string' ? schema.$ref.split('/').pop() : '');
const choices = (schema) => schema.oneOf ?? schema.anyOf ?? [];

function merged(schema) {
  const whole = resolve(schema);
  if (!whole.allOf) return whole;
  const { allOf, ...own } = whole;
  return allOf.map(resolve).reduce((sum, part) => ({
    ...part, ...sum,
    properties: { ...part.properties, ...sum.properties },
    required: [...(part.required ?? []), ...(sum.required ?? [])],
  }), own);
}

function typeName(schema, depth = 0) {
  if (typeof schema !== 'object' || schema === null) return 'anything';
  const whole = merged(schema);
  if (depth > DEEPEST) return refName(schema) || 'object';
  if (whole.const !== undefined) return JSON.stringify(whole.const);
  if (whole.enum) return whole.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (choices(whole).length > 0) {
    return [...new Set(choices(whole).map((choice) => typeName(choice, depth + 1)))].join(' | ');
  }
  const names = [whole.type ?? (whole.properties ? 'object' : 'anything')].flat();
  return names.map((name) => {
    if (name === 'array') {
      const item = whole.items ? typeName(whole.items, depth + 1) : 'anything';
      return item.includes('|') ? `list of (${item})` : `list of ${item}`;
    }
    if (name === 'object') return refName(schema) || 'object';
    return name;
  }).join(' | ');
}

const BOUNDS = [['minimum', 'at least'], ['exclusiveMinimum', 'above'], ['maximum', 'at most'], ['minLength', 'length at least'],
  ['maxLength', 'length at most'], ['minItems', 'items at least'], ['maxItems', 'items at most'], ['pattern', 'pattern']];

function bounds(schema) {
  const parts = BOUNDS.filter(([key]) => schema[key] !== undefined).map(([key, words]) => `${words} ${schema[key]}`);
  if (schema.default !== undefined) parts.push(`default ${JSON.stringify(schema.default)}`);
  return parts.join(', ');
}

// Flat rows {path, type, required, description, note} of an object's fields. A schema that is inside itself is
// named there and not opened again: `open` has those that are.
function fieldRows(schema, prefix = '', open = []) {
  if (typeof schema !== 'object' || schema === null || open.length > DEEPEST) return [];
  const whole = merged(schema);
  const key = schema.$ref ?? whole;
  if (open.includes(key)) return [];
  const inside = [...open, key];
  const rows = [];
  for (const [name, field] of Object.entries(whole.properties ?? {})) {
    if (rows.length > MOST_FIELDS) break;
    const target = merged(field);
    const path = `${prefix}${name}`;
    rows.push({
      path, type: typeName(field), required: whole.required?.includes(name) ?? false,
      description: target.description ?? '', note: bounds(target),
    });
    rows.push(...fieldRows(field, `${path}.`, inside));
  }
  const stem = prefix.replace(/\.$/, '');
  if (whole.items) rows.push(...fieldRows(whole.items, `${stem}[].`, inside));
  if (typeof whole.additionalProperties === 'object') rows.push(...fieldRows(whole.additionalProperties, `${stem ? `${stem}.` : ''}*.`, inside));
  const known = new Set(rows.map((row) => row.path));
  for (const choice of choices(whole)) {
    for (const row of fieldRows(choice, prefix, inside)) {
      if (known.has(row.path)) continue;
      known.add(row.path);
      rows.push({ ...row, required: false });
    }
  }
  return rows;
}

// A body made from the schema, where the description has none: examples, defaults, and what is required.
function sample(schema, depth = 0) {
  const whole = merged(schema);
  for (const value of [whole.example, whole.examples?.[0], whole.const, whole.default, whole.enum?.[0]]) {
    if (value !== undefined) return value;
  }
  if (depth > DEEPEST) return null;
  if (choices(whole).length > 0) return sample(choices(whole)[0], depth + 1);
  const type = [whole.type ?? (whole.properties ? 'object' : 'null')].flat()[0];
  if (type === 'object') {
    return Object.fromEntries((whole.required ?? []).map((name) => [name, sample(whole.properties?.[name], depth + 1)]));
  }
  if (type === 'array') return [sample(whole.items, depth + 1)];
  return { string: 'text', integer: 1, number: 0.5, boolean: true }[type] ?? null;
}

function exampleOf(media) {
  if (media.example !== undefined) return media.example;
  const [first] = Object.values(media.examples ?? {});
  if (first !== undefined) return resolve(first).value;
  return media.schema ? sample(media.schema) : undefined;
}

// ---- Parts of the page

// Paragraphs, "- " lists and `code`, which is all that our descriptions use.
function inline(text) {
  return text.split('`').map((part, i) => (i % 2 ? element('code', {}, part) : part));
}

function prose(text) {
  return (text ?? '').split(/\n\s*\n/).filter((block) => block.trim() !== '').map((block) => {
    const rows = block.trim().split('\n');
    if (!rows.every((row) => /^(- |\s)/.test(row))) return element('p', {}, ...inline(rows.join(' ')));
    const items = rows.join('\n').split(/^- /m).filter((item) => item.trim() !== '');
    return element('ul', {}, ...items.map((item) => element('li', {}, ...inline(item.trim()))));
  });
}

function copyable(title, text) {
  const code = element('code', {}, text);
  const button = element('button', { type: 'button', className: 'small' }, 'Copy');
  button.setAttribute('aria-label', `Copy ${title}`);
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
    element('div', { className: 'code-head' }, element('h4', {}, title), button), element('pre', {}, code));
}

function fieldList(rows) {
  return element('ul', { className: 'fields' }, ...rows.map((row) => element('li', {},
    element('code', { className: 'path' }, row.path),
    element('span', { className: 'type' }, row.type),
    row.required ? element('span', { className: 'badge fair' }, 'required') : null,
    ...prose(row.description),
    row.note ? element('p', { className: 'hint' }, row.note) : null)));
}

function plain(value) {
  if (Array.isArray(value)) return value.map(plain).join(', ');
  if (typeof value !== 'object' || value === null) return String(value ?? '');
  return Object.entries(value).map(([key, inner]) => `${key}: ${plain(inner)}`).join(', ');
}

const formatted = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));

function curlLine(method, path, contentType, example) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const base = new URL('.', document.baseURI).href.replace(/\/$/, '');
  const parts = ['curl'];
  if (method !== 'get' && (method !== 'post' || example === undefined)) parts.push(`-X ${method.toUpperCase()}`);
  const address = base + path;
  parts.push(/[{}?&]/.test(address) ? quoted(address) : address);
  if (keyed) parts.push('-H "Authorization: Bearer $GARRISON_API_KEY"');
  if (example !== undefined) {
    parts.push(`-H ${quoted(`Content-Type: ${contentType}`)}`);
    parts.push(`-d ${quoted(typeof example === 'string' ? example : JSON.stringify(example))}`);
  }
  return parts.join(' ');
}

const slug = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');

function contentParts(media, contentType) {
  const rows = fieldRows(media.schema);
  const parts = [];
  if (media.schema && rows.length === 0) {
    parts.push(element('p', {}, element('span', { className: 'type' }, typeName(media.schema))));
  }
  if (rows.length > 0) parts.push(fieldList(rows));
  if (contentType !== 'application/json') parts.unshift(element('p', { className: 'hint' }, contentType));
  return parts;
}

function responseItem(status, described) {
  const response = resolve(described);
  const contents = Object.entries(response.content ?? {});
  const parts = contents.flatMap(([type, media]) => {
    const inner = contentParts(media, type);
    if (media.example !== undefined) inner.push(element('pre', {}, element('code', {}, formatted(media.example))));
    return inner;
  });
  const head = [element('span', { className: `badge ${status < '3' ? 'good' : status < '5' ? 'fair' : 'bad'}` }, status),
    element('span', {}, ...inline(response.description ?? ''))];
  if (parts.length === 0) return element('li', {}, element('p', {}, head[0], ' ', head[1]));
  return element('li', {}, element('details', {}, element('summary', {}, head[0], ' ', head[1]), ...parts));
}

function operationPart({ method, path, operation, shared, id }) {
  const parts = [element('h3', { id: `${id}-title` },
    element('a', { href: `#${id}` },
      element('span', { className: `method ${method}` }, method.toUpperCase()), ' ', element('span', { className: 'path' }, path)))];
  if (operation.summary) parts.push(element('p', { className: 'summary' }, ...inline(operation.summary)));
  if (operation.deprecated) parts.push(element('p', {}, element('span', { className: 'badge bad' }, 'deprecated')));
  parts.push(...prose(operation.description));
  const notes = Object.entries(operation['x-garrison'] ?? {}).filter(([, value]) => plain(value) !== '');
  if (notes.length > 0) {
    parts.push(element('dl', { className: 'facts' }, ...notes.map(([name, value]) => element('div', {},
      element('dt', {}, name), element('dd', {}, plain(value))))));
  }
  const parameters = [...shared, ...(operation.parameters ?? [])].map(resolve);
  if (parameters.length > 0) {
    parts.push(element('h4', {}, 'Parameters'), fieldList(parameters.map((parameter) => ({
      path: parameter.name ?? '', type: `${typeName(parameter.schema)}, in the ${parameter.in}`, required: parameter.required ?? false,
      description: parameter.description ?? '', note: bounds(merged(parameter.schema)),
    }))));
  }
  const body = resolve(operation.requestBody);
  const [[contentType, media] = []] = Object.entries(body.content ?? {});
  const example = media && exampleOf(media);
  if (media) {
    parts.push(element('h4', {}, 'Body'), ...prose(body.description), ...contentParts(media, contentType));
    if (example !== undefined) parts.push(copyable('Example body', formatted(example)));
  }
  parts.push(copyable('curl', curlLine(method, path, contentType, example)));
  const responses = Object.entries(operation.responses ?? {});
  if (responses.length > 0) {
    parts.push(element('h4', {}, 'Responses'),
      element('ul', { className: 'responses' }, ...responses.map(([status, described]) => responseItem(status, described))));
  }
  return element('article', { id, className: 'operation panel', 'aria-labelledby': `${id}-title` }, ...parts);
}

// ---- The whole

let entries = [];  // {part, link, text} of each route
let groups = [];   // {parts, entries} of each tag

function operations() {
  const found = [];
  const taken = new Set();
  for (const [path, described] of Object.entries(api.paths ?? {})) {
    const item = resolve(described);
    for (const method of METHODS.filter((name) => item[name])) {
      let id = slug(`${method} ${path}`);
      while (taken.has(id)) id += '-';
      taken.add(id);
      found.push({ method, path, operation: item[method], shared: item.parameters ?? [], id });
    }
  }
  return found;
}

function show() {
  const all = operations();
  const names = [...(api.tags ?? []).map((tag) => tag.name), ...all.flatMap(({ operation }) => operation.tags ?? []), 'other'];
  byId('title').textContent = api.info?.title ?? 'HTTP API';
  byId('intro').replaceChildren(
    element('p', { className: 'hint' }, `Version ${api.info?.version ?? 'unknown'}`),
    ...prose(api.info?.description));
  byId('operations').replaceChildren();
  byId('route-list').replaceChildren();
  entries = [];
  groups = [];
  for (const name of new Set(names)) {
    const members = all.filter(({ operation }) => (operation.tags?.[0] ?? 'other') === name);
    if (members.length === 0) continue;
    const id = `tag-${slug(name)}`;
    const tag = (api.tags ?? []).find((one) => one.name === name);
    const own = members.map((member) => {
      const part = operationPart(member);
      const link = element('li', {}, element('a', { href: `#${member.id}` },
        element('span', { className: `method ${member.method}` }, member.method.toUpperCase()), ' ',
        element('span', { className: 'path' }, member.path)));
      return { part, link, text: `${name} ${part.textContent}`.toLowerCase() };
    });
    const section = element('section', { 'aria-labelledby': id },
      element('h2', { id }, name), ...prose(tag?.description), ...own.map((entry) => entry.part));
    const list = element('div', {}, element('p', { className: 'group' }, name), element('ul', {}, ...own.map((entry) => entry.link)));
    byId('operations').append(section);
    byId('route-list').append(list);
    entries.push(...own);
    groups.push({ parts: [section, list], entries: own });
  }
  filter();
  // The element of the address did not exist when the page was read: go there again.
  if (location.hash !== '') location.replace(location.hash);
}

function filter() {
  const words = byId('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const entry of entries) {
    const hidden = !words.every((word) => entry.text.includes(word));
    entry.part.hidden = hidden;
    entry.link.hidden = hidden;
  }
  for (const group of groups) {
    const hidden = group.entries.every((entry) => entry.part.hidden);
    for (const part of group.parts) part.hidden = hidden;
  }
  const left = entries.filter((entry) => !entry.part.hidden).length;
  const count = words.length === 0 ? `${entries.length} routes` : `${left} of ${entries.length} routes`;
  if (byId('count').textContent !== count) byId('count').textContent = count;
}

let keyed = false;

async function read(key) {
  let problem = '';
  try {
    const response = await fetch('openapi.json', { headers: key ? { Authorization: `Bearer ${key}` } : {} });
    if (response.status === 401) {
      byId('key-message').textContent = key ? 'This key was not accepted.' : 'The service asks for an API key.';
      byId('key-form').hidden = false;
    }
    if (!response.ok) problem = `openapi.json: the service answered with status ${response.status}`;
    else api = await response.json();
  } catch (error) {
    problem = error instanceof SyntaxError ? 'openapi.json is not JSON' : 'no answer: the service cannot be reached';
  }
  byId('message').textContent = problem;
  byId('message').classList.toggle('error', problem !== '');
  if (problem) return;
  keyed = key !== '';
  byId('key-form').hidden = true;
  show();
}

byId('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const key = byId('key').value.trim();
  byId('key').value = '';
  read(key);
});
byId('filter').addEventListener('input', filter);
byId('routes').open = matchMedia('(min-width: 60rem)').matches;

read('');
