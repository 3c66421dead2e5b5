// The live output of one run, pushed into an output view until the run has ended.

import { onScopeDispose, shallowRef } from 'vue'
import { stream, type Stream } from '../api'
import type { Run } from '../api/types'

export interface Sink {
  push(stream: 'stdout' | 'stderr', text: string): void
  reset(): void
}

export function useRunStream(sink: () => Sink | null, ended: (run: Run) => void) {
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
    current = stream(`/runs/${id}/live`, {
      on: {
        output: (data) => {
          const { stream: name, text } = data as { stream: 'stdout' | 'stderr'; text: string }
          sink()?.push(name, text)
        },
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
