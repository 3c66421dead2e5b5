// The only place that calls fetch. An answer that is not 2xx becomes a Problem (RFC 9457); a
// server that cannot be reached becomes one with status 0.

import type { FieldError, ProblemBody } from './types'

export class Problem extends Error {
  readonly status: number
  readonly title: string
  readonly errors: FieldError[]

  constructor(body: ProblemBody) {
    super(body.detail || body.title)
    this.name = 'Problem'
    this.status = body.status
    this.title = body.title
    this.errors = body.errors ?? []
  }
}

export type Query = Record<string, string | number | boolean | null | undefined>

export interface Options {
  query?: Query
  body?: unknown
  /** Sent as it is with this content type, instead of JSON. */
  raw?: { type: string; text: string }
  ifMatch?: number | '*'
  signal?: AbortSignal
}

let language = 'zh-CN'

export function setApiLanguage(tag: string): void {
  language = tag
}

export function url(path: string, query: Query = {}): string {
  const params = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') params.set(key, String(value))
  }
  const text = params.toString()
  return `/api/v1${path}${text ? `?${text}` : ''}`
}

export async function call<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json', 'Accept-Language': language }
  let body: string | undefined
  if (options.raw) {
    headers['Content-Type'] = options.raw.type
    body = options.raw.text
  } else if (options.body !== undefined) {
    headers['Content-Type'] = 'application/json'
    body = JSON.stringify(options.body)
  }
  if (options.ifMatch !== undefined) {
    headers['If-Match'] = options.ifMatch === '*' ? '*' : `"${options.ifMatch}"`
  }
  const init: RequestInit = { method, headers, credentials: 'same-origin' }
  if (body !== undefined) init.body = body
  if (options.signal) init.signal = options.signal
  let response: Response
  try {
    response = await fetch(url(path, options.query), init)
  } catch (error) {
    if (options.signal?.aborted) throw error
    throw new Problem({ type: 'about:blank', title: 'unreachable', status: 0 })
  }
  if (!response.ok) throw await problemOf(response)
  if (response.status === 204) return undefined as T
  const type = response.headers.get('Content-Type') ?? ''
  return (type.includes('json') ? await response.json() : await response.text()) as T
}

async function problemOf(response: Response): Promise<Problem> {
  const fallback = { type: 'about:blank', title: response.statusText || 'error', status: response.status }
  if (!(response.headers.get('Content-Type') ?? '').includes('json')) return new Problem(fallback)
  try {
    const body = (await response.json()) as Partial<ProblemBody>
    return new Problem({ ...fallback, ...body, status: response.status })
  } catch {
    return new Problem(fallback)
  }
}
