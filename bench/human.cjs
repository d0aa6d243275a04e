// Runs the package @vladmandic/human over images as often as it is told: a peer of bench.sdk. The argument is the folder
// into which it was installed; the first line on stdin is the images: [{file, width, height}] of raw RGB.
const fs = require('fs')
const http = require('http')
const path = require('path')
const readline = require('readline')
const packages = path.join(process.argv[1], 'node_modules')
const wasm = require(path.join(packages, '@tensorflow/tfjs-backend-wasm'))
const { Human } = require(path.join(packages, '@vladmandic/human/dist/human.node-wasm.js'))

/** The networks lie in the package, but it reads them over HTTP only. */
async function serveModels() {
  const models = path.join(packages, '@vladmandic/human/models')
  const server = http.createServer((request, reply) => {
    fs.readFile(path.join(models, path.basename(request.url)), (error, data) => {
      reply.statusCode = error ? 404 : 200
      reply.end(data)
    })
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  return server
}

async function main() {
  const server = await serveModels()
  const on = { enabled: true }
  const off = { enabled: false }
  const human = new Human({
    backend: 'wasm',
    wasmPath: path.join(packages, '@tensorflow/tfjs-backend-wasm/dist/'),
    modelBasePath: `http://127.0.0.1:${server.address().port}/`,
    cacheModels: false,
    cacheSensitivity: 0, // each image counts as a new one
    async: false,
    filter: off, gesture: on, hand: off, segmentation: off, body: on, object: on,
    face: {
      enabled: true, detector: { rotation: false, maxDetected: 1 },
      mesh: on, iris: on, emotion: on, description: on, antispoof: on, liveness: on,
    },
  })
  wasm.setThreadsCount(1)
  await human.load()
  server.close()
  const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  const images = JSON.parse((await lines.next()).value)
  while (!(await lines.next()).done) {
    const before = { wall: performance.now(), cpu: process.cpuUsage() }
    let faces = 0
    for (const { file, width, height } of images) {
      const tensor = human.tf.tensor(new Uint8Array(fs.readFileSync(file)), [1, height, width, 3], 'int32')
      faces += (await human.detect(tensor)).face.length
      human.tf.dispose(tensor)
    }
    const { user, system } = process.cpuUsage(before.cpu)
    const spent = {
      wall: (performance.now() - before.wall) / 1e3, cpu: (user + system) / 1e6,
      faces, peak: process.resourceUsage().maxRSS * 1024,
    }
    console.log(JSON.stringify(spent))
  }
}

main()
