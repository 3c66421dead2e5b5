// Short words for a job's trigger in lists; the full sentence comes from the server's check.

import type { Trigger } from '../api/types'
import { countdown } from './format'

export function scheduleText(trigger: Trigger, t: (key: string, values: Record<string, unknown>) => string): string {
  if (trigger.type === 'cron') return trigger.cron
  return t('job.everyInterval', { span: countdown(trigger.seconds * 1_000) })
}
