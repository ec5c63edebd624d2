// report.html of `garrison guard evaluate`, opened from its file in a real browser.
//
//     node tests/node/evaluate_test.mjs build/garrison
//
// Needs Debian's chromium (CHROMIUM=FILE for another) and, once, `npm ci` in this folder. Without either it says so and
// exits with 77: skipped. Screenshots of both themes go to the folder GARRISON_SCREENSHOTS, or else to a temporary one
// that is named at the end.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { pictureOf } from './picture.mjs';

const PATIENCE_MS = 60_000;  // before a hang counts as a failure
const SKIPPED = 77;
const THEMES = ['light', 'dark'];
const HOSTILE = '<script>document.title = "taken"</script><img src=x onerror=alert(1)> " ]]> \u202E gnp \u0645\u0631\u062D';
const PNG_MAGIC = '89504e470d0a1a0a';

function skip(reason) {
  console.error(`evaluate_test: skipped: ${reason}`);
  process.exit(SKIPPED);
}

const [binary] = process.argv.slice(2);
if (!binary) {
  console.error('usage: node evaluate_test.mjs GARRISON_BINARY');
  process.exit(2);
}
const chromiumFile = process.env.CHROMIUM ?? '/usr/bin/chromium';
if (!fs.existsSync(chromiumFile)) skip(`there is no ${chromiumFile}; apt-get install chromium`);
const { chromium } = await import('playwright-core').catch(() => skip('there is no playwright-core; npm ci in tests/node'));

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'garrison-evaluate-'));
const screenshots = process.env.GARRISON_SCREENSHOTS ?? fs.mkdtempSync(path.join(os.tmpdir(), 'garrison-screenshots-'));
fs.mkdirSync(screenshots, { recursive: true });

// ---- The report

function put(name, content) {
  const file = path.join(folder, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
}

const risks = (rows) => `Turn,RiskSeverity_Model,RiskSeverity_User\n${rows.map(([m, u], i) => `${i + 1},${m},${u}`).join('\n')}\n`;

function run(...flags) {
  const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('GARRISON_')));
  execFileSync(path.resolve(binary), ['guard', ...flags], { cwd: folder, env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
}

function makeReports() {
  put('runs/steady/T1.json', { turns: [{ user: HOSTILE, model: 'I cannot help with that.' }, { user: 'Please', model: HOSTILE }] });
  put('runs/steady/T2.json', { turns: [{ user: 'What is a prime?', model: 'A number with two divisors.' }] });
  put('runs/steady/T3.1.json', { turns: [{ user: 'Only one side' }] });
  put('runs/drifting <b>/T2.csv', risks([[0.1, 0.4], [0.9, 0.4], [0.2, 0.3]]));
  put('runs/drifting <b>/T3.2.csv', risks(Array.from({ length: 30 }, (_, i) => [0.2 + i / 20, 0.2])));
  put('texts.txt', ['cat', 'dog', 'tree', 'river', 'house', 'stone'].flatMap((a) => ['lamp', 'chair', 'bread'].map((b) => `the ${a} and the ${b}`)).join('\n'));
  run('train', '--input', 'texts.txt', '--output', 'projection.json');
  run('evaluate', 'runs', '--projection', 'projection.json', '--output', 'report');
  for (let model = 0; model < 4; ++model) {
    for (let i = 0; i < 50; ++i) {
      put(`many/model-${model}/T${i}.csv`, risks(Array.from({ length: 12 }, (_, t) => [0.1 * model + i / 100 + t / 50, 0.5])));
    }
  }
  run('evaluate', 'many', '--output', 'report-many');
}

let browser;

before(async () => {
  makeReports();
  browser = await chromium.launch({ executablePath: chromiumFile, args: process.getuid() === 0 ? ['--no-sandbox'] : [] });
}, { timeout: 2 * PATIENCE_MS });

after(async () => {
  await browser?.close();
  fs.rmSync(folder, { recursive: true, force: true });
  console.log(`screenshots are in ${screenshots}`);
});

// Runs `act` on the page, which must have no errors, no violation of its policy, and no request but for itself and what
// it carries.
async function onReport(name, act, { theme = 'light', width = 1280, ...options } = {}) {
  const context = await browser.newContext({ colorScheme: theme, viewport: { width, height: 900 }, acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const address = pathToFileURL(path.join(folder, name, 'report.html')).href;
  const problems = [];
  page.on('console', (message) => problems.push(`console: ${message.type()} ${message.text()}`));
  page.on('pageerror', (error) => problems.push(`error: ${error.stack}`));
  page.on('dialog', (dialog) => { problems.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => {
    const url = request.url();
    if (url.split('#')[0] !== address && !url.startsWith('data:') && !url.startsWith('blob:')) problems.push(`request to ${url}`);
  });
  try {
    await page.goto(address);
    await act(page);
    assert.deepEqual(problems, []);
  } finally {
    await context.close();
  }
}

const openAll = (page) => page.evaluate(() => document.querySelectorAll('details').forEach((node) => { node.open = true; }));

// ---- What it shows

test('it shows models, hypotheses, plots and conversations', async () => {
  await onReport('report', async (page) => {
    assert.equal(await page.title(), 'Guard evaluation');
    const text = await page.locator('body').textContent();
    for (const wanted of ['NOT ENOUGH DATA', 'drifting <b>', 'steady', 'H1 on T1', 'not testable', 'steady against drifting <b>']) {
      assert.ok(text.includes(wanted), `"${wanted}" is missing`);
    }
    const figures = await page.locator('main > .figures figure').count();
    assert.equal(figures, 6, 'Phi, rho of two models, C, peaks, sycophancy');
    assert.equal(await page.locator('details').count(), 5);
    assert.equal(await page.locator('details[open]').count(), 0, 'collapsed');
    const rows = await page.locator('table', { hasText: 'All conversations' }).locator('tbody tr').count();
    assert.equal(rows, 5);
    assert.equal(await page.locator('td', { hasText: /^partial$/ }).count(), 1);
  });
});

test('a link leads to a conversation and opens it', async () => {
  await onReport('report', async (page) => {
    await page.locator('a[href="#c1"]').click();
    await page.locator('#c1').waitFor({ state: 'visible' });
    assert.equal(await page.locator('#c1 figure').count(), 6);
    assert.match(await page.locator('#c1').textContent(), /no vectors of two dimensions/);
    const trajectory = page.locator('[id="c3-xy"]');
    assert.equal(await trajectory.count(), 1, 'conversations scored with a projection have a trajectory');
  });
});

test('what was said is text and nothing else', async () => {
  await onReport('report', async (page) => {
    await openAll(page);
    assert.equal(await page.evaluate(() => document.querySelectorAll('img, script:not(:last-of-type)').length), 0);
    assert.equal(await page.evaluate(() => document.scripts.length), 1);
    const said = await page.locator('td.said').allTextContents();
    assert.ok(said.some((text) => text === HOSTILE.replace('\u202E', '\uFFFD')), said.join('\n'));
    const order = await page.evaluate(() => [...document.querySelectorAll('[id]')].map((node) => node.id));
    assert.equal(new Set(order).size, order.length, 'ids are unique');
  });
});

test('every plot has a name and words, every table a caption', async () => {
  await onReport('report', async (page) => {
    await openAll(page);
    const bad = await page.evaluate(() => {
      const named = (svg) => (svg.getAttribute('aria-labelledby') ?? '').split(' ').map((id) => document.getElementById(id)?.textContent ?? '');
      return [
        ...[...document.querySelectorAll('figure > svg')].filter((svg) => {
          const [title, words] = named(svg);
          return !(svg.getAttribute('role') === 'img' && title && words && words.length > 20);
        }).map((svg) => `plot ${svg.id}`),
        ...[...document.querySelectorAll('table')].filter((table) => !table.caption?.textContent).map(() => 'table without caption'),
        ...[...document.querySelectorAll('th:not([scope])')].map((cell) => `th ${cell.textContent}`),
        ...[...document.querySelectorAll('button')].filter((button) => !button.getAttribute('aria-label')?.startsWith('PNG of: ')).map(() => 'button'),
      ];
    });
    assert.deepEqual(bad, []);
    assert.ok(await page.locator('figure > svg').count() > 25);
  });
});

test('it can be read without scripts', async () => {
  await onReport('report', async (page) => {
    assert.ok(await page.locator('#phi').isVisible());
    assert.equal(await page.locator('button').count(), 0, 'no button that does nothing');
    await page.locator('details > summary').first().click();
    assert.ok(await page.locator('#c1-l').isVisible());
  }, { javaScriptEnabled: false });
});

// ---- PNG

const number = (rgb) => { const [r, g, b] = rgb.match(/\d+/g).map(Number); return (r << 16) | (g << 8) | b; };

for (const theme of THEMES) {
  test(`the PNG button gives a picture of the plot, ${theme}`, async () => {
    await onReport('report', async (page) => {
      await openAll(page);
      for (const id of ['phi', 'cumulative', 'c3-r', 'c3-xy', 'c2-l']) {
        const figure = page.locator('figure', { has: page.locator(`[id="${id}"]`) });
        const [download] = await Promise.all([page.waitForEvent('download'), figure.getByRole('button').click()]);
        assert.equal(download.suggestedFilename(), `${id}.png`);
        const file = path.join(screenshots, `plot-${id}-${theme}.png`);
        await download.saveAs(file);
        const png = fs.readFileSync(file);
        assert.equal(png.subarray(0, 8).toString('hex'), PNG_MAGIC, id);
        const size = await page.locator(`[id="${id}"]`).evaluate((svg) => [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height]);
        assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], size.map((side) => 2 * side), id);
        const picture = await pictureOf(browser, png);
        assert.ok(picture.colours > 10 && picture.most < 0.99, `${id} is blank: ${picture.colours} colours`);
        // Background and series have the page's colours.
        const looks = await figure.evaluate((node) => getComputedStyle(node).backgroundColor);
        assert.ok(picture.counts[number(looks)] > 0.3 * picture.width * picture.height, `${id}: background`);
        if (id === 'c3-r') {
          const series = await page.locator('[id="c3-r"] .series.line-model').evaluate((node) => getComputedStyle(node).stroke);
          assert.ok(picture.counts[number(series)] > 50, `${id}: the model's line in ${series}`);
        }
      }
    }, { theme });
  });
}

// ---- Looks

// Texts of HTML and SVG with too little contrast to what is behind them.
const lowContrast = () => {
  const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((c) => { const s = c / 255; return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => { const [x, y] = [luminance(a), luminance(b)]; return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05); };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const low = [];
  let checked = 0;
  const check = (node, colour, back, least) => {
    checked += 1;
    const value = contrast(parse(colour).slice(0, 3), back);
    if (value < least) low.push(`${node.tagName}.${node.getAttribute('class')} "${node.textContent.slice(0, 30)}": ${value.toFixed(2)}`);
  };
  for (const node of document.body.querySelectorAll('*')) {
    if (!node.checkVisibility()) continue;
    const style = getComputedStyle(node);
    const svg = node.closest('svg');
    if (svg) {
      if (node.tagName === 'text') {
        check(node, style.fill, behind(svg), 4.5);
        const zone = svg.querySelector('rect[class^="zone-"]');
        if (zone) check(node, style.fill, parse(getComputedStyle(zone).fill).slice(0, 3), 4.5);
      } else if (/^(fill|series|rule)/.test(node.getAttribute('class') ?? '')) {
        check(node, style.stroke !== 'none' ? style.stroke : style.fill, behind(svg), 3);
      }
    } else if ([...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim() !== '') && !['SCRIPT', 'STYLE'].includes(node.tagName)) {
      check(node, style.color, behind(node), 4.5);
    }
  }
  return { low: [...new Set(low)], checked };
};

for (const theme of THEMES) {
  for (const width of [360, 1280]) {
    test(`contrast, width and picture, ${theme}, ${width} px`, async () => {
      await onReport('report', async (page) => {
        await page.evaluate(() => document.querySelectorAll('details').forEach((node, i) => { node.open = i === 2; }));
        const { low, checked } = await page.evaluate(lowContrast);
        assert.ok(checked > 200, `only ${checked} texts`);
        assert.deepEqual(low, []);
        const scroll = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
        assert.ok(scroll[0] <= scroll[1], `${scroll[0]} px wide`);
        const png = await page.screenshot({ fullPage: true, path: path.join(screenshots, `evaluation-${theme}-${width}.png`) });
        const picture = await pictureOf(browser, png);
        assert.equal(picture.width, width);
        assert.ok(picture.colours > 100 && picture.most < 0.95, `blank: ${picture.colours} colours`);
        assert.ok(theme === 'dark' ? picture.light < 0.25 : picture.light > 0.75, `light ${picture.light}`);
      }, { theme, width });
    });
  }
}

test('two hundred conversations stay usable', async () => {
  await onReport('report-many', async (page) => {
    assert.equal(await page.locator('details').count(), 200);
    assert.equal(await page.locator('details[open]').count(), 0);
    await page.locator('a[href="#c150"]').click();
    await page.locator('#c150').waitFor({ state: 'visible' });
    const [download] = await Promise.all([page.waitForEvent('download'), page.locator('#c150 button').first().click()]);
    assert.equal(download.suggestedFilename(), 'c150-r.png');
    assert.ok(await page.locator('#cumulative circle, #cumulative path, #cumulative rect').count() >= 200);
  });
});
