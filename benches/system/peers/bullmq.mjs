// BullMQ on Redis, which keeps the history: RATE jobs due in each second for SECONDS, spread over it, added
// before with a delay; with a URL each of them fetches it. Prints one line of JSON as in_memory.py does.
import { Queue, Worker } from 'bullmq'

const [rate, seconds, port] = process.argv.slice(2, 5).map(Number)
const url = process.argv[5]
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null }
const queue = new Queue('bench', { connection })
const lead = 3_000 + (rate * seconds) / 8
const began = Date.now() + lead
const late = []

const worker = new Worker('bench', async (job) => {
  if (url) await (await fetch(url)).text()
  late.push(Date.now() - job.data.at)
}, {
  connection, concurrency: 200, autorun: false,
})
for (let second = 0; second < seconds; second++) {
  for (let n = 0; n < rate; n += 1_000) {
    const jobs = []
    for (let i = n; i < Math.min(rate, n + 1_000); i++) {
      const at = began + second * 1_000 + Math.floor((i * 1_000) / rate)
      jobs.push({ name: 'fire', data: { at }, opts: { delay: Math.max(0, at - Date.now()) } })
    }
    await queue.addBulk(jobs)
  }
}
worker.run()
await new Promise((done) => setTimeout(done, Math.max(0, began - Date.now()) + seconds * 1_000 + 2_000))
late.sort((a, b) => a - b)
console.log(JSON.stringify({
  due: rate * seconds, done: late.length, over: late.filter((ms) => ms > 1_000).length,
  p99: late[Math.floor(late.length * 0.99)] ?? null,
}))
await worker.close(true)
await queue.obliterate({ force: true })
await queue.close()
