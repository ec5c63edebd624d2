// The clients that people already have, against the running service: openai, cohere-ai, ollama. Also checks the
// OpenAPI document: that it validates, and that replies keep to it.
//
//   node tests/node/clients_test.mjs GARRISON_BINARY MODELS_FOLDER
//
// MODELS_FOLDER is made by tests/model_fixtures.py; tests/clients_test.py does that and calls this.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Validator } from '@seriousme/openapi-schema-validator';
import Ajv2020 from 'ajv/dist/2020.js';
import { CohereClient, CohereClientV2, CohereError } from 'cohere-ai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';

const [binary, models] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'garrison-clients-'));
const texts = ['a cat', 'the dog ran far away .', 'mat'];
let service;
let base;

before(async () => {
  const portFile = join(folder, 'port');
  service = spawn(binary, ['serve', '--set', 'server.port=0', '--port-file', portFile, '--model', 'tiny-embedder',
    '--dtype', 'f32', '--set', `engine.models_folder=${models}`,
    '--set', 'engine.aliases=text-embedding-3-small=tiny-embedder,rerank-v3.5=tiny-reranker'], { stdio: 'inherit' });
  for (let i = 0; i < 3000 && !(existsSync(portFile) && readFileSync(portFile).length > 0); ++i) await sleep(10);
  base = `http://127.0.0.1:${readFileSync(portFile, 'utf8').trim()}`;
});

after(() => {
  service.kill();
  rmSync(folder, { recursive: true });
});

const close = (got, expected) => {
  assert.equal(got.length, expected.length);
  got.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 1e-6, `${i}: ${value} is not ${expected[i]}`));
};
const raw = async (path, body) => (await fetch(base + path, { method: 'POST', body: JSON.stringify(body) })).json();
const openai = (more = {}) => new OpenAI({ baseURL: `${base}/v1`, apiKey: 'any', maxRetries: 0, ...more });

test('openai: embeddings in base64, which it asks for by itself, and in floats', async () => {
  const expected = await raw('/embed', { inputs: texts });
  const reply = await openai().embeddings.create({ model: 'text-embedding-3-small', input: texts });
  assert.equal(reply.data.length, 3);
  reply.data.forEach((row, i) => { assert.equal(row.index, i); close(row.embedding, expected[i]); });
  assert.equal(reply.usage.total_tokens, reply.usage.prompt_tokens);
  const float = await openai().embeddings.create({ model: 'tiny-embedder', input: texts[0], encoding_format: 'float' });
  close(float.data[0].embedding, expected[0]);
  const ids = await openai().embeddings.create({ model: 'tiny-embedder', input: [[2, 5, 6, 3]] });
  close(ids.data[0].embedding, expected[0]);
  const short = await openai().embeddings.create({ model: 'tiny-embedder', input: 'a cat', dimensions: 5 });
  assert.equal(short.data[0].embedding.length, 5);
});

test('openai: models and moderations', async () => {
  const ids = [];
  for await (const model of openai().models.list()) ids.push(model.id);
  assert.deepEqual(ids.sort(), ['acme/tiny-classifier', 'builtin:lexical', 'tiny-embedder', 'tiny-reranker']);
  assert.equal((await openai().models.retrieve('tiny-reranker')).object, 'model');
  assert.equal((await openai().models.retrieve('acme/tiny-classifier')).id, 'acme/tiny-classifier');
  const { results } = await openai().moderations.create({ input: ['a cat', 'mat'] });
  assert.equal(results.length, 2);
  assert.equal(typeof results[0].flagged, 'boolean');
});

test('openai: its own error classes', async () => {
  await assert.rejects(openai().embeddings.create({ model: 'gpt-9', input: 'a' }), (error) =>
    error instanceof OpenAI.NotFoundError && error.status === 404 && error.param === 'model');
  await assert.rejects(openai().embeddings.create({ model: 'tiny-embedder', input: ['a', ''] }), (error) =>
    error instanceof OpenAI.BadRequestError && error.param === 'input[1]' && error.code === 'INVALID_ARGUMENT');
  await assert.rejects(openai().embeddings.create({ model: 'tiny-embedder', input: 'a', dimensions: 99 }),
    OpenAI.BadRequestError);
  await assert.rejects(openai().chat.completions.create({ model: 'x', messages: [{ role: 'user', content: 'a' }] }), (error) =>
    error instanceof OpenAI.BadRequestError && error.code === 'model_not_available');
});

test('openai: time-outs and aborts leave the service well', async () => {
  const many = Array.from({ length: 2000 }, (_, i) => `the cat sat on the mat ${'a '.repeat(i % 20)}`);
  await assert.rejects(openai({ timeout: 1 }).embeddings.create({ model: 'tiny-embedder', input: many }),
    OpenAI.APIConnectionTimeoutError);
  const controller = new AbortController();
  const pending = openai().embeddings.create({ model: 'tiny-embedder', input: many }, { signal: controller.signal });
  setTimeout(() => controller.abort(), 5);
  await assert.rejects(pending, OpenAI.APIUserAbortError);
  const reply = await openai().embeddings.create({ model: 'tiny-embedder', input: many });
  assert.equal(reply.data.length, 2000);
});

test('openai: many at once get what one alone gets', async () => {
  const alone = await openai().embeddings.create({ model: 'tiny-embedder', input: texts, encoding_format: 'float' });
  const all = await Promise.all(Array.from({ length: 40 }, () =>
    openai().embeddings.create({ model: 'tiny-embedder', input: texts, encoding_format: 'float' })));
  for (const reply of all) assert.deepEqual(reply.data, alone.data);
});

test('cohere: rerank in both versions', async () => {
  const expected = await raw('/rerank', { query: 'a cat', texts });
  const v2 = new CohereClientV2({ token: 'any', environment: base });
  const reply = await v2.rerank({ model: 'rerank-v3.5', query: 'a cat', documents: texts, topN: 2 });
  assert.deepEqual(reply.results.map((r) => r.index), expected.slice(0, 2).map((r) => r.index));
  close(reply.results.map((r) => r.relevanceScore), expected.slice(0, 2).map((r) => r.score));
  const v1 = new CohereClient({ token: 'any', environment: base });
  const old = await v1.rerank({ model: 'tiny-reranker', query: 'a cat', documents: texts.map((text) => ({ text })),
    returnDocuments: true });
  assert.deepEqual(old.results.map((r) => r.document.text), expected.map((r) => texts[r.index]));
  await assert.rejects(v2.rerank({ model: 'nothing', query: 'a', documents: ['a'] }, { maxRetries: 0 }), (error) =>
    error instanceof CohereError && error.statusCode === 404 && /nothing/.test(error.body.message));
  await assert.rejects(v2.rerank({ model: 'tiny-reranker', query: 'a', documents: [] }, { maxRetries: 0 }), (error) =>
    error instanceof CohereError && error.statusCode === 400);
});

test('ollama: embeddings and models', async () => {
  const ollama = new Ollama({ host: base });
  const expected = await raw('/embed', { inputs: texts });
  const reply = await ollama.embed({ model: 'tiny-embedder', input: texts });
  reply.embeddings.forEach((row, i) => close(row, expected[i]));
  assert.ok(reply.total_duration > 0 && reply.prompt_eval_count > 0);
  close((await ollama.embed({ model: 'tiny-embedder:latest', input: 'a cat' })).embeddings[0], expected[0]);
  close((await ollama.embeddings({ model: 'tiny-embedder', prompt: 'a cat' })).embedding, expected[0]);
  assert.ok((await ollama.list()).models.some((model) => model.name === 'tiny-embedder'));
  assert.deepEqual((await ollama.show({ model: 'tiny-embedder' })).capabilities, ['embedding']);
  assert.ok((await ollama.ps()).models.length > 0);
  await assert.rejects(ollama.embed({ model: 'nothing', input: 'a' }), (error) =>
    error.status_code === 404 && /nothing/.test(error.message));
  await assert.rejects(ollama.embed({ model: 'tiny-embedder', input: ['a', ''] }), /input\[1\]/);
});

test('the OpenAPI document validates, and its examples get replies that keep to it', async () => {
  const document = await (await fetch(`${base}/openapi.json`)).json();
  const checked = await new Validator().validate(structuredClone(document));
  assert.ok(checked.valid, JSON.stringify(checked.errors, null, 1));
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
  ajv.addSchema({ $id: 'root', components: document.components });
  const schemaOf = (content) => ({ $ref: `root${content['application/json'].schema.$ref}` });
  let routes = 0;
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      let example = operation.requestBody?.content['application/json'].example;
      if (operation.requestBody) {
        assert.ok(example, `${path} has no example`);
        assert.ok(ajv.validate(schemaOf(operation.requestBody.content), example), `${path}: the example does not fit`);
      }
      let where = path.replace('{id}', path.startsWith('/assets') ? 'style.css' : 'tiny-embedder');
      if (path.startsWith('/v1/guard/conversations/')) {
        // One that is there; of another service's numbers nothing is taken over.
        await raw('/check-safety', { user_message: 'a cat', model_message: 'sat', conversation_id: 'tiny-embedder' });
        if (method === 'put') {
          example = await (await fetch(`${base}${where}/export`)).json();
          where += '?replace=true';
        }
      }
      const reply = await fetch(base + where, { method, body: example && JSON.stringify(example) });
      const body = await reply.text();
      const content = reply.ok ? operation.responses['200'].content : operation.responses.default.content;
      if (path === '/classify-pattern') assert.equal(reply.status, 501, body);
      else if (path.startsWith('/api/budget/')) assert.equal(reply.status, 400, body);  // nothing is paid for
      else if (operation['x-garrison'].scope === 'chat') assert.equal(reply.status, 400, body);  // nobody is set up
      else assert.equal(reply.status, 200, `${method} ${path}: ${body}`);
      if (content) {
        assert.ok(ajv.validate(schemaOf(content), JSON.parse(body)), `${path}: ${ajv.errorsText()}\n${body}`);
      }
      ++routes;
    }
  }
  assert.ok(routes > 39, `${routes}`);
});
