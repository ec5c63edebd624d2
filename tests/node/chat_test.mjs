// The clients that people have for conversations, openai and @anthropic-ai/sdk, against the running service and scripted
// vendors: every client with every vendor.
//
//   node tests/node/chat_test.mjs GARRISON_BINARY MODELS_FOLDER
//
// tests/clients_test.py calls this; the vendors are tests/upstream_chat.py.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import Anthropic from '@anthropic-ai/sdk';
import Ajv2020 from 'ajv/dist/2020.js';
import OpenAI from 'openai';

const [binary] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'garrison-chat-'));
const here = dirname(fileURLToPath(import.meta.url));
const models = ['openai/gpt-4o-mini', 'deepseek/deepseek-chat', 'anthropic/claude-haiku-4-5',
  'bedrock/anthropic.claude-haiku-4-5-v1:0'];
const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const pixel = 'iVBORw0KGgo=';
const clientKey = 'the-key-of-the-clients-here';
const children = [];
let base;
let vendor;

const untilSaid = (child) => new Promise((resolve) => child.stdout.once('data', (data) => resolve(`${data}`.trim())));

before(async () => {
  const script = spawn('/usr/bin/python3', [join(here, '..', 'upstream_chat.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(script);
  vendor = await untilSaid(script);
  const portFile = join(folder, 'port');
  const prices = join(folder, 'prices.json');
  writeFileSync(prices, JSON.stringify({ prices: ['openai', 'deepseek', 'anthropic', 'bedrock'].map((provider) => (
    { provider, model: '*', input: '1', output: '1', image_tokens: 1000, source: 'test', checked: '2026-01-01' })) }));
  const settings = { 'server.port': 0, 'server.api_key': clientKey, 'chat.model': models[0], 'chat.aliases':
    'gpt-4o=openai/gpt-4o,claude-sonnet-4-5=anthropic/claude-sonnet-4-5', 'upstream.attempts': 1,
    'upstream.breaker_failures': 1000, 'upstream.breaker_open_ms': 1, 'bedrock.metadata_endpoint': 'off',
    'openai.base_url': `${vendor}/openai/v1`, 'openai.api_key': 'sk-1', 'deepseek.base_url': `${vendor}/deepseek`,
    'deepseek.api_key': 'sk-2', 'anthropic.base_url': `${vendor}/anthropic`, 'anthropic.api_key': 'sk-3',
    'bedrock.endpoint': vendor, 'bedrock.region': 'us-east-1', 'bedrock.access_key_id': 'AKIDEXAMPLE',
    'bedrock.secret_access_key': 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', 'budget.prices': prices,
    'budget.file': join(folder, 'ledger.db'), 'budget.hour_usd': 1000, 'budget.day_usd': 1000 };
  const sets = Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
  children.push(spawn(binary, ['serve', '--port-file', portFile, ...sets], { stdio: 'inherit' }));
  for (let i = 0; i < 3000 && !(existsSync(portFile) && readFileSync(portFile).length > 0); ++i) await sleep(10);
  base = `http://127.0.0.1:${readFileSync(portFile, 'utf8').trim()}`;
});

after(() => {
  for (const child of children) child.kill();
  rmSync(folder, { recursive: true });
});

const openai = (more = {}) => new OpenAI({ baseURL: `${base}/v1`, apiKey: clientKey, maxRetries: 0, ...more });
const anthropic = (more = {}) => new Anthropic({ baseURL: base, apiKey: clientKey, maxRetries: 0, ...more });
const user = (content) => [{ role: 'user', content }];
const log = async () => (await fetch(`${vendor}/log`)).json();
for (const model of models) {
  test(`openai: ${model}, whole and streamed`, async () => {
    const messages = [{ role: 'system', content: 'be brief' }, ...user('hello wörld [[think]]')];
    const whole = await openai().chat.completions.create({ model, messages });
    assert.equal(whole.choices[0].message.content, 'You said: hello wörld');
    assert.equal(whole.choices[0].finish_reason, 'stop');
    assert.equal(whole.object, 'chat.completion');
    assert.equal(whole.model, model);
    assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
    const { data, response } = await openai().chat.completions.create({ model, messages, stream: true,
      stream_options: { include_usage: true } }).withResponse();
    assert.equal(response.headers.get('x-served-by'), model);
    let text = '';
    let usage;
    for await (const chunk of data) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, 'You said: hello wörld');
    assert.deepEqual(usage, whole.usage);
    const final = await openai().chat.completions.stream({ model, messages }).finalContent();
    assert.equal(final, text);
  });

  test(`openai: ${model}, tools both ways and an image`, async () => {
    const tools = ['weather', 'time'].map((name) => ({ type: 'function', function: { name, parameters: schema } }));
    for (const whole of [true, false]) {
      const ask = { model, tools, messages: user('how is it? [[tool=2]]') };
      const completion = whole ? await openai().chat.completions.create(ask)
        : await openai().chat.completions.stream(ask).finalChatCompletion();
      const [choice] = completion.choices;
      assert.equal(choice.finish_reason, 'tool_calls');
      assert.deepEqual(choice.message.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
        [['weather', { city: 'Zürich 0' }], ['time', { city: 'Zürich 1' }]]);
      const results = choice.message.tool_calls.map((call) => ({ role: 'tool', tool_call_id: call.id, content: 'sun' }));
      const next = await openai().chat.completions.create({ model, tools,
        messages: [...user('how is it?'), choice.message, ...results] });
      assert.equal(next.choices[0].message.content, 'The tool says: call_0 sun, call_1 sun');
    }
    const url = `data:image/png;base64,${pixel}`;
    const seen = await openai().chat.completions.create({ model,
      messages: user([{ type: 'text', text: 'what?' }, { type: 'image_url', image_url: { url } }]) });
    assert.equal(seen.choices[0].message.content, `I see ${url}`);
  });

  test(`anthropic: ${model}, whole and streamed`, async () => {
    const ask = { model, max_tokens: 500, system: 'be brief', messages: user('hello wörld [[think]]') };
    const whole = await anthropic().messages.create(ask);
    assert.equal(whole.content.at(-1).text, 'You said: hello wörld');
    assert.equal(whole.stop_reason, 'end_turn');
    assert.equal(whole.model, model);
    assert.ok(whole._request_id);
    let text = '';
    const stream = anthropic().messages.stream(ask).on('text', (piece) => { text += piece; });
    const final = await stream.finalMessage();
    assert.equal(text, 'You said: hello wörld');
    assert.deepEqual(final.content, whole.content);
    assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
    assert.equal(final.stop_reason, 'end_turn');
    const said = await anthropic().messages.create({ ...ask, messages: user('[[system]]') });
    assert.equal(said.content.at(-1).text, 'My instructions: be brief');
  });

  test(`anthropic: ${model}, tools both ways and an image`, async () => {
    const tools = ['weather', 'time'].map((name) => ({ name, input_schema: schema }));
    const ask = { model, max_tokens: 500, tools, messages: user('how is it? [[tool=2]]') };
    for (const message of [await anthropic().messages.create(ask), await anthropic().messages.stream(ask).finalMessage()]) {
      assert.equal(message.stop_reason, 'tool_use');
      const calls = message.content.filter((block) => block.type === 'tool_use');
      assert.deepEqual(calls.map((call) => [call.name, call.input]),
        [['weather', { city: 'Zürich 0' }], ['time', { city: 'Zürich 1' }]]);
      const results = calls.map((call) => ({ type: 'tool_result', tool_use_id: call.id, content: 'sun' }));
      const next = await anthropic().messages.create({ ...ask, messages: [...user('how is it?'),
        { role: 'assistant', content: message.content }, ...user(results)] });
      assert.equal(next.content.at(-1).text, 'The tool says: call_0 sun, call_1 sun');
    }
    const source = { type: 'base64', media_type: 'image/png', data: pixel };
    const seen = await anthropic().messages.create({ model, max_tokens: 50,
      messages: user([{ type: 'image', source }, { type: 'text', text: 'what?' }]) });
    assert.equal(seen.content[0].text, `I see data:image/png;base64,${pixel}`);
  });

  test(`${model}: an abort ends the answer upstream`, async () => {
    const messages = user('hello [[words=3000]] [[slow=0.02]]');
    await log();
    const stream = await openai().chat.completions.create({ model, messages, stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content?.includes('word3')) break;
    stream.controller.abort();
    const other = anthropic().messages.stream({ model, max_tokens: 500, messages });
    let pieces = 0;
    other.on('text', () => { if (++pieces === 3) other.abort(); });
    await assert.rejects(other.finalMessage(), Anthropic.APIUserAbortError);
    for (let i = 0; i < 500; ++i) {
      const text = await (await fetch(`${base}/metrics`)).text();
      const line = text.split('\n').find((one) => one.startsWith('garrison_chat_requests_total')
        && one.includes('CANCELLED') && one.includes(model));
      if (line?.endsWith(' 2')) break;
      assert.ok(i < 499, 'the service did not see both clients leave');
      await sleep(20);
    }
    await sleep(300);
    const records = await log();
    assert.equal(records.length, 2);
    for (const record of records) {
      assert.ok(record.left, 'the vendor was not left');
      assert.ok(record.chunks < 1500, `${record.chunks} pieces came all the same`);
    }
  });

  test(`${model}: errors before and within an answer are the clients' own`, async () => {
    const both = (text, stream) => [
      () => openai().chat.completions.create({ model, messages: user(text), stream }),
      () => anthropic().messages.create({ model, max_tokens: 50, messages: user(text), stream })];
    for (const stream of [false, true]) {
      for (const [status, kind] of [[400, 'BadRequestError'], [429, 'RateLimitError'], [500, 'InternalServerError']]) {
        const [one, other] = both(`hello [[status=${status}]]`, stream);
        await assert.rejects(one, (error) => error instanceof OpenAI[kind] && /^upstream_/.test(error.code));
        await assert.rejects(other, (error) => error instanceof Anthropic[kind] && error.error.type === 'error'
          && error.requestID === error.error.request_id);
        await sleep(5);
      }
    }
    for (const fault of ['error=9', 'broken=9']) {
      const [one, other] = await Promise.all(both(`hello [[words=60]] [[${fault}]]`, true).map((ask) => ask()));
      let text = '';
      await assert.rejects(async () => {
        for await (const chunk of one) text += chunk.choices[0]?.delta.content ?? '';
      }, (error) => error instanceof OpenAI.APIError);
      await assert.rejects(async () => {
        for await (const event of other) text += event.delta?.text ?? '';
      }, (error) => error instanceof Anthropic.APIError);
      assert.equal(text.match(/word0 /g).length, 2);
    }
  });
}

test('aliases, models and counting', async () => {
  const whole = await openai().chat.completions.create({ model: 'gpt-4o', messages: user('hi') });
  assert.equal(whole.model, 'openai/gpt-4o');
  const message = await anthropic().messages.create({ model: 'claude-sonnet-4-5', max_tokens: 50, messages: user('hi') });
  assert.equal(message.model, 'anthropic/claude-sonnet-4-5');
  const ids = [];
  for await (const model of openai().models.list()) ids.push(model.id);
  assert.ok(ids.includes('openai/gpt-4o') && ids.includes('anthropic/claude-sonnet-4-5'), `${ids}`);
  const { input_tokens: tokens } = await anthropic().messages.countTokens({ model: 'claude-sonnet-4-5',
    messages: user('one two') });
  assert.equal(tokens, 5);
  const older = await openai().completions.create({ model: 'gpt-4o', prompt: 'Say hello.' });
  assert.equal(older.choices[0].text, 'You said: Say hello.');
});

test('errors of ours are the clients own', async () => {
  const messages = user('hi');
  await assert.rejects(openai({ apiKey: 'wrong' }).chat.completions.create({ model: 'gpt-4o', messages }),
    OpenAI.AuthenticationError);
  await assert.rejects(anthropic({ apiKey: 'wrong' }).messages.create({ model: 'x', max_tokens: 5, messages }), (error) =>
    error instanceof Anthropic.AuthenticationError && error.type === 'authentication_error');
  await assert.rejects(openai().chat.completions.create({ model: 'no-such', messages }), OpenAI.NotFoundError);
  await assert.rejects(anthropic().messages.create({ model: 'no-such', max_tokens: 5, messages }), Anthropic.NotFoundError);
  await assert.rejects(openai().chat.completions.create({ model: 'gpt-4o', messages, n: 2 }), (error) =>
    error instanceof OpenAI.BadRequestError && error.param === 'n');
  await assert.rejects(anthropic().messages.create({ model: 'x', max_tokens: 5, messages: [] }), Anthropic.BadRequestError);
});

test('replies keep to the schemas of the OpenAPI document', async () => {
  const document = await (await fetch(`${base}/openapi.json`)).json();
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
  ajv.addSchema({ $id: 'root', components: document.components });
  for (const path of ['/v1/chat/completions', '/v1/completions', '/v1/messages', '/v1/messages/count_tokens']) {
    const operation = document.paths[path].post;
    const content = operation.requestBody.content['application/json'];
    const model = path === '/v1/messages/count_tokens' ? { model: models[2] } : {};
    const reply = await fetch(base + path, { method: 'POST', headers: { 'x-api-key': clientKey },
      body: JSON.stringify({ ...content.example, ...model }) });
    const body = await reply.json();
    assert.equal(reply.status, 200, JSON.stringify(body));
    for (const [what, value] of [[content, content.example], [operation.responses['200'].content['application/json'], body]]) {
      assert.ok(ajv.validate({ $ref: `root${what.schema.$ref}` }, value), `${path}: ${ajv.errorsText()}`);
    }
  }
});
