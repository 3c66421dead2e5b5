// Each worker has a server of its own: the built program in an empty folder, on a free port of this
// machine. Its settings come from the environment, as tests/it/support/program.rs does it.
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const BINARY = process.env.TIMERJOBS_BIN ?? fileURLToPath(new URL('../../target/debug/timerjobs', import.meta.url))
const PATIENCE_MS = 30_000

export interface Server {
  url: string
  /** Where its data and user_funcs lie. */
  folder: string
  stop: () => Promise<void>
  /** Kills it, does what is to be done meanwhile, and starts it again on the same port and data. */
  restart: (meanwhile: () => Promise<void>) => Promise<Server>
}

export function startServer(env: Record<string, string> = {}): Promise<Server> {
  return start(mkdtempSync(join(tmpdir(), 'timerjobs-web-')), '0', env)
}

async function start(folder: string, port: string, env: Record<string, string>): Promise<Server> {
  const child = spawn(BINARY, ['start', '-H', '127.0.0.1', '-p', port], {
    cwd: folder,
    // Nothing of the caller's settings reaches it.
    env: { PATH: process.env.PATH, TZ: 'UTC', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  const url = await new Promise<string>((found, failed) => {
    const timer = setTimeout(() => failed(new Error(`the server does not start: ${said}`)), PATIENCE_MS)
    child.on('error', failed)
    child.on('exit', (code) => failed(new Error(`the server ended with ${code}: ${said}`)))
    createInterface({ input: child.stderr }).on('line', (line) => {
      said += `${line}\n`
      const at = /http:\/\/127\.0\.0\.1:\d+/.exec(line)
      if (at) {
        clearTimeout(timer)
        found(at[0])
      }
    })
  })
  return {
    url,
    folder,
    async stop() {
      await ended(child)
      rmSync(folder, { recursive: true, force: true })
    },
    async restart(meanwhile) {
      await ended(child)
      await meanwhile()
      return start(folder, new URL(url).port, env)
    },
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((done) => child.once('exit', done))
  child.kill('SIGKILL')
  await gone
}
