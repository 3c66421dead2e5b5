// One request whose newest answer wins.

import { onScopeDispose, ref, shallowRef } from 'vue'

export function useLoad<T>(ask: (signal: AbortSignal) => Promise<T>) {
  const data = shallowRef<T | null>(null)
  const error = shallowRef<Error | null>(null)
  const loading = ref(false)
  let current: AbortController | null = null

  async function reload(): Promise<void> {
    current?.abort()
    const mine = new AbortController()
    current = mine
    loading.value = true
    try {
      const answer = await ask(mine.signal)
      if (current !== mine) return
      data.value = answer
      error.value = null
    } catch (problem) {
      if (current === mine) error.value = problem as Error
    } finally {
      if (current === mine) loading.value = false
    }
  }

  onScopeDispose(() => current?.abort())
  return { data, error, loading, reload }
}
