#!/usr/bin/env node
// What the reference library makes of the tokenizers in fixtures.json:
//   (cd bench/peers && npm install)
//   node tools/tokenizers/golden.mjs > tests/fixtures/tokenizers/golden.jsonl
import fs from 'node:fs';
import { createRequire } from 'node:module';
const root = new URL('../..', import.meta.url).pathname;
const { Tokenizer } = createRequire(`${root}/bench/peers/x.js`)('tokenizers');
const fixtures = JSON.parse(fs.readFileSync(`${root}/tests/fixtures/tokenizers/fixtures.json`, 'utf8'));
const texts = [
  '', ' ', 'the cats sat.', '  The   cat,\tcat\n', 'unable unabled aaaaaaaaaa aaaaaaaaaaa', "don't do not 'S 'LL x'\u017Fy",
  'caf\u00e9 cafe\u0301 CAF\u00c9 \u00c5\u030a', '\u4f60\u597d\u4f60', '\u03a3\u03c2 \u1e9e\u00df \u0130i', 'a<word>b <word> <word>.',
  'x<Right>   y', 'a  [MASK] b[MASK]', '<norm\u00e9> <Norm\u00c9> <NORME>', '[SEP][SEP]x[CLS]', '\ud55c\uae00 \u1112\u1161\u11ab', 'ab abc a b c xyz xa ax',
  '\u0001ab\u0002a', 'A\u00aa\u00a8b\u00e9\u0301', '\u2581a the\u2581', 'the<s>the <s> a', 'a\u00adb\u200bc\u2028d', '12 345,6789.0 \u00bd\u2167',
  'a--b-c', 'a,,b,.c!', '  leading', 'trailing  ', 'line\n\nbreaks\r\n  x', ' <|end|> cat<|end|>', '\ud83d\ude00 \ud83d\udc68\u200d\ud83d\udc69', 'abcabc cab  bac',
  '\ufb01 \uff21\uff22 \u2460', 'e\u0323\u0307e\u0307\u0323 q\u0307\u0323', '\u0958 \u0915\u093c \u2126', '\u0000x\u000by', '\u1d165a\ud834\udd65\ud834\udd6e', '| | a a <pad> a b |', '\u00a0a\u3000b\u1680c',
  '\u0344\u0301 \u0340', '\u0e33\u0e4d \u0eb3', '\uff76\uff9e \u304b\u3099',
];
const ids = (e) => e.getIds();
for (const [name, json] of Object.entries(fixtures)) {
  const tokenizer = Tokenizer.fromString(JSON.stringify(json));
  for (const text of texts) {
    const e = await tokenizer.encode(text, null, { addSpecialTokens: true });
    const row = { name, text, ids: ids(e), tokens: e.getTokens(), offsets: e.getOffsets(), words: e.getWordIds().map((x) => x ?? -1),
      decoded: await tokenizer.decode(ids(e), true), all: await tokenizer.decode(ids(e), false) };
    if (json.post_processor) {
      const pair = await tokenizer.encode(text, 'the b', { addSpecialTokens: true });
      Object.assign(row, { pair: ids(pair), pair_types: pair.getTypeIds() });
    }
    console.log(JSON.stringify(row));
  }
}
