// One thing done with many jobs: found page by page, asked of the server in parts, so that the reader sees
// how far it is and no request is too large.

import { api, type BulkAction } from '../api'

/** As many ids as the server takes in one call would be 1,000; fewer keep the progress moving. */
const PART = 250
const PAGE = 200

export interface Failure {
  id: number
  why: string
}

export async function bulk(action: BulkAction, ids: number[], progress: (done: number) => void): Promise<Failure[]> {
  const failures: Failure[] = []
  for (let at = 0; at < ids.length; at += PART) {
    const { results } = await api.bulk(action, ids.slice(at, at + PART))
    for (const { id, ok, problem } of results) if (!ok) failures.push({ id, why: problem?.detail ?? problem?.title ?? '' })
    progress(Math.min(at + PART, ids.length))
  }
  return failures
}

/** The ids of all jobs that a list would show. */
export async function every(query: Parameters<typeof api.jobs>[0], progress: (found: number) => void): Promise<number[]> {
  const ids: number[] = []
  let cursor: string | null = null
  do {
    const page: Awaited<ReturnType<typeof api.jobs>> = await api.jobs({ ...query, cursor, limit: PAGE })
    ids.push(...page.items.map((job) => job.id))
    cursor = page.next
    progress(ids.length)
  } while (cursor)
  return ids
}
