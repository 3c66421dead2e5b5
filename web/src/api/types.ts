// The shapes of /api/v1 by the names that the pages use. All of them come from the server's own
// description (schema.d.ts, made by `npm run types`), so none can drift.

export type {
  Access,
  Account,
  AuditEntry,
  BadField as FieldError,
  BulkResult,
  CheckResult,
  FunctionDetail,
  Function as FunctionInfo,
  Functions as FunctionList,
  Fire,
  ImportResult,
  Job,
  JobDraft,
  LogLine,
  Mode,
  Outcome,
  Overview,
  Run,
  RunDetail,
  Secret,
  Session,
  Setting,
  System,
  Token,
  Trigger,
} from './schema'

/** What an account may do. */
export type Role = 'viewer' | 'operator' | 'admin'
