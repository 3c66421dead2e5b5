// Drafts of jobs: a new one, a copy of one, and the three samples that an empty console offers.

import type { Job, JobDraft } from '../api/types'

export function newDraft(): JobDraft {
  return {
    name: '',
    description: '',
    trigger: { type: 'cron', cron: '0 */5 * * * *', timezone: null },
    mode: 'http',
    command: '',
    enabled: true,
    overlap: 'allow',
    max_run_count: 0,
    misfire_policy: 'fire_once',
    misfire_window_seconds: 300,
    recovery: 'never',
  }
}

export function draftOf(job: Job): JobDraft {
  return {
    name: job.name,
    description: job.description,
    trigger: { ...job.trigger },
    mode: job.mode,
    command: job.command,
    enabled: job.enabled,
    overlap: job.overlap,
    max_run_count: job.max_run_count,
    misfire_policy: job.misfire_policy,
    misfire_window_seconds: job.misfire_window_seconds,
    recovery: job.recovery,
  }
}

/** The fields in which a draft differs, for PATCH. */
export function changes(before: JobDraft, after: JobDraft): Partial<JobDraft> {
  const differs = (key: keyof JobDraft) => JSON.stringify(before[key]) !== JSON.stringify(after[key])
  return Object.fromEntries((Object.keys(after) as (keyof JobDraft)[]).filter(differs).map((key) => [key, after[key]]))
}

export type Sample = 'http' | 'command' | 'func'

export function sampleDraft(sample: Sample, name: string, description: string): JobDraft {
  const cron = { http: '0 */2 * * * *', command: '0 0 4 * * *', func: '0 */30 * * * *' }[sample]
  const command = {
    http: `【url】${location.origin}/health\n【mode】GET\n【result】ok`,
    command: '【command】df -h .\n【timeout】60',
    func: '【name】Monitor\n【arg】disk,/,90',
  }[sample]
  return { ...newDraft(), name, description, mode: sample, command, trigger: { type: 'cron', cron, timezone: null } }
}
