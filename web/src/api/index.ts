// The calls of the console, one function each.

import { call, url, type Query } from './client'
import type {
  Access,
  BulkResult,
  CheckResult,
  Fire,
  FunctionDetail,
  FunctionList,
  ImportResult,
  Job,
  JobDraft,
  List,
  LogLine,
  Overview,
  Run,
  RunDetail,
  System,
} from './types'

export { Problem, setApiLanguage } from './client'
export { stream, type Stream } from './sse'

export type BulkAction = 'start' | 'stop' | 'run' | 'delete'
export type ListName = 'whitelist' | 'blacklist'

const name = encodeURIComponent

export const api = {
  overview: (signal?: AbortSignal) => call<Overview>('GET', '/overview', { signal }),

  jobs: (query: Query, signal?: AbortSignal) => call<List<Job>>('GET', '/jobs', { query, signal }),
  job: (id: number) => call<Job>('GET', `/jobs/${id}`),
  addJob: (draft: JobDraft) => call<Job>('POST', '/jobs', { body: draft }),
  editJob: (id: number, version: number, draft: Partial<JobDraft>) =>
    call<Job>('PATCH', `/jobs/${id}`, { body: draft, ifMatch: version }),
  deleteJob: (id: number, version: number | '*') => call<void>('DELETE', `/jobs/${id}`, { ifMatch: version }),
  runJob: (id: number) => call<{ run: string | null; skipped: string | null }>('POST', `/jobs/${id}/run`),
  stopJob: (id: number) => call<Job>('POST', `/jobs/${id}/stop`),
  startJob: (id: number) => call<Job>('POST', `/jobs/${id}/start`, { body: {} }),
  bulk: (action: BulkAction, ids: number[]) => call<BulkResult>('POST', '/jobs/bulk', { body: { action, ids } }),
  check: (draft: JobDraft, signal?: AbortSignal) => call<CheckResult>('POST', '/jobs/check', { body: draft, signal }),
  fires: (id: number, limit: number) => call<{ items: Fire[] }>('GET', `/jobs/${id}/fires`, { query: { limit } }),
  exportUrl: (format: 'json' | 'yaml', ids: number[]) => url('/jobs/export', { format, ids: ids.join(',') }),
  importJobs: (text: string, yaml: boolean, dryRun: boolean) =>
    call<ImportResult>('POST', '/jobs/import', {
      query: { dry_run: dryRun },
      raw: { type: yaml ? 'application/yaml' : 'application/json', text },
    }),

  runs: (query: Query, signal?: AbortSignal) => call<List<Run>>('GET', '/runs', { query, signal }),
  run: (id: string) => call<RunDetail>('GET', `/runs/${id}`),
  stopRun: (id: string) => call<unknown>('POST', `/runs/${id}/stop`),
  runAgain: (id: string) => call<{ run: string | null; skipped: string | null }>('POST', `/runs/${id}/again`),
  testRun: (draft: JobDraft) => call<{ run: string; job: number }>('POST', '/runs/test', { body: draft }),
  outputUrl: (id: string) => url(`/runs/${id}/output`, { download: 1 }),

  functions: () => call<FunctionList>('GET', '/functions'),
  reloadFunctions: () => call<unknown>('POST', '/functions/reload'),
  function: (fn: string) => call<FunctionDetail>('GET', `/functions/${name(fn)}`),
  tryFunction: (fn: string, args: string) =>
    call<{ run: string }>('POST', `/functions/${name(fn)}/try`, { body: { args } }),

  system: () => call<System>('GET', '/system'),
  logs: (query: Query, signal?: AbortSignal) => call<List<LogLine>>('GET', '/logs', { query, signal }),

  access: () => call<Access>('GET', '/access'),
  allow: (list: ListName, entry: string) => call<unknown>('POST', `/access/${list}`, { body: { entry } }),
  disallow: (list: ListName, entry: string) => call<unknown>('DELETE', `/access/${list}/${name(entry)}`),
}
