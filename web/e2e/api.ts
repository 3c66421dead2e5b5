// What a test prepares or looks up behind the page's back.
import type { Server } from './server'

interface Job {
  id: number
  name: string
  version: number
  [field: string]: unknown
}

export async function ask<T>(server: Server, method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const init: RequestInit = { method, headers: { 'Content-Type': 'application/json', 'Accept-Language': 'en', ...headers } }
  if (body !== undefined) init.body = JSON.stringify(body)
  const answer = await fetch(`${server.url}/api/v1${path}`, init)
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
  return (text ? JSON.parse(text) : undefined) as T
}

/** A command job that fires once a year, unless it is told otherwise. */
export function addJob(server: Server, name: string, fields: Record<string, unknown> = {}): Promise<Job> {
  return ask<Job>(server, 'POST', '/jobs', {
    name,
    description: '',
    trigger: { type: 'cron', cron: '0 0 0 1 1 *', timezone: null },
    mode: 'command',
    command: '【command】echo hello',
    enabled: true,
    ...fields,
  })
}

export async function runJob(server: Server, id: number): Promise<string> {
  const { run } = await ask<{ run: string }>(server, 'POST', `/jobs/${id}/run`)
  return run
}

/** Runs it and waits for the end of the run. */
export async function ranJob(server: Server, id: number): Promise<string> {
  const run = await runJob(server, id)
  for (let tries = 0; tries < 200; tries++) {
    const { outcome } = await ask<{ outcome: string }>(server, 'GET', `/runs/${run}`)
    if (outcome !== 'running' && outcome !== 'waiting') return run
    await new Promise((done) => setTimeout(done, 50))
  }
  throw new Error(`run ${run} does not end`)
}
