// The live output of one run, pushed into an output view until the run has ended.

import { onScopeDispose, shallowRef } from 'vue'
import { api, stream, type Stream } from '../api'
import type { Run } from '../api/types'

export type StreamName = 'stdout' | 'stderr'

export interface Sink {
  push(stream: StreamName, text: string): void
  /** So many bytes went by unread: the run prints faster than they come here. */
  skip(bytes: number): void
  reset(): void
}

export function useRunStream(sink: () => Sink | null, ended: (run: Run) => unknown) {
  const following = shallowRef<string | null>(null)
  let current: Stream | null = null

  function stop(): void {
    current?.close()
    current = null
    following.value = null
  }

  function follow(id: string): void {
    stop()
    sink()?.reset()
    following.value = id
    current = stream(api.liveUrl(id), {
      on: {
        output: (data) => {
          const { stream: name, text } = data as { stream: StreamName; text: string }
          sink()?.push(name, text)
        },
        lagged: (data) => sink()?.skip((data as { missed: number }).missed),
        ended: (data) => {
          stop()
          ended(data as Run)
        },
      },
      // After a break the server starts again with all that was printed.
      again: () => sink()?.reset(),
    })
  }

  onScopeDispose(stop)
  return { following, follow, stop }
}
