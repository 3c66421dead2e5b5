// The only place that calls fetch. What can be called, with what, and what comes back are the types
// made from the server's own /openapi.json (schema.d.ts), so the page cannot drift from the server.
// An answer that is not 2xx becomes a Problem (RFC 9457); a server that cannot be reached becomes one
// with status 0.

import type { BadField, paths, Problem as ProblemBody } from './schema'

export class Problem extends Error {
  readonly status: number
  readonly title: string
  readonly errors: BadField[]

  constructor(body: Partial<ProblemBody> & { status: number }) {
    super(body.detail || body.title)
    this.name = 'Problem'
    this.status = body.status
    this.title = body.title ?? ''
    this.errors = body.errors ?? []
  }
}

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'
type Query = Record<string, string | number | boolean | readonly number[] | null | undefined>

/** The paths of the modern API that take the method. */
export type PathOf<M extends Method> = {
  [P in keyof paths]: P extends `/api/v1/${string}` ? (paths[P][M] extends undefined ? never : P) : never
}[keyof paths]
type Operation<M extends Method, P extends keyof paths> = NonNullable<paths[P][M]>
type Json<R> = R extends { content: infer C } ? C[keyof C] : undefined
type Success = 200 | 201 | 202 | 204
/** What the call answers. */
type Answer<O> = O extends { responses: infer R } ? Json<R[keyof R & Success]> : never
type QueryOf<O> = O extends { parameters: { query?: infer Q } } ? { [K in keyof Q]?: Q[K] | null | '' } : never
/** What a list can be asked for. */
export type QueryFor<P extends PathOf<'get'>> = QueryOf<Operation<'get', P>>
type PathArguments<O> = O extends { parameters: { path: infer A } } ? A : undefined
type BodyOf<O> = O extends { requestBody?: { content: { 'application/json': infer B } } } ? B : never

interface Options<O> {
  path?: PathArguments<O>
  query?: QueryOf<O>
  body?: BodyOf<O>
  /** Sent as it is with this content type, instead of JSON. */
  raw?: { type: string; text: string }
  ifMatch?: number | '*'
  signal?: AbortSignal | undefined
}

let language = 'zh-CN'
let unauthorized: () => void = () => {}

/** Called when a call is refused because nobody is logged in. */
export function whenUnauthorized(told: () => void): void {
  unauthorized = told
}

export function setApiLanguage(tag: string): void {
  language = tag
}

/** Where to ask for it; what is empty in the query is left out. */
export function url<P extends PathOf<'get'>>(path: P, options: Pick<Options<Operation<'get', P>>, 'path' | 'query'> = {}): string {
  return place(path, options.path as Record<string, unknown> | undefined, options.query as Query | undefined)
}

function place(path: string, inPath: Record<string, unknown> = {}, query: Query = {}): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(inPath[name])))
  const params = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') params.set(key, String(value))
  }
  const text = params.toString()
  return text ? `${filled}?${text}` : filled
}

export async function call<M extends Method, P extends PathOf<M>>(
  method: M,
  path: P,
  options: Options<Operation<M, P>> = {},
): Promise<Answer<Operation<M, P>>> {
  const headers: Record<string, string> = { Accept: 'application/json', 'Accept-Language': language }
  const init: RequestInit = { method: method.toUpperCase(), headers, credentials: 'same-origin' }
  if (options.raw) {
    headers['Content-Type'] = options.raw.type
    init.body = options.raw.text
  } else if (options.body !== undefined) {
    headers['Content-Type'] = 'application/json'
    init.body = JSON.stringify(options.body)
  }
  if (options.ifMatch !== undefined) {
    headers['If-Match'] = options.ifMatch === '*' ? '*' : `"${options.ifMatch}"`
  }
  if (options.signal) init.signal = options.signal
  let response: Response
  try {
    response = await fetch(place(path, options.path as Record<string, unknown> | undefined, options.query as Query | undefined), init)
  } catch (error) {
    if (options.signal?.aborted) throw error
    throw new Problem({ title: 'unreachable', status: 0 })
  }
  // A wrong password is no end of a session.
  if (response.status === 401 && path !== '/api/v1/session') unauthorized()
  if (!response.ok) throw await problemOf(response)
  const type = response.headers.get('Content-Type') ?? ''
  const answer: unknown = response.status === 204 ? undefined : type.includes('json') ? await response.json() : await response.text()
  return answer as Answer<Operation<M, P>>
}

async function problemOf(response: Response): Promise<Problem> {
  const fallback = { title: response.statusText || 'error', status: response.status }
  if (!(response.headers.get('Content-Type') ?? '').includes('json')) return new Problem(fallback)
  try {
    const body = (await response.json()) as Partial<ProblemBody>
    return new Problem({ ...fallback, ...body, status: response.status })
  } catch {
    return new Problem(fallback)
  }
}
