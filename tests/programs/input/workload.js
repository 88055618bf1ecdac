// Buffers outside of the JavaScript heap, compression and worker threads: what node takes from
// malloc.
const crypto = require('crypto');
const zlib = require('zlib');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

function work(seed, rounds) {
  const hash = crypto.createHash('sha256');
  const kept = [];
  for (let i = 0; i < rounds; i++) {
    const buffer = Buffer.alloc((i * 7919 + seed) % 60000, 'abc' + i);
    kept[i % 50] = zlib.inflateSync(zlib.deflateSync(buffer));
    hash.update(kept[i % 50]);
  }
  return hash.digest('hex');
}

if (isMainThread) {
  const rounds = 100 * Number(process.argv[2]);
  const results = [work(0, rounds)];
  let left = 3;
  for (let n = 1; n <= 3; n++) {
    const worker = new Worker(__filename, { workerData: { seed: n, rounds } });
    worker.on('message', (digest) => (results[n] = digest));
    worker.on('exit', () => --left === 0 && console.log(results.join('\n')));
  }
} else {
  parentPort.postMessage(work(workerData.seed, workerData.rounds));
}
