// llama.cpp as a peer, prebuilt in the package node-llama-cpp (worker.mjs says what it answers).
//   node llamacpp_worker.mjs --model DIR --variant FILE.gguf      reads DIR/gguf/FILE.gguf
// The package's public interface embeds one text at a time, so this calls llama_decode through the class underneath,
// which is why the package's version is pinned. Batches exist with flash attention only: without it llama.cpp computes
// the attention between all texts of a batch and throws most of it away. With it, too, larger batches were slower.
import fs from 'node:fs';
import path from 'node:path';
import { serve } from './worker.mjs';

const BATCH_TOKENS = 256;

/** Consecutive texts, as many as fit together. */
function groupsOf(ids) {
  const groups = [];
  let tokens = Infinity;
  for (const text of ids) {
    tokens += text.length;
    if (tokens > BATCH_TOKENS) {
      groups.push([]);
      tokens = text.length;
    }
    groups.at(-1).push(text);
  }
  return groups;
}

function version() {
  const read = (file) => JSON.parse(fs.readFileSync(new URL(file, import.meta.resolve('node-llama-cpp')), 'utf8'));
  return `${read('../llama/binariesGithubRelease.json').release} (node-llama-cpp ${read('../package.json').version})`;
}

await serve(version, async ({ model, variant }) => {
  const { getLlama } = await import('node-llama-cpp');
  const llama = await getLlama({
    gpu: false, build: 'never', skipDownload: true, progressLogs: false, maxThreads: 1, logger: () => {},
  });
  const loaded = await llama.loadModel({ modelPath: path.join(model, 'gguf', variant), gpuLayers: 0 });
  return async (ids, way) => {
    const groups = (way === 'batch' ? groupsOf(ids) : ids.map((text) => [text]))
      .map((texts) => texts.map((text) => Uint32Array.from(text)));
    const tokensOf = (texts) => texts.reduce((sum, text) => sum + text.length, 0);
    const sequences = Math.max(...groups.map((texts) => texts.length));
    // A size that is no multiple of the number of texts fails an assertion in llama.cpp.
    const batchSize = Math.ceil(Math.max(...groups.map(tokensOf)) / sequences) * sequences;
    const context = new llama._bindings.AddonContext(loaded._model, {
      contextSize: Math.max(512, batchSize), batchSize, sequences, embeddings: true, threads: 1,
      flashAttention: way !== 'one by one, no flash attention',
    });
    if (!await context.init()) throw new Error('llama.cpp made no context');
    const decode = async (texts) => {
      context.initBatch(tokensOf(texts));
      texts.forEach((text, sequence) => context.addToBatch(sequence, 0, text, Uint32Array.of(text.length - 1)));
      await context.decodeBatch();
    };
    return {
      run: async () => { for (const texts of groups) await decode(texts); },
      // The binding gives the first sequence's embedding only, so each text is once the first.
      vectors: async () => {
        const found = [];
        for (const texts of groups) {
          for (const text of texts) {
            await decode([text, ...texts.filter((other) => other !== text)]);
            found.push([...context.getEmbedding(text.length)]);
          }
        }
        return found;
      },
      dispose: () => context.dispose(),
    };
  };
});
