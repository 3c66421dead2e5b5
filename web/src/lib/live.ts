// The server's events, one stream for the whole page.

import { onScopeDispose, ref } from 'vue'
import { api, stream } from '../api'

export type EventName = 'run_started' | 'run_ended' | 'job_changed' | 'job_deleted' | 'lagged'
type Listener = (name: EventName, data: Record<string, unknown>) => void

export const connected = ref<boolean | null>(null)
const listeners = new Set<Listener>()
const NAMES: EventName[] = ['run_started', 'run_ended', 'job_changed', 'job_deleted', 'lagged']

function tell(name: EventName, data: unknown): void {
  for (const listener of listeners) listener(name, data as Record<string, unknown>)
}

export function connectEvents(): void {
  stream(api.eventsUrl(), {
    on: Object.fromEntries(NAMES.map((name) => [name, (data: unknown) => tell(name, data)])),
    state: (up) => (connected.value = up),
    // What happened during the break is unknown: the same as having lagged behind.
    again: () => tell('lagged', {}),
  })
}

/**
 * Calls `reload` after events that `wanted` accepts, at most once in `pause` ms, so that a busy
 * server costs a page one request now and then and not one for each run.
 */
export function reloadOn(wanted: (name: EventName, data: Record<string, unknown>) => boolean, reload: () => void, pause = 1_500): void {
  let timer = 0
  const listener: Listener = (name, data) => {
    if (timer !== 0 || !(name === 'lagged' || wanted(name, data))) return
    timer = window.setTimeout(() => {
      timer = 0
      if (!document.hidden) reload()
    }, pause)
  }
  const shown = () => {
    if (!document.hidden) reload()
  }
  listeners.add(listener)
  document.addEventListener('visibilitychange', shown)
  onScopeDispose(() => {
    listeners.delete(listener)
    document.removeEventListener('visibilitychange', shown)
    window.clearTimeout(timer)
  })
}
