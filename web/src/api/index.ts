// The calls of the console, one function each.

import { call, url, type QueryFor } from './client'
import type { JobDraft, Role } from './types'

export { Problem, setApiLanguage, whenUnauthorized } from './client'
export { stream, type Stream } from './sse'

export type BulkAction = 'start' | 'stop' | 'run' | 'delete'
export type ListName = 'whitelist' | 'blacklist'

export const api = {
  session: () => call('get', '/api/v1/session'),
  logIn: (body: { username: string; password: string }) => call('post', '/api/v1/session', { body }),
  logOut: () => call('delete', '/api/v1/session'),
  claim: (body: { code: string; username: string; password: string }) => call('post', '/api/v1/session/claim', { body }),
  /** The answer begins a new session; all others, and the tokens, have ended. */
  changePassword: (body: { password: string; new_password: string }) => call('post', '/api/v1/session/password', { body }),
  tokens: (signal?: AbortSignal) => call('get', '/api/v1/tokens', { signal }),
  addToken: (body: { name: string; role: Role; days?: number }) => call('post', '/api/v1/tokens', { body }),
  deleteToken: (id: number) => call('delete', '/api/v1/tokens/{id}', { path: { id } }),
  accounts: () => call('get', '/api/v1/accounts'),
  addAccount: (body: { username: string; password: string; role: Role }) => call('post', '/api/v1/accounts', { body }),
  editAccount: (id: number, body: { role?: Role; enabled?: boolean }) => call('patch', '/api/v1/accounts/{id}', { path: { id }, body }),
  deleteAccount: (id: number) => call('delete', '/api/v1/accounts/{id}', { path: { id } }),

  overview: (signal?: AbortSignal) => call('get', '/api/v1/overview', { signal }),

  eventsUrl: () => url('/api/v1/events'),

  jobs: (query: QueryFor<'/api/v1/jobs'>, signal?: AbortSignal) => call('get', '/api/v1/jobs', { query, signal }),
  job: (id: number) => call('get', '/api/v1/jobs/{id}', { path: { id } }),
  addJob: (body: JobDraft) => call('post', '/api/v1/jobs', { body }),
  editJob: (id: number, version: number, body: Partial<JobDraft>) => call('patch', '/api/v1/jobs/{id}', { path: { id }, body, ifMatch: version }),
  deleteJob: (id: number, version: number) => call('delete', '/api/v1/jobs/{id}', { path: { id }, ifMatch: version }),
  runJob: (id: number) => call('post', '/api/v1/jobs/{id}/run', { path: { id } }),
  stopJob: (id: number) => call('post', '/api/v1/jobs/{id}/stop', { path: { id } }),
  startJob: (id: number) => call('post', '/api/v1/jobs/{id}/start', { path: { id }, body: {} }),
  bulk: (action: BulkAction, ids: number[]) => call('post', '/api/v1/jobs/bulk', { body: { action, ids } }),
  /** `id`: of the job that the draft is to replace; its name is its own. */
  check: (draft: JobDraft, id: number | null, signal?: AbortSignal) =>
    call('post', '/api/v1/jobs/check', { body: id === null ? draft : { ...draft, id }, signal }),
  fires: (id: number, limit: number) => call('get', '/api/v1/jobs/{id}/fires', { path: { id }, query: { limit } }),
  exportUrl: (format: 'json' | 'yaml', ids: number[]) => url('/api/v1/jobs/export', { query: { format, ids } }),
  importJobs: (text: string, yaml: boolean, dryRun: boolean) =>
    call('post', '/api/v1/jobs/import', { query: { dry_run: dryRun }, raw: { type: yaml ? 'application/yaml' : 'application/json', text } }),

  runs: (query: QueryFor<'/api/v1/runs'>, signal?: AbortSignal) => call('get', '/api/v1/runs', { query, signal }),
  run: (id: string) => call('get', '/api/v1/runs/{id}', { path: { id } }),
  stopRun: (id: string) => call('post', '/api/v1/runs/{id}/stop', { path: { id } }),
  runAgain: (id: string) => call('post', '/api/v1/runs/{id}/again', { path: { id } }),
  testRun: (body: JobDraft) => call('post', '/api/v1/runs/test', { body }),
  liveUrl: (id: string) => url('/api/v1/runs/{id}/live', { path: { id } }),
  outputUrl: (id: string) => url('/api/v1/runs/{id}/output', { path: { id }, query: { download: true } }),

  functions: () => call('get', '/api/v1/functions'),
  reloadFunctions: () => call('post', '/api/v1/functions/reload'),
  function: (name: string) => call('get', '/api/v1/functions/{name}', { path: { name } }),
  tryFunction: (name: string, args: string) => call('post', '/api/v1/functions/{name}/try', { path: { name }, body: { args } }),

  system: () => call('get', '/api/v1/system'),
  reconcile: () => call('post', '/api/v1/system/reconcile'),
  reloadSettings: () => call('post', '/api/v1/system/reload'),
  logs: (query: QueryFor<'/api/v1/logs'>, signal?: AbortSignal) => call('get', '/api/v1/logs', { query, signal }),
  logsLiveUrl: () => url('/api/v1/logs/live'),
  /** Of the older API, which has a day's lines as a file. */
  logsUrl: (day: string) => `/jobs/zapLogs/download${day ? `?date=${day}` : ''}`,

  secrets: (signal?: AbortSignal) => call('get', '/api/v1/secrets', { signal }),
  /** Without a value that of one that is there stays. */
  putSecret: (name: string, body: { value?: string; description: string }) => call('put', '/api/v1/secrets/{name}', { path: { name }, body }),
  /** `force`: also when jobs use it, which is a 409 otherwise. */
  deleteSecret: (name: string, force: boolean) => call('delete', '/api/v1/secrets/{name}', { path: { name }, query: { force } }),

  audit: (query: QueryFor<'/api/v1/audit'>, signal?: AbortSignal) => call('get', '/api/v1/audit', { query, signal }),
  auditUrl: (query: QueryFor<'/api/v1/audit/export'>) => url('/api/v1/audit/export', { query }),

  access: () => call('get', '/api/v1/access'),
  /** `force`: also when it locks the caller out or opens the server to all, which is a 409 otherwise. */
  allow: (list: ListName, entry: string, force: boolean) => call('post', '/api/v1/access/{list}', { path: { list }, body: { entry, force } }),
  disallow: (list: ListName, entry: string, force: boolean) => call('delete', '/api/v1/access/{list}/{entry}', { path: { list, entry }, query: { force } }),
}
