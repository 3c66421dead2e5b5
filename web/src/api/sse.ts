// Server-sent events with a reconnect of our own: EventSource gives up for good on some failures
// (a proxy's 502, a server that restarts), a console that is left open for days must not.
//
// A page in the background lets its streams go: over HTTP/1.1 a browser has six connections to a server
// for all its tabs, and each stream holds one.

export interface Stream {
  close(): void
}

export interface StreamHandlers {
  on: Record<string, (data: unknown) => void>
  /** Called at each change; null: not connected on purpose. */
  state?: (connected: boolean | null) => void
  /** Called before events flow again after a break; what was shown may be stale. */
  again?: () => void
}

const FIRST_DELAY_MS = 1_000
const LAST_DELAY_MS = 30_000
const HIDDEN_MS = 20_000

export function stream(address: string, handlers: StreamHandlers): Stream {
  let source: EventSource | null = null
  let retry = 0
  let rest = 0
  let delay = FIRST_DELAY_MS
  let opened = false

  const drop = () => {
    window.clearTimeout(retry)
    source?.close()
    source = null
  }
  const connect = () => {
    drop()
    source = new EventSource(address)
    source.onopen = () => {
      delay = FIRST_DELAY_MS
      if (opened) handlers.again?.()
      opened = true
      handlers.state?.(true)
    }
    source.onerror = () => {
      drop()
      handlers.state?.(false)
      retry = window.setTimeout(connect, delay)
      delay = Math.min(delay * 2, LAST_DELAY_MS)
    }
    for (const [name, handle] of Object.entries(handlers.on)) {
      source.addEventListener(name, (event) => handle(JSON.parse((event as MessageEvent<string>).data)))
    }
  }
  const shown = () => {
    window.clearTimeout(rest)
    if (document.hidden) {
      rest = window.setTimeout(() => {
        drop()
        handlers.state?.(null)
      }, HIDDEN_MS)
    } else if (!source) {
      connect()
    }
  }
  document.addEventListener('visibilitychange', shown)
  connect()
  return {
    close() {
      document.removeEventListener('visibilitychange', shown)
      window.clearTimeout(rest)
      drop()
    },
  }
}
