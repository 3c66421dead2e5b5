// Server-sent events with a reconnect of our own: EventSource gives up for good on some failures
// (a proxy's 502, a server that restarts), a console that is left open for days must not.

import { url, type Query } from './client'

export interface Stream {
  close(): void
}

export interface StreamHandlers {
  on: Record<string, (data: unknown) => void>
  /** Called at each change between connected and not. */
  state?: (connected: boolean) => void
  /** Called before events flow again after a break; what was shown may be stale. */
  again?: () => void
}

const FIRST_DELAY_MS = 1_000
const LAST_DELAY_MS = 30_000

export function stream(path: string, handlers: StreamHandlers, query: Query = {}): Stream {
  let source: EventSource | null = null
  let timer = 0
  let delay = FIRST_DELAY_MS
  let closed = false
  let opened = false

  const connect = () => {
    source = new EventSource(url(path, query))
    source.onopen = () => {
      delay = FIRST_DELAY_MS
      if (opened) handlers.again?.()
      opened = true
      handlers.state?.(true)
    }
    source.onerror = () => {
      source?.close()
      handlers.state?.(false)
      if (closed) return
      timer = window.setTimeout(connect, delay)
      delay = Math.min(delay * 2, LAST_DELAY_MS)
    }
    for (const [name, handle] of Object.entries(handlers.on)) {
      source.addEventListener(name, (event) => handle(JSON.parse((event as MessageEvent<string>).data)))
    }
  }
  connect()
  return {
    close() {
      closed = true
      window.clearTimeout(timer)
      source?.close()
    },
  }
}
