// The shapes of /api/v1, as docs and OpenAPI name them.

export type Mode = 'http' | 'command' | 'func'
export type JobState = 'scheduled' | 'running' | 'stopped'
export type Overlap = 'allow' | 'skip' | 'queue'
export type MisfirePolicy = 'fire_once' | 'skip' | 'fire_all'
export type Recovery = 'never' | 'rerun'
export type Outcome =
  | 'waiting'
  | 'running'
  | 'success'
  | 'failed'
  | 'timeout'
  | 'cancelled'
  | 'skipped'
  | 'missed'
  | 'lost'
export type Source = 'cron' | 'manual' | 'catchup' | 'api'

export type Trigger =
  | { type: 'cron'; cron: string; timezone: string | null }
  | { type: 'interval'; seconds: number }

export interface JobDraft {
  name: string
  description: string
  trigger: Trigger
  mode: Mode
  command: string
  enabled: boolean
  overlap: Overlap
  max_run_count: number
  misfire_policy: MisfirePolicy
  misfire_window_seconds: number
  recovery: Recovery
}

export interface Job extends JobDraft {
  id: number
  state: JobState
  stop_reason: string | null
  run_count: number
  next_run: string | null
  last_run: string | null
  created: string
  updated: string
  version: number
}

export interface Run {
  id: string
  job_id: number
  job_name: string
  mode: Mode
  source: Source
  outcome: Outcome
  reason: string | null
  reason_text: string | null
  scheduled: string
  started: string | null
  ended: string | null
  duration_ms: number | null
  delay_ms: number | null
  attempt: number
  exit_code: number | null
  error: string | null
  missed: { from: string; to: string; count: number } | null
  http: { method: string; url: string; status: number | null } | null
  func: { name: string; args: string } | null
  result: string | null
}

export interface RunDetail extends Run {
  command: string
  stdout: string
  stderr: string
  http_body: string | null
}

export interface List<T> {
  items: T[]
  next: string | null
  total: number
}

export interface FieldError {
  field: string
  message: string
}

export interface ProblemBody {
  type: string
  title: string
  status: number
  detail?: string | null
  errors?: FieldError[]
}

export interface Fire {
  at: string
  local: string
  zone: string
}

export interface CheckResult {
  valid: boolean
  errors: FieldError[]
  words: string | null
  next: Fire[]
  warnings: { code: string; message: string }[]
  form: Record<string, string> | null
  command: string | null
}

export interface BulkResult {
  results: { id: number; ok: boolean; problem: ProblemBody | null }[]
}

export interface ImportResult {
  added: { id: number | null; name: string }[]
  problems: { index: number; name: string | null; errors: FieldError[] }[]
}

export interface Overview {
  now: string
  jobs: { total: number; scheduled: number; running: number; stopped: number }
  running: Run[]
  upcoming: { job: number; name: string; at: string }[]
  failures: Run[]
  day: {
    runs: number
    success: number
    failed: number
    rate: number | null
    per_hour: { at: string; success: number; failed: number; other: number }[]
  }
  load: { at: string; fires: number }[]
  health: Record<string, unknown>
}

export interface FunctionInfo {
  name: string
  source: 'builtin' | 'user'
  doc: string | null
  signature: string | null
  file: string | null
  line: number | null
}

export interface FunctionList {
  items: FunctionInfo[]
  failed: { file: string; line: number | null; error: string }[]
  python: { available: boolean; version: string | null; reason: string | null; environment?: string | null }
}

export interface FunctionDetail extends FunctionInfo {
  code: string | null
  error: { line: number | null; message: string } | null
}

export interface Setting {
  key: string
  env: string
  value: string | null
  default: string | null
  source: string
  live: boolean
}

export interface System {
  version: string
  uptime_seconds: number
  memory_bytes: number | null
  database: Record<string, unknown>
  scheduler: Record<string, unknown>
  settings: Setting[]
}

export interface LogLine {
  time: string
  level: string
  message: string
  target?: string | null
  fields?: Record<string, unknown> | null
}

export interface Access {
  enabled: boolean
  you: string | null
  whitelist: string[]
  blacklist: string[]
}
